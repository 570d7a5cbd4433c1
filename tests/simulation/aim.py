"""Days on which a fault is aimed at a state of the protocol: it occurs whenever that state comes.

Only a few days lead to a rare state, and a rare fault seldom meets it. Such a day draws what leads
to all states often, and causes its fault in the state that it is aimed at, a few times.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from arena_exports.domain.deliveries import DeliveryLane
from arena_exports.ledger import keys
from arena_exports.ledger.codec import to_item
from arena_exports.ports import Put
from infra.simulator import control
from tests.simulation import delivery, disruptions
from tests.simulation.coverage import (
    AT_WORK,
    DELIVERY_OFF,
    DELIVERY_STATES,
    GIVEN_UP,
    SESSION_STATES,
    TURNS,
    WITH_AN_UNKNOWN_POST,
    delivery_state,
    states,
)
from tests.simulation.delivery import OFF_SECONDS, DeliveryPlan, draw_plan_of_delivery, draw_run
from tests.simulation.fault_rates import (
    FaultRates,
    draw_fault_rates,
    draw_faults_of_delivery,
)
from tests.simulation.field import TROUBLES
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.simulation import FAULT_PHASE_SECONDS, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Write

MAX_HITS = 5
SHARE_OF_HITS = 0.5  # of the occasions, so that the fault meets different moments
WAITING = ("files due", "files back off", "all downloads back off")
OFTEN, SELDOM = 0.3, 0.1
LOST = 0.1  # of the requests to Arena: an unknown POST leads to searches
OFF_AFTER_SECONDS = 900
MANY_MESSAGES, FEW_ITEMS = 16, 7
LONG_PHASE_SECONDS = 3 * FAULT_PHASE_SECONDS  # a file is given up an hour after its first refusal


def _nowhere(_fault: str) -> bool:
    return False


@dataclass
class AimedRates(FaultRates):
    """Rates at which one fault occurs as well where it is aimed at."""

    hits: Callable[[str], bool] = field(default=_nowhere)

    def occurs(self, name: str) -> bool:
        """Draw whether a fault occurs now."""
        if self.hits(name):
            self.note(name)
            return True
        return super().occurs(name)


class AimedDay(Simulation):
    """A day on which a fault is aimed at a state."""

    def __init__(self, seed: int, fault: str, state: str) -> None:
        random = Random(f"aim {seed}")
        is_calm = state in DELIVERY_STATES or seed % 2 == 1
        drawn = FaultRates(random) if is_calm else _rough_rates(random)
        if not is_calm or state in WITH_AN_UNKNOWN_POST:
            drawn.arena_drop = max(drawn.arena_drop, LOST)
        rates = AimedRates(**vars(drawn), hits=self._hits)
        self._fault, self._state, self._left = fault, state, MAX_HITS
        self._aims = Random(f"hits {seed}")
        self._withdrawn: set[str] = set()
        if state == GIVEN_UP:
            self.fault_phase_seconds = LONG_PHASE_SECONDS
        super().__init__(
            seed,
            plan=_calm_plan(random, state) if is_calm else _rough_plan(random),
            fault_rates=rates,
            troubles=(fault,) if fault in TROUBLES else (),
            delivery=_delivery(random, fault, state),
        )
        if state == TURNS:
            turns = DeliveryLane(token="earlier").take_turns(self.scheduler.now)
            self.memory.write(Put(to_item(keys.DELIVERY_LANE, turns)))
        self.memory.intercept("write", self._write)

    def _is_there(self) -> bool:
        return self.in_fault_phase and self._left > 0 and self._state in states(self)

    def _hits(self, fault: str) -> bool:
        if fault != self._fault or not self._is_there() or self._aims.random() > SHARE_OF_HITS:
            return False
        self._left -= 1
        return True

    def _write(self, original: Callable[..., None], *writes: Write) -> None:
        original(*writes)
        if self._state == GIVEN_UP:
            self._withdraw_files()
        if self._state == DELIVERY_OFF and delivery_state(self) in WAITING:
            self.scheduler.after(0, self._turn_delivery_off)
        if self._fault in (*disruptions.KINDS, *delivery.KINDS) and self._is_there():
            self.scheduler.after(0, self._cause)

    def _withdraw_files(self) -> None:
        """Let Arena refuse half of the files of each run for good."""
        for run in self.arena.exports.runs:
            if run.guid not in self._withdrawn:
                self._withdrawn.add(run.guid)
                for file in run.files[: len(run.files) // 2]:
                    fault = {"path": f"*/{file.guid}/content", "code": 3028, "times": None}
                    control.add_faults(self.arena, fault)

    def _turn_delivery_off(self) -> None:
        """Turn delivery off for a while where files wait."""
        if self.in_fault_phase and self.delivery.is_on:
            self.delivery.cause("delivery turned off")
            self.scheduler.after(OFF_SECONDS, lambda: self.delivery.cause("delivery turned on"))

    def _cause(self) -> None:
        if self._hits(self._fault):
            of_delivery = self._fault in delivery.KINDS
            (self.delivery if of_delivery else self.disruptions).cause(self._fault)


def _rough_rates(random: Random) -> FaultRates:
    rates = draw_fault_rates(random)
    draw_faults_of_delivery(rates, random)
    return rates


def _calm_plan(random: Random, state: str) -> Plan:
    """Draw a day on which many runs end well."""
    often_or_seldom = OFTEN if state in SESSION_STATES else SELDOM
    return replace(
        draw_plan(random),
        messages=MANY_MESSAGES,
        max_items=FEW_ITEMS,
        breaks_runs=SELDOM,
        foreign=SELDOM,
        breaks_logins=often_or_seldom,
        kills_sessions=often_or_seldom,
        scarce=False,
        late=(),
    )


def _rough_plan(random: Random) -> Plan:
    """Draw a day on which logins fail, and on which others export, too."""
    plan = draw_plan(random)
    return replace(
        plan,
        breaks_logins=OFTEN,
        kills_sessions=OFTEN,
        foreign=OFTEN,
        breaks_runs=plan.breaks_runs or SELDOM,
    )


def _delivery(random: Random, fault: str, state: str) -> DeliveryPlan:
    """Draw a day on which files are delivered, and often fail."""
    plan = replace(
        draw_plan_of_delivery(random),
        bad=SELDOM if state in AT_WORK else OFTEN,
        second=OFTEN,
        runs=tuple(draw_run(random, (2, 4)) for _ in range(MANY_MESSAGES)),
    )
    if fault == "delivery turned on":
        return replace(plan, switches="off and on", switch_after=OFF_AFTER_SECONDS)
    return plan
