"""When to poll a run next."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_exports.domain import polling
from arena_exports.domain.budget import Budget
from arena_exports.domain.polling import (
    Pace,
    PastRuns,
    PollLimits,
    first_wait_seconds,
    next_wait_seconds,
    scarcity,
)
from tests.support.properties import examples, thorough

if TYPE_CHECKING:
    from collections.abc import Sequence

TEN_MINUTES = [570, 630, 590, 610, 600, 585, 615, 595, 605, 600]
HISTORY = st.lists(st.integers(min_value=0, max_value=10**6), max_size=50)


def polls(durations: Sequence[float], duration: float) -> list[float]:
    """Return the ages at which a run of a duration is polled."""
    ages = [float(first_wait_seconds(PastRuns(durations)))]
    while ages[-1] < duration:
        ages.append(ages[-1] + next_wait_seconds(PastRuns(durations), ages[-1]))
    return ages


def test_polling__unknown_definition_is_polled_in_a_geometric_series() -> None:
    """The waits grow by a third from five seconds on, so ten minutes take eighteen polls."""
    unknown = PastRuns()
    assert first_wait_seconds(unknown) == 5
    waits = [next_wait_seconds(unknown, waited) for waited in (5, 10, 100, 1000)]
    assert waits == [2, 4, 35, 350]
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
        due = polling.due(expected, polling.POLL_PRICE)
        delay = sum(max(0.0, due - d) / d for d in expected) / len(expected)
        assert delay == pytest.approx(polling.POLL_PRICE)


def test_polling__kernel_keeps_mean_and_widens_as_silverman_says() -> None:
    """Each duration has three points, on a logarithmic scale."""
    points = polling.smoothed([exp(n) for n in range(1, 6)], 1.5811388)
    assert len(points) == 15
    assert points == sorted(points)
    width = 1.06 * 1.5811388 * 5**-0.2
    assert points[-1] == pytest.approx(exp(5 + width * 1.5**0.5))
    assert points[0] == pytest.approx(exp(1 - width * 1.5**0.5))


def test_polling__few_runs_do_not_show_the_spread() -> None:
    """Only a fifth run of the same duration is taken as a sign that durations are constant."""
    assert first_wait_seconds(PastRuns([600] * 4)) < 400
    assert first_wait_seconds(PastRuns([600] * 5)) == 605


def test_polling__one_short_run_brings_the_first_poll_forward() -> None:
    """A short run among the last three counts at once; an older one does not."""
    for position in (-1, -2, -3):
        history = [600] * 20
        history[position] = 60
        assert first_wait_seconds(PastRuns(history)) == int(60 * 1.165)
    history[-4], history[-3] = 60, 600
    assert first_wait_seconds(PastRuns(history)) > 300


def test_polling__wide_history_lets_the_shortest_runs_be_late() -> None:
    """The first poll may be late for the shortest 8 % of runs, but not for more."""
    assert first_wait_seconds(PastRuns([*[60] * 2, *[6000] * 48])) > 1000
    assert first_wait_seconds(PastRuns([*[60] * 12, *[6000] * 38])) == 60


def test_polling__waits_are_bounded() -> None:
    """A wait is at most 16.5 % of the time waited, and at least a quarter of its spread."""
    random = Random(2)
    history = [random.lognormvariate(6, 0.5) for _ in range(50)]
    spread = polling.spread(history)
    assert 0.3 < spread < 0.7
    for waited in (300, 1_000, 3_000, 10_000):
        gap = next_wait_seconds(PastRuns(history), waited)
        assert int(0.25 * spread * waited) <= gap <= round(0.165 * waited)
    assert next_wait_seconds(PastRuns(history), 10_000) == 1650
    dense = min(
        next_wait_seconds(PastRuns(history), waited) / waited for waited in range(300, 2_000, 20)
    )
    assert dense == pytest.approx(0.25 * spread, abs=0.01)


@thorough()
@given(HISTORY, st.integers(min_value=0, max_value=10**7), st.floats(1, 4))
def test_polling__waits_are_whole_seconds_from_one_to_an_hour(
    history: list[int], waited: int, stretch: float
) -> None:
    """This holds for any history and any budget."""
    gaps = first, following = (
        first_wait_seconds(PastRuns(history)),
        next_wait_seconds(PastRuns(history), waited),
    )
    assert {type(gap) for gap in gaps} == {int}
    assert all(1 <= gap <= 3600 for gap in gaps)
    if history:
        assert following <= max(1, round(0.165 * waited))
        assert first <= max(1, 1.165 * min(history[-3:]))
    assert (
        following <= next_wait_seconds(PastRuns(history), waited, Pace(slowest=1 / stretch)) <= 3600
    )


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
    assert next_wait_seconds(PastRuns(), 100, Pace(slowest=1 / 2)) == 70
    assert next_wait_seconds(PastRuns([600] * 9), 1000, Pace(slowest=1 / 4)) == 660
    assert next_wait_seconds(PastRuns([600] * 9), 10**6, Pace(slowest=1 / 100)) == 3600


# ---- spare requests ------------------------------------------------------------------------------

DAY = 86_400
MORNING = Budget(remaining=8000, resets_at=DAY, seen_at=7200, first_remaining=8100, first_seen_at=0)
LIMITS = PollLimits(reserve=500, share=1.0)


def test_pace__spreads_the_spare_requests_over_the_time_until_the_reset() -> None:
    """Spare is what is left, less the others' rate so far, the reserve and our own backlog."""
    others = 100 / 7200 * (DAY - 7200)
    spare = 8000 - others - 500 - 400
    pace = LIMITS.pace(MORNING, 7200, own_requests=400)
    assert pace.polls_a_second == pytest.approx(spare / (DAY - 7200))
    assert pace.slowest == 1
    assert pace.min_gap_seconds == 0
    assert pace.density([200, 300]) == pytest.approx(pace.polls_a_second * 250 / 9)


def test_pace__our_own_polls_are_not_taken_for_the_others_rate() -> None:
    """Polls of the morning leave as much to spare as if others had spent nothing."""
    polled = replace(MORNING, polls=100, polls_since=0)
    assert LIMITS.pace(polled, 7200).polls_a_second == (8000 - 500) / (DAY - 7200)


def test_pace__takes_the_standard_price_where_nothing_is_known_to_be_spare() -> None:
    """A young day, an unknown reset, a past one and an unknown budget leave the density at 1."""
    for budget in (
        Budget(),
        replace(MORNING, seen_at=599),
        replace(MORNING, resets_at=None),
        replace(MORNING, resets_at=7200),
        replace(MORNING, remaining=2100),
    ):
        assert LIMITS.pace(budget, 7200).density([10**6]) == 1


def test_pace__is_within_the_share_of_polls() -> None:
    """A share of a tenth leaves 810 polls of 8,100 requests, and their second half is spread."""
    limits = PollLimits(reserve=500, share=0.1)
    pace = limits.pace(MORNING, 7200)
    assert (pace.polls_a_second, pace.min_gap_seconds) == (810 / (DAY - 7200), 0)
    polled = replace(MORNING, polls=405, polls_since=0)
    assert limits.pace(polled, 7200).min_gap_seconds == -(-(DAY - 7200) // 405)


def test_pace__leaves_a_poll_an_hour_where_the_share_is_spent() -> None:
    """A share that was lowered during the day may be spent long before the reset."""
    spent = PollLimits(reserve=500, share=0.1).pace(replace(MORNING, polls=2000), 7200)
    assert next_wait_seconds(PastRuns([600] * 9), 600, spent) == 3600
    assert first_wait_seconds(PastRuns([600] * 9), spent) == 3600
    soon = PollLimits(reserve=500, share=0.1).pace(replace(MORNING, polls=2000), DAY - 1000)
    assert first_wait_seconds(PastRuns([600] * 9), soon) == 1000


def test_density__shortens_each_wait() -> None:
    """A density of 2 halves the bounds and quarters the price."""
    past, double = PastRuns([600] * 9), Pace(polls_a_second=2 * 9 / 600)
    assert double.density(past.same) == 2
    assert first_wait_seconds(past, double) == int(600 * (1 + polling.POLL_PRICE / 4))
    assert next_wait_seconds(past, 1000, double) == round(1000 * polling.MAX_SHARE / 2)
    assert Pace(polls_a_second=10**6).density(past.same) == polling.MAX_DENSITY


def test_first_run__of_a_definition_learns_from_similar_ones() -> None:
    """It is first polled long before theirs end, in case it is like none of them."""
    past = PastRuns(similar=[600] * 20)
    ages = [first_wait_seconds(past)]
    while ages[-1] < 600:
        ages.append(ages[-1] + next_wait_seconds(past, ages[-1]))
    assert 5 < ages[0] < 60
    assert len(ages) <= 10 < len(polls([], 600))
    assert first_wait_seconds(PastRuns([300] * 9, similar=[600] * 20)) == 302


def test_first_run__that_is_like_none_is_seen_within_the_time_that_it_took() -> None:
    """The wait is never longer than the time waited, and a run of seconds is polled soon."""
    past = PastRuns(similar=[2700] * 50)
    assert first_wait_seconds(past) < 20
    for waited in (20, 200, 2000, 20_000):
        assert next_wait_seconds(past, waited) <= min(waited, 3600)


def test_first_run__takes_no_spare_requests() -> None:
    """A first run that is polled more closely would still be seen late: too little is known."""
    past = PastRuns(similar=[600] * 20)
    assert next_wait_seconds(past, 500, Pace(polls_a_second=1)) == next_wait_seconds(past, 500)


BUDGETS = st.builds(
    lambda first, used, seconds, polls: Budget(
        remaining=max(first - used, 0),
        resets_at=DAY,
        seen_at=seconds,
        first_remaining=first,
        first_seen_at=0,
        polls=min(polls, used),
        polls_since=0,
    ),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, DAY),
    st.integers(0, 10_000),
)
RUNS = st.builds(PastRuns, HISTORY, HISTORY)


@thorough()
@given(BUDGETS, st.integers(0, 10_000), st.integers(0, 10_000), RUNS, st.integers(1, 10**5))
def test_pace__property_more_spare_requests_never_mean_longer_waits(
    budget: Budget, more: int, own: int, past: PastRuns, waited: int
) -> None:
    """If others spent less, or the backlog needs less, polls are at least as close."""
    limits, now = PollLimits(500, 0.5), budget.seen_at
    pace = limits.pace(budget, now, own)
    richer = replace(budget, remaining=(budget.remaining or 0) + more)
    for easier in (limits.pace(richer, now, own), limits.pace(budget, now, max(own - more, 0))):
        assert first_wait_seconds(past, easier) <= first_wait_seconds(past, pace)
        assert next_wait_seconds(past, waited, easier) <= next_wait_seconds(past, waited, pace)


@thorough()
@given(BUDGETS, st.integers(0, 1000), st.floats(0.01, 1), RUNS, st.integers(0, 10**6))
def test_pace__property_waits_keep_the_minimum_gap(
    budget: Budget, reserve: int, share: float, past: PastRuns, waited: int
) -> None:
    """No wait is shorter than a second, or than what keeps polls within their share."""
    pace = PollLimits(reserve, share).pace(budget, budget.seen_at)
    for wait in (first_wait_seconds(past, pace), next_wait_seconds(past, waited, pace)):
        assert wait >= max(pace.min_gap_seconds, polling.MIN_GAP_SECONDS)
    assert 0.25 <= pace.density([max(waited, 1)]) <= polling.MAX_DENSITY


@settings(deadline=None, max_examples=examples(200))
@given(
    st.integers(0, 2000),
    st.floats(0.01, 1),
    st.lists(st.integers(1, 10_000), min_size=1, max_size=5),
    st.integers(0, DAY - 1),
)
def test_pace__property_polls_never_exceed_their_share_of_a_day(
    first: int, share: float, runs: list[int], begin: int
) -> None:
    """However short the runs are, and whenever they begin, one after the other."""
    limits, now, number = PollLimits(0, share), float(begin), 0
    budget = Budget(first, DAY, 0, begin, first, begin)
    while now < DAY:
        past = PastRuns(runs[:number][-50:])
        wait, age = first_wait_seconds(past, limits.pace(budget, now)), 0
        while (now := now + wait) < DAY:
            budget = replace(budget, remaining=first, seen_at=int(now)).polled()
            age += wait
            if age >= runs[number % len(runs)]:
                break
            wait = next_wait_seconds(past, age, limits.pace(budget, now))
        number += 1
    assert budget.polls_of_the_day <= max(int(first * share), polling.MIN_POLLS_A_DAY)


def test_pace__minimum_of_polls_is_one_an_hour() -> None:
    """A run in progress is polled even if few requests were left when the day was first seen."""
    limits, few = PollLimits(500, 0.01), Budget(5, DAY, 0, 0, 5, 0)
    assert limits.pace(few, 0).min_gap_seconds == 0
    assert limits.pace(replace(few, polls=24), 0).min_gap_seconds == 3600
