"""When to poll a run next: pure.

A poll costs one request of the day's budget; not polling costs the subscribers time. Past runs show
how likely the run is to have ended by now: poll when the expected delay, as a share of the run's
duration, outweighs the cost of a request. Such a schedule is optimal if there are many polls
(Keller 1974, "Optimum checking schedules for systems subject to random failure", Management Science
21; Barlow, Hunter and Proschan 1963, "Optimum checking procedures", J. SIAM 11). It is bounded,
because tomorrow's runs may not be like yesterday's.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import exp, floor, inf, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_POLL_SECONDS = 5  # if no run is known
# Then shares of the time waited: with polls at 0.015 of a duration each and runs of a minute to
# an hour equally likely on a logarithmic scale, sqrt(2 * 0.015 * log(60)).
SHARE_WHILE_UNKNOWN = 0.35

POLL_PRICE = 0.0085  # as a share of the run's duration
MAX_SHARE = 0.165  # of the time waited: the maximum delay as a share of the duration
MIN_SHARE_OF_SPREAD = 0.25  # closer polls would follow chance, not the runs
ENDED_BEFORE_FIRST_POLL = 0.08  # the share of past runs that ended before the first poll
RECENT_RUNS = 3  # the shortest of them bounds the first wait, in case runs get shorter
RUNS_THAT_TELL_A_SPREAD = 5
UNKNOWN_SPREAD = 0.5  # standard deviation of the logarithm, until that many runs are known

MIN_GAP_SECONDS = 1  # Step Functions waits whole seconds
MAX_GAP_SECONDS = 3600
MAX_STRETCH = 4.0
MIN_RESERVE = 100  # smaller reserves stretch gaps as this one does

# Three points of equal weight with the mean and the variance of a normal distribution.
_KERNEL = (-(1.5**0.5), 0.0, 1.5**0.5)


def first_wait_seconds(durations: Sequence[float]) -> int:
    """Return the seconds from the start of a run to the first poll.

    Args:
        durations: true durations, seconds, of the definition's past runs of about this size, oldest
            first.
    """
    if not durations:
        return FIRST_POLL_SECONDS
    expected = smoothed(durations)
    earliest = expected[int(ENDED_BEFORE_FIRST_POLL * len(expected))]
    latest = min(durations[-RECENT_RUNS:]) * (1 + MAX_SHARE)
    return _whole(floor(min(max(due(expected), earliest), latest)))


def next_wait_seconds(
    durations: Sequence[float], waited_seconds: float, *, scarcity: float = 1.0
) -> int:
    """Return the seconds from a poll that found the run pending to the next.

    Args:
        durations: as for the first poll.
        waited_seconds: since the run was started.
        scarcity: 1 with a full request budget, more as it shrinks.
    """
    if not durations:
        return _whole(waited_seconds * SHARE_WHILE_UNKNOWN * scarcity)
    expected = smoothed(durations)
    later = expected[bisect_right(expected, waited_seconds) :]
    longest = waited_seconds * MAX_SHARE
    shortest = waited_seconds * MIN_SHARE_OF_SPREAD * spread(durations)
    gap = due(later) - waited_seconds if later else longest
    return _whole(min(max(gap, shortest), longest) * scarcity)


def scarcity(remaining: int | None, reserve: int) -> float:
    """Return the factor that stretches gaps: from 1 (four reserves left) to 4 (one left)."""
    if remaining is None:
        return 1.0
    scarce = 4 * max(reserve, MIN_RESERVE)
    return min(max(scarce / max(remaining, 1), 1.0), MAX_STRETCH)


def due(expected: Sequence[float]) -> float:
    """Return when the expected delay outweighs the cost of a poll.

    That is the time t at which the mean of max(0, (t - d) / d) over the durations d, in ascending
    order, equals the price. The mean is linear between two durations.
    """
    price = POLL_PRICE * len(expected)
    shares = accumulate(1 / duration for duration in expected)
    times = ((price + ended) / share for ended, share in enumerate(shares, start=1))
    bounds = [*expected[1:], inf]
    return next(time for time, bound in zip(times, bounds, strict=True) if time <= bound)


def smoothed(durations: Sequence[float]) -> list[float]:
    """Return a kernel estimate of the durations' distribution, as points in ascending order.

    It is made on a logarithmic scale, as wide as Silverman's rule says (1986, "Density Estimation",
    3.28).
    """
    width = 1.06 * spread(durations) * len(durations) ** -0.2
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


def _whole(seconds: float) -> int:
    return round(min(max(seconds, MIN_GAP_SECONDS), MAX_GAP_SECONDS))
