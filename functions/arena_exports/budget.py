"""The workspace's daily request budget, as the headers of Arena's answers tell it (R6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REMAINING_HEADER = "x-arena-requests-remaining"
RESET_HEADER = "x-arena-next-request-limit-reset"

SAFE_WAIT_SECONDS = 3600  # where nothing believable says when the budget is reset
SHORTEST_WAIT_SECONDS = 900  # covers a clock that is ten minutes off
LONGEST_BELIEVED_SECONDS = 26 * 3600  # the budget's day has 24 hours, 25 when the clocks go back
_SHORTEST_FORECAST_SECONDS = 600
_MOST_DIGITS = 12
_ODD_DATE = re.compile(
    r"(?:\w{3}, )?(\d{1,2})[- ](\w{3})[- ](\d{4}) (\d\d):(\d\d):(\d\d) GMT(?:([+-])(\d\d):?(\d\d))?"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What is known of the budget.

    `remaining` is a number of requests, None when no answer told it yet; `resets_at`, `spent_until`
    and `seen_at` are epoch seconds on our clock; `spent_until` is 0 when the budget is not known to
    be spent. `first_remaining` and `first_seen_at` are those of the day's first answer.
    """

    remaining: int | None = None
    resets_at: int | None = None
    spent_until: int = 0
    seen_at: int = 0
    first_remaining: int | None = None
    first_seen_at: int = 0

    def following(self, earlier: Budget) -> Budget:
        """Return this budget as one of the same day as `earlier`, or as the first of a new day.

        A day has begun when more is left than before.
        """
        if self.remaining is None:
            return self
        first = earlier.first_remaining
        if first is None or earlier.remaining is None or self.remaining > earlier.remaining:
            return replace(self, first_remaining=self.remaining, first_seen_at=self.seen_at)
        return replace(self, first_remaining=first, first_seen_at=earlier.first_seen_at)

    def hours_left(self) -> float | None:
        """Forecast in how many hours the budget is spent at the rate of the day so far.

        At most 24; None while the day is too young to tell, and when nothing was spent.
        """
        seconds = self.seen_at - self.first_seen_at
        used = (self.first_remaining or 0) - (self.remaining or 0)
        if used <= 0 or seconds < _SHORTEST_FORECAST_SECONDS:
            return None
        return min((self.remaining or 0) / used * seconds / 3600, 24.0)

    def wait_seconds(self, now: float, reserve: int) -> int:
        """Return for how many seconds no request may go that leaves less than `reserve` (0: go)."""
        if self.spent_until > now:
            return int(self.spent_until - now) + 1
        if self.remaining is None or self.remaining > reserve:
            return 0
        until = self.resets_at if self.resets_at is not None else self.seen_at + SAFE_WAIT_SECONDS
        return max(int(until - now) + 1, 0) if until > now else 0


def read_budget(headers: Mapping[str, str], now: float, *, spent: bool) -> Budget | None:
    """Read the budget from an answer's headers (names in lower case); None where they say nothing.

    Args:
        headers: the answer's headers.
        now: epoch seconds on our clock.
        spent: whether the answer was a 429: then the result always has a `spent_until`.
    """
    remaining = headers.get(REMAINING_HEADER, "").strip()
    count = (
        int(remaining)
        if remaining.isascii() and remaining.isdigit() and len(remaining) < _MOST_DIGITS
        else None
    )
    if count is None and not spent:
        return None
    resets_in = _resets_in(headers, now)
    resets_at = None if resets_in is None else int(now + resets_in)
    spent_until = int(now + _spent_wait(resets_in)) if spent else 0
    return Budget(0 if spent else count, resets_at, spent_until, int(now))


def _spent_wait(resets_in: float | None) -> float:
    return SAFE_WAIT_SECONDS if resets_in is None else max(resets_in, SHORTEST_WAIT_SECONDS)


def _resets_in(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the reset, by Arena's own clock where the Date header shows it."""
    reset = parse_date(headers.get(RESET_HEADER, ""))
    if reset is None:
        return None
    arena_now = parse_date(headers.get("date", ""))
    seconds = reset - (now if arena_now is None else arena_now)
    return (
        max(seconds, 0.0) if -SHORTEST_WAIT_SECONDS < seconds < LONGEST_BELIEVED_SECONDS else None
    )


def parse_date(text: str) -> float | None:
    """Read a date header into epoch seconds; None where it cannot be read.

    Read are the forms of RFC 9110, ISO 8601, and Arena's own odd one.

    Arena documents `Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)`.
    """
    for parse in (_odd_date, parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _odd_date(text: str) -> datetime:
    match = _ODD_DATE.match(text)
    if match is None:
        raise ValueError(text)
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    text = f"{day} {month} {year} {hour}:{minute}:{second}"
    return datetime.strptime(text, "%d %b %Y %H:%M:%S").replace(tzinfo=zone)
