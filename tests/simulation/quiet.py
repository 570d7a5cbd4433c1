"""A day with many runs and files, on which nothing goes wrong."""

from __future__ import annotations

from random import Random

from tests.simulation.delivery import DeliveryPlan
from tests.simulation.fault_rates import FaultRates
from tests.simulation.plan import Plan
from tests.simulation.simulation import Simulation

PLAN = Plan(messages=20, pool=30, max_items=2, arena={"runningSeconds": 20})
RUNS = ({"contents": [{}, {"kind": "csv", "size": 150_000}]},) * 10


class QuietDay(Simulation):
    """The day; the seed draws what is sent and when."""

    def __init__(self, seed: int) -> None:
        delivery = DeliveryPlan(is_on=True, is_quiet=True, runs=RUNS)
        super().__init__(seed, plan=PLAN, fault_rates=FaultRates(Random(seed)), delivery=delivery)

    def _disrupt(self) -> None:
        """Cause nothing."""
