"""When to poll a run next."""

from __future__ import annotations

from math import exp, inf
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_exports.domain import polling
from arena_exports.domain.polling import first_wait_seconds, next_wait_seconds, scarcity
from tests.support.properties import thorough

if TYPE_CHECKING:
    from collections.abc import Sequence

TEN_MINUTES = [570, 630, 590, 610, 600, 585, 615, 595, 605, 600]
HISTORY = st.lists(st.integers(min_value=0, max_value=10**6), max_size=50)


def polls(durations: Sequence[float], duration: float) -> list[float]:
    """Return the ages at which a run of a duration is polled."""
    ages = [float(first_wait_seconds(durations))]
    while ages[-1] < duration:
        ages.append(ages[-1] + next_wait_seconds(durations, ages[-1]))
    return ages


def test_polling__unknown_definition_is_polled_in_a_geometric_series() -> None:
    """The waits grow by a third from five seconds on, so ten minutes take eighteen polls."""
    assert first_wait_seconds([]) == 5
    assert [next_wait_seconds([], waited) for waited in (5, 10, 100, 1000)] == [2, 4, 35, 350]
    assert len(polls([], 600)) == 18


def test_polling__first_poll_is_before_most_runs_end() -> None:
    """Ten-minute exports are first polled shortly before ten minutes."""
    assert polls(TEN_MINUTES, 600) == [593, 612]
    assert polls(TEN_MINUTES, 630) == [593, 612, 625, 638]


def test_polling__constant_duration_needs_one_poll() -> None:
    """The poll is late by no more than the price of a poll."""
    assert polls([600] * 9, 600) == [605]


def test_polling__due_time_is_where_the_mean_delay_is_worth_a_poll() -> None:
    """By definition, the mean of max(0, (t - d) / d) is then the price."""
    random = Random(1)
    for _ in range(100):
        expected = sorted(random.lognormvariate(6, 1) for _ in range(random.randrange(1, 60)))
        due = polling.due(expected)
        delay = sum(max(0.0, due - d) / d for d in expected) / len(expected)
        assert delay == pytest.approx(polling.POLL_PRICE)


def test_polling__kernel_keeps_mean_and_widens_as_silverman_says() -> None:
    """Each duration has three points, on a logarithmic scale."""
    points = polling.smoothed([exp(n) for n in range(1, 6)])
    assert len(points) == 15
    assert points == sorted(points)
    width = 1.06 * 1.5811388 * 5**-0.2
    assert points[-1] == pytest.approx(exp(5 + width * 1.5**0.5))
    assert points[0] == pytest.approx(exp(1 - width * 1.5**0.5))


def test_polling__few_runs_do_not_show_the_spread() -> None:
    """Only a fifth run of the same duration is taken as a sign that durations are constant."""
    assert first_wait_seconds([600] * 4) < 400
    assert first_wait_seconds([600] * 5) == 605


def test_polling__one_short_run_brings_the_first_poll_forward() -> None:
    """A short run among the last three counts at once; an older one does not."""
    for position in (-1, -2, -3):
        history = [600] * 20
        history[position] = 60
        assert first_wait_seconds(history) == int(60 * 1.165)
    history[-4], history[-3] = 60, 600
    assert first_wait_seconds(history) > 300


def test_polling__wide_history_lets_the_shortest_runs_be_late() -> None:
    """The first poll may be late for the shortest 8 % of runs, but not for more."""
    assert first_wait_seconds([*[60] * 2, *[6000] * 48]) > 1000
    assert first_wait_seconds([*[60] * 12, *[6000] * 38]) == 60


def test_polling__waits_are_bounded() -> None:
    """A wait is at most 16.5 % of the time waited, and at least a quarter of its spread."""
    random = Random(2)
    history = [random.lognormvariate(6, 0.5) for _ in range(50)]
    spread = polling.spread(history)
    assert 0.3 < spread < 0.7
    for waited in (300, 1_000, 3_000, 10_000):
        gap = next_wait_seconds(history, waited)
        assert int(0.25 * spread * waited) <= gap <= round(0.165 * waited)
    assert next_wait_seconds(history, 10_000) == 1650
    dense = min(next_wait_seconds(history, waited) / waited for waited in range(300, 2_000, 20))
    assert dense == pytest.approx(0.25 * spread, abs=0.01)


@thorough()
@given(HISTORY, st.integers(min_value=0, max_value=10**7), st.floats(1, 4))
def test_polling__waits_are_whole_seconds_from_one_to_an_hour(
    history: list[int], waited: int, stretch: float
) -> None:
    """This holds for any history and any budget."""
    gaps = first, following = first_wait_seconds(history), next_wait_seconds(history, waited)
    assert {type(gap) for gap in gaps} == {int}
    assert all(1 <= gap <= 3600 for gap in gaps)
    if history:
        assert following <= max(1, round(0.165 * waited))
        assert first <= max(1, 1.165 * min(history[-3:]))
    assert following <= next_wait_seconds(history, waited, scarcity=stretch) <= 3600


@settings(max_examples=50)
@given(HISTORY)
def test_polling__never_takes_more_than_2000_polls(history: list[float]) -> None:
    """This holds for a run of 60 days, as long as Arena keeps files, with any history."""
    assert len(polls(history, 60 * 86_400)) <= 2000


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [(None, 1), (10_000, 1), (400, 1), (320, 1.25), (200, 2), (100, 4), (50, 4), (0, 4), (-5, 4)],
)
def test_scarcity__grows_as_the_budget_shrinks(remaining: int | None, expected: float) -> None:
    """The waits are stretched between four reserves left and one."""
    assert scarcity(remaining, 100) == expected


def test_scarcity__applies_without_a_reserve() -> None:
    """If nothing is left, the waits grow as with a small reserve."""
    assert scarcity(1, 0) == scarcity(0, 0) == 4
    assert scarcity(200, 0) == scarcity(200, 100) == 2
    assert scarcity(400, 0) == 1


def test_scarcity__stretches_waits() -> None:
    """This holds for known and unknown definitions."""
    assert next_wait_seconds([], 100, scarcity=2) == 70
    assert next_wait_seconds([600] * 9, 1000, scarcity=4) == 660
    assert next_wait_seconds([600] * 9, 10**6, scarcity=inf) == 3600
