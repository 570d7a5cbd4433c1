"""Some hundreds of simulated days; each must leave every rule whole and nothing pending."""

from __future__ import annotations

import pytest

from tests.simulation.runner import simulate

SEEDS_AT_ONCE = 20
BATCHES = 10


@pytest.mark.parametrize("batch", range(BATCHES))
def test_simulation__keeps_the_rules(batch: int) -> None:
    """R1 to R11 hold whatever dies, gets lost, comes twice.

    Or comes late (`make simulate SEED=…`).
    """
    first = batch * SEEDS_AT_ONCE
    broken = [
        (day.seed, day.violations)
        for day in map(simulate, range(first, first + SEEDS_AT_ONCE))
        if day.violations
    ]
    assert broken == []


def test_simulation__is_deterministic() -> None:
    """The same seed is the same day, call by call."""
    days = [simulate(7) for _ in range(2)]
    assert days[0] == days[1]
    assert days[0].calls > 200
