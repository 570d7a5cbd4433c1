"""A few hundred simulated days, each of which must keep every rule and leave nothing pending."""

from __future__ import annotations

import pytest

from tests.simulation.fault_rates import CHANCES
from tests.simulation.field import TROUBLES
from tests.simulation.invariants import violations
from tests.simulation.runner import simulate
from tests.simulation.simulation import Simulation

SEEDS_AT_ONCE = 50
BATCHES = 4


@pytest.mark.parametrize("batch", range(BATCHES))
def test_simulation__keeps_the_rules(batch: int) -> None:
    """R1 to R11 hold whatever crashes, is lost, doubled or late (`make simulate SEED=…`)."""
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


def test_simulation__is_deterministic() -> None:
    """The same seed simulates the same day, call by call."""
    days = [simulate(7) for _ in range(2)]
    assert days[0] == days[1]
