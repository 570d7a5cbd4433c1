"""The workspace's daily request budget, as the headers of Arena's answers show it (R6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from arena_exports.domain.backoff import doubled
from arena_exports.domain.times import parse_date

if TYPE_CHECKING:
    from collections.abc import Mapping

REMAINING_HEADER = "x-arena-requests-remaining"
RESET_HEADER = "x-arena-next-request-limit-reset"

SAFE_WAIT_SECONDS = 3600  # if no believable header says when the budget is reset
# Added to a reset that only our own clock measures; doubles with each further 429.
MARGIN_SECONDS = 60
MAX_SKEW_SECONDS = 900  # between our clock and Arena's
BURST_SECONDS = 60  # after a 429 that is not about the budget and has no Retry-After
MAX_BURST_SECONDS = 3600
MAX_BELIEVED_SECONDS = 26 * 3600  # the budget's day has 24 hours, 25 when the clocks go back
_MIN_FORECAST_SECONDS = 600
_DAY_SECONDS = 86_400
_MAX_DIGITS = 12
_NUMBER = re.compile(r"\s*(-?)([0-9]+)")


@dataclass(frozen=True, slots=True)
class Budget:
    """What is known about the budget.

    `remaining` is a number of requests, None before the first answer; `resets_at`, `spent_until`
    and `seen_at` are epoch seconds on our clock. No request may be sent until `spent_until`.
    `first_remaining` and `first_seen_at` are from the day's first answer. `refusals` counts 429
    answers in a row. `polls` counts the polls of the day whose `first_seen_at` is `polls_since`.
    """

    remaining: int | None = None
    resets_at: int | None = None
    spent_until: int = 0
    seen_at: int = 0
    first_remaining: int | None = None
    first_seen_at: int = 0
    refusals: int = 0
    polls: int = 0
    polls_since: int = 0

    def following(self, earlier: Budget) -> Budget:
        """Return this budget as the successor of `earlier`, with the first answer of the day.

        A new day has begun if more is left than before, or if the reset has passed (24 hours after
        the first answer, if it is not known), unless the reset is still the same: then answers
        overtook each other, or clocks differ. A day also begins anew if more is left than at its
        first answer: the limit was raised.
        """
        if self.remaining is None:
            return self
        counted = replace(self, polls=earlier.polls, polls_since=earlier.polls_since)
        first = earlier.first_remaining
        if first is None or self.remaining > first or self._is_of_a_day_after(earlier):
            return replace(counted, first_remaining=self.remaining, first_seen_at=self.seen_at)
        return replace(counted, first_remaining=first, first_seen_at=earlier.first_seen_at)

    def _is_of_a_day_after(self, earlier: Budget) -> bool:
        ends_at = earlier.resets_at or earlier.first_seen_at + _DAY_SECONDS
        if (self.remaining or 0) <= (earlier.remaining or 0) and self.seen_at < ends_at:
            return False
        if self.resets_at is None or earlier.resets_at is None:
            return True
        return abs(self.resets_at - earlier.resets_at) > MAX_SKEW_SECONDS

    def polled(self) -> Budget:
        """Return this budget with one more poll of its day."""
        return replace(self, polls=self.polls_of_the_day + 1, polls_since=self.first_seen_at)

    @property
    def polls_of_the_day(self) -> int:
        """How many polls were answered since the day's first answer."""
        return self.polls if self.polls_since == self.first_seen_at else 0

    def hours_left(self) -> float | None:
        """Forecast how many hours the budget will last at the day's rate so far.

        At most 24; None while it is too early to tell, and if nothing was spent.
        """
        seconds, used = self._day_so_far()
        if used <= 0 or seconds < _MIN_FORECAST_SECONDS:
            return None
        return min((self.remaining or 0) / used * seconds / 3600, 24.0)

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the reset: a whole day's while it is not known."""
        return _DAY_SECONDS if self.resets_at is None else max(self.resets_at - now, 0.0)

    def spare(self, now: float) -> float:
        """Forecast how many requests are left at the reset if no run is polled.

        Everything but our polls continues at the day's rate so far. 0 while the day is too young to
        tell, and while the reset is not known.
        """
        seconds, used = self._day_so_far()
        if seconds < _MIN_FORECAST_SECONDS or self.resets_at is None:
            return 0.0
        others = max(used - self.polls_of_the_day, 0) / seconds
        return max((self.remaining or 0) - others * self.seconds_left(now), 0.0)

    def _day_so_far(self) -> tuple[int, int]:
        """Return the seconds and the requests between the day's first answer and the last one."""
        used = (self.first_remaining or 0) - (self.remaining or 0)
        return self.seen_at - self.first_seen_at, used

    def wait_seconds(self, now: float, reserve: int) -> int:
        """Return how many seconds to hold a request that must leave `reserve` (0: send it now)."""
        if self.spent_until > now:
            return ceil(self.spent_until - now)
        if self.remaining is None or self.remaining > reserve:
            return 0
        until = self.resets_at if self.resets_at is not None else self.seen_at + SAFE_WAIT_SECONDS
        return max(ceil(until - now), 0)


def read_budget(headers: Mapping[str, str], now: float) -> Budget | None:
    """Read the budget from an answer's headers (names in lower case); None if they show none.

    `now` is epoch seconds on our clock.
    """
    count = _count(headers.get(REMAINING_HEADER, ""))
    if count is None:
        return None
    return Budget(count, _resets_at(headers, now), 0, int(now))


def spent_budget(headers: Mapping[str, str], now: float, earlier: Budget) -> Budget:
    """Read the headers of a 429 that means that the budget is spent: wait for its reset (R6).

    With Arena's Date header, the wait is exact. A reset that only our clock measures gets a margin,
    which doubles with each further 429. One that is unknown, unreadable, or not in the future by
    Arena's clock leads to a safe wait.
    """
    resets_at = _resets_at(headers, now)
    if resets_at is None:
        wait: float = SAFE_WAIT_SECONDS
    elif parse_date(headers.get("date", "")) is not None:
        wait = resets_at - now
    else:
        margin = doubled(MARGIN_SECONDS, earlier.refusals, MAX_BURST_SECONDS)
        wait = max(resets_at - now, 0) + margin
    until = ceil(now + min(wait, MAX_BELIEVED_SECONDS))
    return Budget(0, resets_at, until, int(now), refusals=earlier.refusals + 1)


def limited_budget(headers: Mapping[str, str], now: float, earlier: Budget) -> Budget:
    """Read the headers of a 429 for a burst: wait as it says, twice as long each time."""
    seconds = _retry_after(headers, now)
    first = BURST_SECONDS if seconds is None else max(seconds, 1)
    wait = doubled(first, earlier.refusals, MAX_BURST_SECONDS)
    seen = read_budget(headers, now) or replace(earlier, seen_at=int(now))
    return replace(seen, spent_until=ceil(now + wait), refusals=earlier.refusals + 1)


def none_remaining(headers: Mapping[str, str]) -> bool:
    """Return whether an answer says that no request is left."""
    return _count(headers.get(REMAINING_HEADER, "")) == 0


def altered_headers(headers: Mapping[str, str]) -> list[str]:
    """Return the names of headers that are present but not in Arena's form."""
    count = headers.get(REMAINING_HEADER)
    altered = [] if count is None or count.strip().isdecimal() else [REMAINING_HEADER]
    dates = (name for name in (RESET_HEADER, "date") if name in headers)
    return altered + [name for name in dates if parse_date(headers[name]) is None]


def _count(text: str) -> int | None:
    """Return the first number in a header, 0 for a negative one; None if there is none."""
    match = _NUMBER.match(text)
    if match is None or len(match[2]) >= _MAX_DIGITS:
        return None
    return 0 if match[1] else int(match[2])


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of a Retry-After header, which has a number or a date."""
    text = headers.get("retry-after", "")
    count = _count(text)
    if count is not None:
        return count
    at, arena_now = parse_date(text), parse_date(headers.get("date", ""))
    return None if at is None else max(at - (now if arena_now is None else arena_now), 0.0)


def _resets_at(headers: Mapping[str, str], now: float) -> int | None:
    """Return when the budget is reset, epoch seconds on our clock; None if unknown.

    If the Date header shows Arena's clock, the reset must be in that clock's future. By our clock,
    which may be ahead, it may have just passed.
    """
    reset = parse_date(headers.get(RESET_HEADER, ""))
    if reset is None:
        return None
    arena_now = parse_date(headers.get("date", ""))
    seconds = reset - (now if arena_now is None else arena_now)
    earliest = -MAX_SKEW_SECONDS if arena_now is None else 0
    return ceil(now + seconds) if earliest < seconds < MAX_BELIEVED_SECONDS else None
