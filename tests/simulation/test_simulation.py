"""A few hundred simulated days, each of which must keep every rule and leave nothing pending."""

from __future__ import annotations

from random import Random

import pytest

from tests.simulation.delivery import DeliveryPlan
from tests.simulation.fault_rates import CHANCES, FaultRates
from tests.simulation.field import TROUBLES
from tests.simulation.invariants import violations
from tests.simulation.plan import Plan
from tests.simulation.quiet import QuietDay
from tests.simulation.runner import simulate
from tests.simulation.simulation import Simulation

SEEDS_AT_ONCE = 50
BATCHES = 4


@pytest.mark.parametrize("batch", range(BATCHES))
def test_simulation__keeps_the_rules(batch: int) -> None:
    """R1 to R12 hold whatever crashes, is lost, doubled or late (`make simulate SEED=…`)."""
    first = batch * SEEDS_AT_ONCE
    days = [simulate(seed) for seed in range(first, first + SEEDS_AT_ONCE)]
    assert [(day.seed, day.violations) for day in days if day.violations] == []
    occurred = frozenset[str]().union(*(day.occurred for day in days))
    assert set(CHANCES) - occurred == set()  # every kind of fault occurred


def test_troubles__all_occur_in_the_seeds_of_the_tests() -> None:
    """Each trouble from the field occurs in the seeds above."""
    seeds = range(SEEDS_AT_ONCE * BATCHES)
    drawn = frozenset[str]().union(*(Simulation(seed).field.troubles for seed in seeds))
    assert drawn == frozenset(TROUBLES)


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_trouble__keeps_the_rules(trouble: str) -> None:
    """A day with each trouble keeps the rules."""
    day = Simulation(3, troubles=(trouble,))
    day.run()
    day.scheduler.close()
    assert trouble in day.field
    assert violations(day) == []


def test_delivery__downloads_after_the_next_run_is_submitted() -> None:
    """On a quiet day, each file costs one request, and the next run is submitted before it."""
    day = QuietDay(5)
    day.run()
    assert violations(day) == []
    files = [file for run in day.arena.exports.runs for file in run.files]
    assert len(files) > 30
    assert day.arena.request_log.by_purpose["download"] == len(files)


@pytest.mark.parametrize("switch", ["on", "off", "off and on", "bucket"])
def test_delivery__can_be_switched_in_the_middle(switch: str) -> None:
    """Delivery is turned on, off, or off and on again, or gets another bucket, half-way through."""
    rates = FaultRates(Random(6), bucket_refused=0.02, download=0.1, kill=0.002)
    plan = Plan(messages=20, pool=30, max_items=7, arena={"runningSeconds": 20})
    delivery = DeliveryPlan(is_on=switch != "on", switches=switch)
    day = Simulation(6, plan=plan, fault_rates=rates, delivery=delivery)
    day.run()
    assert violations(day) == []
    assert day.telemetry.metrics["RunsDelivered"] > 0


def test_simulation__is_deterministic() -> None:
    """The same seed simulates the same day, call by call."""
    days = [simulate(7) for _ in range(2)]
    assert days[0] == days[1]
