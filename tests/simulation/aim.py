"""Days on which a fault is aimed at a state of the protocol: it occurs whenever that state comes.

Only a few days lead to a rare state, and a rare fault seldom meets it. Such a day draws what leads
to all states often, and causes its fault in the state that it is aimed at, a few times.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from tests.simulation import delivery, disruptions
from tests.simulation.coverage import states
from tests.simulation.delivery import DeliveryPlan, draw_plan_of_delivery
from tests.simulation.fault_rates import (
    FaultRates,
    draw_fault_rates,
    draw_faults_of_delivery,
)
from tests.simulation.field import TROUBLES
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Write

MAX_HITS = 5
SHARE_OF_HITS = 0.5  # of the occasions, so that the fault meets different moments
OFTEN, SELDOM = 0.3, 0.1
LOST = 0.1  # of the requests to Arena: an unknown POST leads to searches
OFF_AFTER_SECONDS = 900


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
        drawn = draw_fault_rates(random)
        draw_faults_of_delivery(drawn, random)
        drawn.arena_drop = max(drawn.arena_drop, LOST)
        rates = AimedRates(**vars(drawn), hits=self._hits)
        self._fault, self._state, self._left = fault, state, MAX_HITS
        self._aims = Random(f"hits {seed}")
        super().__init__(
            seed,
            plan=_plan(random),
            fault_rates=rates,
            troubles=(fault,) if fault in TROUBLES else (),
            delivery=_delivery(random, fault),
        )
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
        if self._fault in (*disruptions.KINDS, *delivery.KINDS) and self._is_there():
            self.scheduler.after(0, self._cause)

    def _cause(self) -> None:
        if self._hits(self._fault):
            of_delivery = self._fault in delivery.KINDS
            (self.delivery if of_delivery else self.disruptions).cause(self._fault)


def _plan(random: Random) -> Plan:
    """Draw a day on which logins fail, and on which others export, too."""
    plan = draw_plan(random)
    return replace(
        plan,
        breaks_logins=OFTEN,
        kills_sessions=OFTEN,
        foreign=OFTEN,
        breaks_runs=plan.breaks_runs or SELDOM,
    )


def _delivery(random: Random, fault: str) -> DeliveryPlan:
    """Draw a day on which files are delivered, and often fail."""
    plan = replace(draw_plan_of_delivery(random), bad=OFTEN, second=OFTEN)
    if fault == "delivery turned on":
        return replace(plan, switches="off and on", switch_after=OFF_AFTER_SECONDS)
    return plan
