"""Every crash point: the process dies before or after each single external call.

The harness counts the calls of a small day and crashes at each of them in turn, so a new side
effect is covered as soon as it is written.
"""

from __future__ import annotations

import json
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest

from arena_exports.services import submission
from infra.simulator import names
from tests.simulation.delivery import OFF, TWO_FILES
from tests.simulation.fault_rates import FaultRates
from tests.simulation.invariants import violations
from tests.simulation.plan import Plan
from tests.simulation.scheduler import Killed
from tests.simulation.simulation import START, Simulation
from tests.support.world import EXPORT, RECONCILE, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARDS = 8
MAX_SECONDS = 4 * 3600
BAD, POISON = item_guid(90), item_guid(91)
BODIES = [
    item_guid(1),
    json.dumps({"itemGuids": [item_guid(1), item_guid(2), BAD]}),
    json.dumps({"exportGuid": names.DEFINITION_EXPORT_GUID}),
    json.dumps({"itemGuids": "malformed"}),
    json.dumps({"exportGuid": EXPORT, "itemGuids": [item_guid(3), POISON], "priority": "bulk"}),
]
QUIET = Plan(
    messages=0,
    pool=1,
    max_items=50,
    poison=frozenset({POISON}),
    bad=frozenset({BAD}),
    arena={"runningSeconds": 3},
)


class SmallDay(Simulation):
    """Five messages, one of each kind; the process dies at one numbered moment.

    Call n has two moments: 2n before its effect, and 2n + 1 after it. With `double`, a second
    submit runs beside whatever is running at that moment.
    """

    bodies: Sequence[str] = BODIES
    delivery_plan = OFF

    def __init__(self, dies_at: int = -1, *, double: bool = False) -> None:
        fault_rates = FaultRates(Random(0))
        super().__init__(0, plan=QUIET, fault_rates=fault_rates, delivery=self.delivery_plan)
        self._dies_at = dies_at
        self._double = double
        self.moments = 0
        self.outside.intercept("perhaps_die", self._die_at_the_moment)

    def _die_at_the_moment(self, *_args: object) -> None:
        moment, self.moments = self.moments, self.moments + 1
        if moment == self._dies_at:
            if self._double:
                self.invoke_another()
            self.fault_rates.occurred.add("kill")
            raise Killed

    def invoke_another(self) -> None:
        """Invoke the function that runs beside the one that dies."""
        self.invoke("submit", RECONCILE)

    def _live(self) -> None:
        for body in self.bodies:
            self.queue.send(body)
        self._every(1.0, self.queue.deliver)
        self._every(60.0, lambda: self.invoke("submit", RECONCILE))
        self.scheduler.run_until(START + MAX_SECONDS, idle=self.is_drained)


class DayWithFiles(SmallDay):
    """One message, whose run has two files.

    With `double`, a second deliver runs beside whatever is running at that moment.
    """

    bodies = BODIES[:1]
    delivery_plan = TWO_FILES

    def invoke_another(self) -> None:
        """Invoke the function that runs beside the one that dies."""
        self.invoke("deliver", {"settledBefore": self.scheduler.now})


def outcome(make: Callable[[], SmallDay]) -> tuple[SmallDay, list[str]]:
    """Run a day and check it."""
    day = make()
    day.run()
    return day, violations(day)


def test_small_day__keeps_the_rules_without_a_crash() -> None:
    """The day keeps the rules without a crash, so what follows is due to the crashes."""
    day, found = outcome(SmallDay)
    assert found == []
    assert [message.body for message in day.messages] == BODIES
    assert day.moments > 200


def test_day_with_files__keeps_the_rules_without_a_crash() -> None:
    """Each file is downloaded once, and both are delivered."""
    day, found = outcome(DayWithFiles)
    assert found == []
    assert day.arena.request_log.by_purpose["download"] == 2
    suffixes = sorted(key.rpartition(".")[2] for key in day.delivery.bucket.objects)
    assert suffixes == ["json", "json", "zip"]  # the manifest is one of them


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize(
    ("double", "refusals"),
    [(False, 10), (True, 10), (False, 1)],
    ids=["alone", "beside another", "alone, halving at the first refusal"],
)
def test_crash_point__keeps_the_rules_at_each_moment(
    monkeypatch: pytest.MonkeyPatch, shard: int, *, double: bool, refusals: int
) -> None:
    """FAULT 6, 12, 16, 25, 39, 47: every rule holds at whatever moment the process dies."""
    monkeypatch.setattr(submission, "MAX_REFUSALS_OF_ITEMS", refusals)
    assert broken(SmallDay, shard, double=double) == {}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("double", [False, True], ids=["alone", "beside another"])
def test_crash_point__of_a_day_with_files_keeps_the_rules_at_each_moment(
    shard: int, *, double: bool
) -> None:
    """Every rule of deliveries holds at whatever moment the process dies."""
    assert broken(DayWithFiles, shard, double=double) == {}


def broken(day: type[SmallDay], shard: int, *, double: bool) -> dict[int, list[str]]:
    """Return what is violated, by the moment at which the process dies."""
    whole = day()
    whole.run()
    found = {
        moment: outcome(partial(day, moment, double=double))[1]
        for moment in range(shard, whole.moments, SHARDS)
    }
    return {moment: texts for moment, texts in found.items() if texts}
