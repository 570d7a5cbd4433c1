"""The event source's harm: throttled deliveries, which count as receives."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from infra.local.template import resources
from tests.simulation.invariants import violations
from tests.simulation.queue import MAX_RECEIVES, VISIBILITY_SECONDS
from tests.simulation.simulation import TIMEOUTS, Simulation
from tests.simulation.test_crash_points import QUIET
from tests.simulation.weather import Weather
from tests.support.world import item_guid


class Throttling(Weather):
    """A weather in which Lambda throttles so many deliveries, and nothing else happens."""

    throttles = 0

    def strikes(self, name: str) -> bool:
        """Throttle what is left to throttle."""
        if name != "lambda_throttle" or not self.throttles:
            return False
        self.throttles -= 1
        return True


def test_fault_07__throttled_deliveries_lose_nothing() -> None:
    """All receives but the last are throttled: then it is recorded, and nothing is in the DLQ."""
    weather = Throttling(Random(0))
    weather.throttles = MAX_RECEIVES - 1
    day = Simulation(0, plan=replace(QUIET, poison=frozenset(), bad=frozenset()), weather=weather)
    for n in range(3):
        day.queue.send(item_guid(n))
    day.run()
    assert violations(day) == []
    assert weather.throttles == 0
    assert [message.receives for message in day.messages[:3]] == [MAX_RECEIVES] * 3
    assert not any(message.redriven for message in day.messages)
    assert day.dead_letters.kept == []


def test_simulation__has_the_template_s_limits() -> None:
    """Time-outs, visibility and receives are those that are deployed."""
    functions = resources("AWS::Lambda::Function")
    timeouts = {name: functions[f"{name.title()}Function"]["Timeout"] for name in TIMEOUTS}
    assert timeouts == TIMEOUTS
    intake = resources("AWS::SQS::Queue")["IntakeQueue"]
    assert intake["VisibilityTimeout"] == VISIBILITY_SECONDS
    assert intake["RedrivePolicy"]["maxReceiveCount"] == MAX_RECEIVES
