"""When to poll a run next, and how often: pure.

A poll costs one request of the day's budget; not polling costs the subscribers time. Past runs show
how likely the run is to have ended by now: poll when the expected delay, as a share of the run's
duration, outweighs the cost of a request. Such a schedule is optimal if there are many polls
(Keller 1974, "Optimum checking schedules for systems subject to random failure", Management Science
21; Barlow, Hunter and Proschan 1963, "Optimum checking procedures", J. SIAM 11). It is bounded,
because tomorrow's runs may not be like yesterday's.

The price of a poll follows the spare requests. Let runs end within a span w, and polls be g apart,
both as shares of a duration. A run then takes w / g polls, and its end is noticed g / 2 late. At a
price p, p * w / g + g / 2 is least for g = sqrt(2 * p * w): polls are k times as dense if the price
is divided by k * k. As there is one run at a time, s spare requests and t seconds until the reset
leave a run of d seconds s * d / t requests. At density 1 it takes up to `POLLS_A_RUN`, hence

    k = s * d / (t * POLLS_A_RUN), at most MAX_DENSITY.

If nothing is spare, k is 1, and less as the budget shrinks to its reserve.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, exp, floor, inf, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.budget import Budget

FIRST_POLL_SECONDS = 5  # if no past run is known
# Later gaps are this share of the time waited: sqrt(2 * 0.015 * log(60)), for a poll that costs
# 0.015 of a duration, and durations from a minute to an hour, even on a logarithmic scale.
SHARE_WHILE_UNKNOWN = 0.35

POLL_PRICE = 0.0085  # as a share of the run's duration
MAX_SHARE = 0.165  # of the time waited: the maximum delay as a share of the duration
MIN_SHARE_OF_SPREAD = 0.25  # closer polls would follow chance, not the runs
ENDED_BEFORE_FIRST_POLL = 0.08  # the share of past runs that ended before the first poll
RECENT_RUNS = 3  # the shortest of them bounds the first wait, in case runs get shorter
RUNS_THAT_TELL_A_SPREAD = 5
UNKNOWN_SPREAD = 0.5  # standard deviation of the logarithm, until that many runs are known

# A definition's first run is probably like those of others, but it may be like none of them: one
# chance in ten that it takes anything from five seconds to an hour, evenly on a logarithmic scale.
POLL_PRICE_OF_A_FIRST_RUN = 0.015
MAX_SHARE_OF_A_FIRST_RUN = 1.0
_LIKE_NONE = 0.1
_LONGEST_LIKE_NONE = 3600

POLLS_A_RUN = 9  # at density 1
MAX_DENSITY = 3.4  # most runs are seen less than 3 % late
MAX_STRETCH = 4.0
MIN_RESERVE = 100  # smaller reserves stretch gaps as this one does
MIN_POLLS_A_DAY = 48  # however small the share: half of them at any pace, and one an hour

MIN_GAP_SECONDS = 1  # Step Functions waits whole seconds
MAX_GAP_SECONDS = 3600

# Three points of equal weight with the mean and the variance of a normal distribution.
_KERNEL = (-(1.5**0.5), 0.0, 1.5**0.5)


@dataclass(frozen=True, slots=True)
class PastRuns:
    """The true durations of past runs, seconds, oldest first.

    `same` are of the same definition and about the same size. `similar`, which count only if there
    are none of those, are of its other sizes, or of other definitions.
    """

    same: Sequence[float] = ()
    similar: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often runs may be polled.

    `polls_a_second` are the spare requests, spread over the time until the reset. `slowest` is the
    density of polls if none is spare. Polls are at least `min_gap_seconds` apart.
    """

    polls_a_second: float = 0.0
    slowest: float = 1.0
    min_gap_seconds: int = 0

    def density(self, durations: Sequence[float]) -> float:
        """Return how dense polls may be, for runs that take about as long as `durations`."""
        affordable = self.polls_a_second * sum(durations) / len(durations) / POLLS_A_RUN
        return max(self.slowest, min(affordable, MAX_DENSITY))


STANDARD_PACE = Pace()


@dataclass(frozen=True, slots=True)
class PollLimits:
    """What polls may spend of a day's requests.

    Requests of the `reserve` are never spare. Polls take at most `share` of a day's requests, from
    0 to 1: the first half of that at any pace, the second half spread over the rest of the day.
    If a lowered share is already spent, one poll an hour is left.
    """

    reserve: int
    share: float

    def pace(self, budget: Budget, now: float, own_requests: int = 0) -> Pace:
        """Return how often runs may be polled now.

        Args:
            budget: as Arena's last answer showed it.
            now: epoch seconds.
            own_requests: requests that the stack's own backlog and deliveries need.
        """
        slowest = 1 / scarcity(budget.remaining, self.reserve)
        if budget.first_remaining is None:
            return Pace(slowest=slowest)
        allowed = max(int(budget.first_remaining * self.share), MIN_POLLS_A_DAY)
        left = allowed - budget.polls_of_the_day
        seconds = budget.seconds_left(now)
        even = min(ceil(seconds / max(left, 1)), MAX_GAP_SECONDS)
        gap = 0 if 2 * left > allowed else even
        spare = min(budget.spare(now) - self.reserve - own_requests, left)
        return Pace(max(spare / seconds, 0.0) if seconds else 0.0, slowest, gap)


def first_wait_seconds(past: PastRuns, pace: Pace = STANDARD_PACE) -> int:
    """Return the seconds from the start of a run to the first poll."""
    schedule = _schedule(past, pace)
    if not schedule.expected:
        return _whole(FIRST_POLL_SECONDS, pace)
    at = due(schedule.expected, schedule.price)
    if past.same:
        earliest = schedule.expected[int(schedule.late_first * len(schedule.expected))]
        latest = min(past.same[-RECENT_RUNS:]) * (1 + schedule.longest)
        at = min(max(at, earliest), latest)
    return _whole(floor(at), pace)


def next_wait_seconds(past: PastRuns, waited_seconds: float, pace: Pace = STANDARD_PACE) -> int:
    """Return the seconds from one poll, at which the run was pending, to the next.

    `waited_seconds` are counted from the start of the run.
    """
    schedule = _schedule(past, pace)
    later = schedule.expected[bisect_right(schedule.expected, waited_seconds) :]
    longest = waited_seconds * schedule.longest
    gap = due(later, schedule.price) - waited_seconds if later else longest
    return _whole(min(max(gap, waited_seconds * schedule.shortest), longest), pace)


def scarcity(remaining: int | None, reserve: int) -> float:
    """Return the factor that stretches gaps: from 1 (four reserves left) to 4 (one left)."""
    if remaining is None:
        return 1.0
    scarce = 4 * max(reserve, MIN_RESERVE)
    return min(max(scarce / max(remaining, 1), 1.0), MAX_STRETCH)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """What the polls of a run follow.

    `expected` are durations of equal probability in ascending order. `price` is that of a poll,
    `late_first` the share of runs that may end before the first one. `longest` and `shortest`
    bound a gap, as shares of the time waited.
    """

    expected: list[float]
    price: float
    longest: float
    shortest: float
    late_first: float = 0.0


def _schedule(past: PastRuns, pace: Pace) -> _Schedule:
    if past.same:
        density, deviation = pace.density(past.same), spread(past.same)
        return _Schedule(
            smoothed(past.same, deviation),
            POLL_PRICE / density**2,
            MAX_SHARE / density,
            MIN_SHARE_OF_SPREAD * deviation / density,
            ENDED_BEFORE_FIRST_POLL / max(density, 1.0) ** 2,
        )
    density = pace.slowest
    if not past.similar:
        return _Schedule([], 0.0, SHARE_WHILE_UNKNOWN / density, 0.0)
    deviation = max(spread(past.similar), UNKNOWN_SPREAD)
    return _Schedule(
        _with_surprises(smoothed(past.similar, deviation)),
        POLL_PRICE_OF_A_FIRST_RUN / density**2,
        MAX_SHARE_OF_A_FIRST_RUN,
        MIN_SHARE_OF_SPREAD * deviation / density,
    )


def _with_surprises(expected: Sequence[float]) -> list[float]:
    """Return expected durations with those of a run that is like none of the past."""
    count = ceil(_LIKE_NONE * len(expected))
    span = _LONGEST_LIKE_NONE / FIRST_POLL_SECONDS
    return sorted(
        [*expected, *(FIRST_POLL_SECONDS * span ** ((n + 0.5) / count) for n in range(count))]
    )


def due(expected: Sequence[float], price: float) -> float:
    """Return when the expected delay outweighs the cost of a poll.

    That is the time t at which the mean of max(0, (t - d) / d) over the durations d, in ascending
    order, equals the price. The mean is linear between two durations.
    """
    paid = price * len(expected)
    shares = accumulate(1 / duration for duration in expected)
    times = ((paid + ended) / share for ended, share in enumerate(shares, start=1))
    bounds = [*expected[1:], inf]
    return next(time for time, bound in zip(times, bounds, strict=True) if time <= bound)


def smoothed(durations: Sequence[float], deviation: float) -> list[float]:
    """Return a kernel estimate of the durations' distribution, as points in ascending order.

    It is made on a logarithmic scale, as wide as Silverman's rule says (1986, "Density Estimation",
    3.28).
    """
    width = 1.06 * deviation * len(durations) ** -0.2
    return sorted(
        max(duration, 1.0) * exp(point * width) for duration in durations for point in _KERNEL
    )


def spread(durations: Sequence[float]) -> float:
    """Return the standard deviation of the durations' logarithms."""
    if len(durations) < RUNS_THAT_TELL_A_SPREAD:
        return UNKNOWN_SPREAD
    logs = [log(max(duration, 1.0)) for duration in durations]
    mean = sum(logs) / len(logs)
    return sqrt(sum((value - mean) ** 2 for value in logs) / (len(logs) - 1))


def _whole(seconds: float, pace: Pace) -> int:
    return round(min(max(seconds, MIN_GAP_SECONDS, pace.min_gap_seconds), MAX_GAP_SECONDS))
