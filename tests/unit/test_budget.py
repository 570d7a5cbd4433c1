"""The request budget: headers of every form, and waits that never become a tight loop."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.domain.budget import (
    MAX_BELIEVED_SECONDS,
    MAX_BURST_SECONDS,
    REMAINING_HEADER,
    RESET_HEADER,
    SAFE_WAIT_SECONDS,
    Budget,
    altered_headers,
    limited_budget,
    none_remaining,
    read_budget,
    spent_budget,
)
from arena_exports.domain.times import parse_date
from tests.support.properties import thorough

NOW = 1399065733.0  # Fri, 02 May 2014 21:22:13 GMT


def format_date(at: float) -> str:
    """Return a moment as an HTTP date."""
    return formatdate(at, usegmt=True)


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)",
        "Fri, 02 May 2014 21:22:13 GMT",
        "Friday, 02-May-14 21:22:13 GMT",
        "Fri May  2 21:22:13 2014",
        "Fri, 02 May 2014 14:22:13 -0700",
        "2014-05-02T21:22:13Z",
        "2014-05-02T14:22:13-07:00",
        "Fri, 02-May-2014 14:22:13 GMT-07:00",
    ],
)
def test_date__is_read_in_every_form(text: str) -> None:
    """Arena's own form, the three of RFC 9110 and ISO 8601 denote the same moment."""
    assert parse_date(text) == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "0",
        "Fri, 99-May-2014 14:22:13 GMT-0700",
        "2014-13-45",
        "Fri, 02 May 2014 21:22:13 CEST",
        "Fri, 02 May 2014 21:22:13",
        "Fri, 02-May-2014 14:22:13 GMT-7",
        "2014-05-02T21:22:13",
    ],
)
def test_date__is_none_if_it_cannot_be_read(text: str) -> None:
    """FAULT 92: text that is no date, or has an unreadable time zone, is None."""
    assert parse_date(text) is None


def headers(
    remaining: str | None = None, reset: str | None = None, date: str | None = None
) -> dict[str, str]:
    """Return an answer's headers."""
    named = {REMAINING_HEADER: remaining, RESET_HEADER: reset, "date": date}
    return {name: value for name, value in named.items() if value is not None}


def test_budget__is_read_from_every_answer() -> None:
    """The budget holds the number left, and the reset by Arena's own clock."""
    told = headers("42", "Fri, 02 May 2014 22:22:13 GMT", "Fri, 02 May 2014 21:12:13 GMT")
    budget = read_budget(told, NOW)
    assert budget == Budget(42, int(NOW) + 4200, 0, int(NOW))


@pytest.mark.parametrize("remaining", [None, "", "many", "٣", "9" * 30])
def test_budget__is_unchanged_without_a_number(remaining: str | None) -> None:
    """An answer without a number changes nothing."""
    assert read_budget(headers(remaining), NOW) is None


@pytest.mark.parametrize(
    ("remaining", "count"),
    [("9000, 9000", 9000), ("9000,8999", 9000), ("-5", 0), ("8999.0", 8999), (" 7 ", 7)],
)
def test_fault_92__altered_number_is_read(remaining: str, count: int) -> None:
    """The first number of a header counts, and a negative one counts as none left."""
    budget = read_budget(headers(remaining), NOW)
    assert budget is not None
    assert budget.remaining == count
    assert none_remaining(headers(remaining)) is (count == 0)


def test_fault_92__altered_headers_are_reported() -> None:
    """An altered header is reported; a missing or usual one is not."""
    usual = headers("9000", "Sat, 03 May 2014 07:00:00 GMT", "Fri, 02 May 2014 21:22:13 GMT")
    assert altered_headers(usual) == []
    assert altered_headers({}) == []
    altered = headers("9000, 9000", "Sat, 03 May 2014 07:00:00 CEST", "soon")
    assert altered_headers(altered) == [REMAINING_HEADER, RESET_HEADER, "date"]


@pytest.mark.parametrize("seconds", [1, 20, 899, 36_000])
def test_fault_30__reset_by_arena_s_own_clock_is_waited_for_exactly(seconds: int) -> None:
    """If the Date header shows Arena's clock, no margin is added, however short the wait."""
    at = NOW - 300  # Arena's clock is five minutes behind ours
    told = headers("0", f"{format_date(at + seconds)}", format_date(at))
    assert spent_budget(told, NOW, Budget()).wait_seconds(NOW, 0) == seconds


def test_fault_30__reset_without_arena_s_clock_gets_a_growing_margin() -> None:
    """Our clock may be ahead of Arena's, so the margin of a minute doubles with each 429."""
    told = headers("0", format_date(NOW + 100))
    budget, waits = Budget(), []
    for _ in range(4):
        budget = spent_budget(told, NOW, budget)
        waits.append(budget.wait_seconds(NOW, 0))
    assert waits == [160, 220, 340, 580]


@pytest.mark.parametrize(
    ("reset", "date", "wait"),
    [
        (None, None, SAFE_WAIT_SECONDS),
        ("garbage", None, SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 10:00:00 GMT", None, SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 21:20:00 GMT", None, 60),
        ("Fri, 02 May 2014 21:20:00 GMT", "Fri, 02 May 2014 21:20:00 GMT", SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 21:20:00 GMT", "Fri, 02 May 2014 21:20:30 GMT", SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 23:20:00 CEST", None, SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2015 21:20:00 GMT", None, SAFE_WAIT_SECONDS),
    ],
)
def test_budget__odd_reset_is_a_safe_wait(reset: str | None, date: str | None, wait: int) -> None:
    """FAULT 32: a reset that is missing, unreadable, past or far away leads to a safe wait."""
    budget = spent_budget(headers("0", reset, date), NOW, Budget())
    assert budget.wait_seconds(NOW, 0) == wait


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("5", [5, 10, 20]),
        ("5, 5", [5, 10, 20]),
        (format_date(NOW + 30), [30, 60, 120]),
        ("0", [1, 2, 4]),
        ("86400", [MAX_BURST_SECONDS] * 3),
        ("soon", [60, 120, 240]),
        (None, [60, 120, 240]),
    ],
)
def test_fault_30__burst_limit_is_waited_for(retry_after: str | None, waits: list[int]) -> None:
    """After a 429 with requests left, the wait follows Retry-After and doubles up to a bound."""
    told = headers("9000") | ({} if retry_after is None else {"retry-after": retry_after})
    budget, found = Budget(), []
    for _ in waits:
        budget = limited_budget(told, NOW, budget)
        found.append(budget.wait_seconds(NOW, 0))
    assert found == waits
    assert budget.remaining == 9000
    assert budget.wait_seconds(NOW + waits[-1], 500) == 0


def test_budget__allows_no_run_at_the_reserve() -> None:
    """At the reserve no run may start; above it and after the reset, one may."""
    budget = Budget(100, int(NOW) + 60, 0, int(NOW))
    assert budget.wait_seconds(NOW, 99) == 0
    assert budget.wait_seconds(NOW, 100) == 60
    assert budget.wait_seconds(NOW + 60, 100) == 0
    assert Budget(100, None, 0, int(NOW)).wait_seconds(NOW, 100) == SAFE_WAIT_SECONDS


@thorough()
@given(st.text() | st.sampled_from(["0", "5"]), st.text(), st.text(), st.integers(0, 10**6))
def test_budget__property_any_header(remaining: str, reset: str, date: str, refusals: int) -> None:
    """Whatever the headers hold, there is no exception, and after a 429 a bounded wait."""
    told, earlier = headers(remaining, reset, date), Budget(refusals=refusals)
    read_budget(told, NOW)
    altered_headers(told)
    for budget in (
        spent_budget(told, NOW, earlier),
        limited_budget(told | {"retry-after": remaining}, NOW, earlier),
    ):
        assert 0 < budget.wait_seconds(NOW, 0) <= MAX_BELIEVED_SECONDS
        assert budget.refusals == refusals + 1


def test_forecast__starts_from_the_day_s_first_answer() -> None:
    """The rate covers the day so far; a day begins when more is left than before."""
    first = Budget(remaining=1000, seen_at=0).following(Budget())
    assert first.hours_left() is None
    assert replace(first, seen_at=7200).hours_left() is None, "nothing was spent"
    young = Budget(remaining=900, seen_at=599).following(first)
    assert young.hours_left() is None
    later = Budget(remaining=800, seen_at=7200).following(young)
    assert later.hours_left() == 8.0
    assert Budget(remaining=999, seen_at=7200).following(first).hours_left() == 24.0
    assert Budget(remaining=0, seen_at=7200).following(first).hours_left() == 0.0
    next_day = Budget(remaining=900, seen_at=90_000).following(later)
    assert (next_day.first_remaining, next_day.first_seen_at) == (900, 90_000)
    assert Budget(remaining=800, seen_at=7200).following(later).first_remaining == 1000
    assert Budget(spent_until=5).following(later) == Budget(spent_until=5)


def test_budget__of_the_same_reset_is_of_the_same_day() -> None:
    """If answers overtake each other, more seems to be left than before: no day begins."""
    known = Budget(98, 9000, seen_at=50, first_remaining=200, first_seen_at=10)
    late = Budget(99, 9000, seen_at=51).following(known)
    assert (late.first_remaining, late.first_seen_at) == (200, 10)
    next_day = Budget(99, 9000 + 86_400, seen_at=9001).following(known)
    assert (next_day.first_remaining, next_day.first_seen_at) == (99, 9001)


@pytest.mark.parametrize(
    ("resets_at", "next_reset"), [(9000, 95_400), (9000, None), (None, 95_400), (None, None)]
)
def test_budget__day_begins_after_the_reset_even_if_others_have_spent_more(
    resets_at: int | None, next_reset: int | None
) -> None:
    """The day's first answer may come late. If the reset is not known, a day lasts 24 hours."""
    known = Budget(98, resets_at, 0, 50, 200, 10, polls=90, polls_since=10)
    late = Budget(40, next_reset, seen_at=86_410).following(known)
    assert (late.first_remaining, late.first_seen_at) == (40, 86_410)
    assert late.polls_of_the_day == 0
    assert Budget(40, resets_at, seen_at=8999).following(known).first_seen_at == 10


def test_budget__of_a_reset_that_our_clock_passes_early_is_of_the_same_day() -> None:
    """Arena's clock may be behind ours, and name the same reset for some minutes."""
    known = Budget(98, 9000, 0, 50, 200, 10)
    assert Budget(97, 9000, seen_at=9500).following(known).first_seen_at == 10


def test_budget__day_begins_anew_when_the_limit_is_raised() -> None:
    """More than at the day's first answer is left: neither the share nor the rate is of today."""
    known = Budget(98, 9000, 0, 50, 200, 10, polls=90, polls_since=10)
    raised = Budget(201, 9000, seen_at=60).following(known)
    assert (raised.first_remaining, raised.first_seen_at) == (201, 60)
    assert raised.polls_of_the_day == 0


def test_budget__counts_the_polls_of_its_day() -> None:
    """The count follows from answer to answer, and begins anew with the day."""
    first = Budget(100, 9000, seen_at=50).following(Budget()).polled()
    second = Budget(99, 9000, seen_at=60).following(first).polled()
    assert (first.polls_of_the_day, second.polls_of_the_day) == (1, 2)
    assert Budget(98, 9000, seen_at=70).following(second).polls_of_the_day == 2
    next_day = Budget(100, 95_400, seen_at=9001).following(second)
    assert next_day.polls_of_the_day == 0
    assert next_day.polled().polls_of_the_day == 1


def test_spare__is_what_the_others_leave() -> None:
    """Others go on at the rate of the day so far, which our polls are not part of."""
    known = Budget(700, 10_000, seen_at=1000, first_remaining=900, first_seen_at=0)
    assert known.spare(1000) == 0, "9 x 200 are more than 700"
    polled = replace(known, polls=150, polls_since=0)
    assert polled.spare(1000) == 700 - 9 * 50
    assert polled.spare(6000) == 700 - 4 * 50
    assert replace(polled, polls=500).spare(1000) == 700
    assert replace(polled, seen_at=599).spare(599) == 0, "too young a day"
    assert replace(polled, resets_at=None).spare(1000) == 0, "no known reset"
    assert Budget().spare(1000) == 0
