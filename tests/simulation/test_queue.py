"""The queue and its event source: throttled deliveries, and redelivery in an outage."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from infra.checks.template import resources
from tests.simulation.fault_rates import FaultRates
from tests.simulation.invariants import violations
from tests.simulation.queue import MAX_RECEIVES, VISIBILITY_SECONDS
from tests.simulation.simulation import START, TIMEOUTS, Simulation
from tests.simulation.test_crash_points import QUIET
from tests.support.world import item_guid


class Throttling(FaultRates):
    """Rates at which Lambda throttles until the last receive, and no other fault occurs."""

    day: Simulation

    def occurs(self, name: str) -> bool:
        """Throttle every receive of the first message except the last."""
        return name == "lambda_throttle" and self.day.messages[0].receives < MAX_RECEIVES


def test_fault_07__throttled_deliveries_lose_nothing() -> None:
    """Messages throttled until their last receive are recorded; none is in the DLQ."""
    fault_rates = Throttling(Random(0))
    plan = replace(QUIET, poison=frozenset(), bad=frozenset())
    day = fault_rates.day = Simulation(0, plan=plan, fault_rates=fault_rates)
    for n in range(3):
        day.queue.send(item_guid(n))
    day.run()
    assert violations(day) == []
    assert [message.receives for message in day.messages[:3]] == [MAX_RECEIVES] * 3
    assert not any(message.redriven for message in day.messages)
    assert day.dead_letters.kept == []


class Outage(FaultRates):
    """Rates at which one service refuses every call for an hour, and no other fault occurs."""

    seconds = 3600
    service = "throttle"
    calls = 0
    day: Simulation

    def occurs(self, name: str) -> bool:
        """Refuse the service's calls until the outage ends."""
        out = name == self.service and self.day.scheduler.now < START + self.seconds
        self.calls += out
        return out


@pytest.mark.parametrize("service", ["throttle", "delivery"])
def test_fault_05__outage_of_an_hour_gives_up_no_message(service: str) -> None:
    """An hour in which the ledger, or SNS and SQS, refuse every call sends nothing to the DLQ.

    Each message is recorded or rejected soon afterwards.
    """
    fault_rates = Outage(Random(0))
    fault_rates.service = service
    plan = replace(QUIET, poison=frozenset(), bad=frozenset())
    day = fault_rates.day = Simulation(0, plan=plan, fault_rates=fault_rates)
    sent = [item_guid(n) for n in range(3)] + ['{"itemGuids": "broken"}']
    for body in sent:
        day.queue.send(body)
    day.run()
    assert violations(day) == []
    messages = day.messages[: len(sent)]
    assert not any(message.redriven for message in messages)
    assert max(message.receives for message in messages) < MAX_RECEIVES
    late = [(m.acknowledged_at or 0) - START - Outage.seconds for m in messages]
    assert max(late) < VISIBILITY_SECONDS + 60
    assert {letter.body for _, letter in day.dead_letters.kept} == {sent[-1]}
    assert fault_rates.calls < 500


def test_fault_05__outage_of_a_minute_delays_a_message_by_minutes() -> None:
    """A message that could not be recorded comes back after one minute, not after seventeen."""
    fault_rates = Outage(Random(0))
    fault_rates.seconds = 45
    plan = replace(QUIET, poison=frozenset(), bad=frozenset())
    day = fault_rates.day = Simulation(0, plan=plan, fault_rates=fault_rates)
    day.queue.send(item_guid(1))
    day.run()
    assert violations(day) == []
    assert (day.messages[0].acknowledged_at or 0) - START < 180
    assert day.messages[0].receives == 2


def test_simulation__uses_the_limits_of_the_template() -> None:
    """The simulation uses the template's time-outs, visibility timeout and receive count."""
    functions = resources("AWS::Lambda::Function")
    functions = resources("AWS::Lambda::Function", "DeliversFiles")
    timeouts = {name: functions[f"{name.title()}Function"]["Timeout"] for name in TIMEOUTS}
    assert timeouts == TIMEOUTS
    intake = resources("AWS::SQS::Queue")["IntakeQueue"]
    assert intake["VisibilityTimeout"] == VISIBILITY_SECONDS
    assert intake["RedrivePolicy"]["maxReceiveCount"] == MAX_RECEIVES
