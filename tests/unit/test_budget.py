"""The request budget: headers of every form, and waits that are never a hot loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_exports.budget import (
    LONGEST_BELIEVED_SECONDS,
    REMAINING_HEADER,
    RESET_HEADER,
    SAFE_WAIT_SECONDS,
    SHORTEST_WAIT_SECONDS,
    Budget,
    parse_date,
    read_budget,
)

NOW = 1399065733.0  # Fri, 02 May 2014 21:22:13 GMT


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
def test_date__forms(text: str) -> None:
    """Arena's own odd form, the three of RFC 9110 and ISO 8601 name the same moment."""
    assert parse_date(text) == NOW


@pytest.mark.parametrize(
    "text", ["", "soon", "0", "Fri, 99-May-2014 14:22:13 GMT-0700", "2014-13-45"]
)
def test_date__odd_ones_are_none(text: str) -> None:
    """What is no date is None, never an exception."""
    assert parse_date(text) is None


def headers(
    remaining: str | None = None, reset: str | None = None, date: str | None = None
) -> dict[str, str]:
    """Return an answer's headers."""
    named = {REMAINING_HEADER: remaining, RESET_HEADER: reset, "date": date}
    return {name: value for name, value in named.items() if value is not None}


def test_budget__is_read_from_every_answer() -> None:
    """The number left, and the reset measured on Arena's own clock."""
    budget = read_budget(
        headers("42", "Fri, 02 May 2014 22:22:13 GMT", "Fri, 02 May 2014 21:12:13 GMT"),
        NOW,
        spent=False,
    )
    assert budget == Budget(42, int(NOW) + 4200, 0, int(NOW))


@pytest.mark.parametrize("remaining", [None, "", "many", "-1", "1.5", "٣", "9" * 30])
def test_budget__without_a_number_says_nothing(remaining: str | None) -> None:
    """An answer that names no number leaves what was known."""
    assert read_budget(headers(remaining), NOW, spent=False) is None


def test_budget__spent_waits_for_the_reset() -> None:
    """After a 429, no request until the reset."""
    budget = read_budget(headers("0", "Sat, 03 May 2014 07:00:00 GMT"), NOW, spent=True)
    assert budget is not None
    reset = parse_date("2014-05-03T07:00:00Z")
    assert reset is not None
    assert budget.wait_seconds(NOW, 0) == pytest.approx(reset - NOW, abs=2)


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        (None, SAFE_WAIT_SECONDS),
        ("garbage", SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 10:00:00 GMT", SAFE_WAIT_SECONDS),
        ("Fri, 02 May 2014 21:20:00 GMT", SHORTEST_WAIT_SECONDS),
        ("Fri, 02 May 2015 21:20:00 GMT", SAFE_WAIT_SECONDS),
    ],
)
def test_budget__odd_reset_is_a_safe_wait(reset: str | None, wait: int) -> None:
    """FAULT 32: missing, unreadable, past, or too far away: a wait that is safe in each case."""
    budget = read_budget(headers("0", reset), NOW, spent=True)
    assert budget is not None
    assert budget.wait_seconds(NOW, 0) == pytest.approx(wait, abs=1)


def test_budget__reserve() -> None:
    """At the reserve nothing new may start; above it, and after the reset, it may."""
    budget = Budget(100, int(NOW) + 60, 0, int(NOW))
    assert budget.wait_seconds(NOW, 99) == 0
    assert budget.wait_seconds(NOW, 100) == 61
    assert budget.wait_seconds(NOW + 61, 100) == 0
    assert Budget(100, None, 0, int(NOW)).wait_seconds(NOW, 100) == SAFE_WAIT_SECONDS + 1


@settings(max_examples=1000)
@given(st.text() | st.sampled_from(["0", "5"]), st.text(), st.text(), st.booleans())
def test_budget__property_any_header(
    remaining: str,
    reset: str,
    date: str,
    spent: bool,  # noqa: FBT001 - Hypothesis gives arguments by position
) -> None:
    """Whatever stands in the headers: no exception, and after a 429 a wait between bounds."""
    budget = read_budget(headers(remaining, reset, date), NOW, spent=spent)
    if spent:
        assert budget is not None
        assert SHORTEST_WAIT_SECONDS <= budget.wait_seconds(NOW, 0) <= LONGEST_BELIEVED_SECONDS


def test_forecast__from_the_day_s_first_answer() -> None:
    """The rate of the day so far, at most 24 hours; a day begins when more is left than before."""
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
