"""Polling policies, ours and others, on runs whose durations follow a distribution."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from math import inf, log
from random import Random
from typing import TYPE_CHECKING, Protocol

from arena_exports.domain import polling
from arena_exports.domain.definitions import DURATIONS_KEPT
from arena_exports.domain.polling import STANDARD_PACE, Pace, PastRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PRICE_OF_A_POLL = 0.015  # the objective: 0.015 * polls + delay / duration
PRICE_WITH_PLENTY = 0.0008  # at which the oracle takes as many polls as ours with requests to spare


class Policy(Protocol):
    """Returns how long to wait until the next poll."""

    def __call__(self, history: Sequence[float], waited: float, looks: int, /) -> float:
        """Return seconds.

        Args:
            history: durations of past runs, oldest first.
            waited: seconds since the run's start.
            looks: how many there were.
        """


def paced(pace: Pace, similar: Sequence[float] = ()) -> Policy:
    """Return what the deployed functions do at a pace, in a stack with similar runs."""

    def wait(history: Sequence[float], waited: float, looks: int) -> float:
        past = PastRuns(history, similar)
        if not looks:
            return polling.first_wait_seconds(past, pace)
        return polling.next_wait_seconds(past, waited, pace)

    return wait


ours = paced(STANDARD_PACE)
PLENTY = Pace(polls_a_second=1.0)  # more than any run takes


def fixed(seconds: float) -> Policy:
    """Wait for the same time each time."""
    return lambda _history, _waited, _looks: seconds


def backing_off(
    first: float, factor: float, longest: float, jitter: Random | None = None
) -> Policy:
    """Wait longer each time, up to a bound; with full jitter if `chance` is given."""

    def wait(_history: Sequence[float], _waited: float, looks: int) -> float:
        seconds = min(first * factor ** min(looks, 99), longest)
        return jitter.uniform(0, seconds) if jitter else seconds

    return wait


def baselines() -> dict[str, Policy]:
    """Return the policies of others, by name."""
    return {
        "fixed 5 s (Airbyte)": fixed(5),
        "fixed 30 s (Step Functions sample)": fixed(30),
        "fixed 60 s": fixed(60),
        "1 to 20 s x 1.5 (google-api-core)": backing_off(1, 1.5, 20),
        "5 to 300 s x 1.5, jitter (Lambda durable)": backing_off(5, 1.5, 300, Random(5)),
    }


@dataclass(frozen=True)
class Distribution:
    """How long runs take."""

    name: str
    draw: Callable[[Random], float]


def lognormal(name: str, median: float, sigma: float) -> Distribution:
    """Return a log-normal distribution."""
    return Distribution(name, lambda random: random.lognormvariate(log(median), sigma))


FOUR_MINUTES = lognormal("median 4 min, sigma 0.5", 240, 0.5)
EIGHT_MINUTES = lognormal("median 8 min, sigma 0.5", 480, 0.5)
SIXTEEN_MINUTES = lognormal("median 16 min, sigma 0.5", 960, 0.5)
TEN_MINUTES = Distribution("10 min +- 30 s, uniform", lambda random: random.uniform(570, 630))
WIDE = [
    lognormal(f"median {text}, sigma {sigma}", median, sigma)
    for text, median in (("20 s", 20), ("45 min", 2700))
    for sigma in (0.3, 0.5, 1.0)
]
DISTRIBUTIONS = [EIGHT_MINUTES, *WIDE, TEN_MINUTES]


@dataclass(frozen=True)
class Score:
    """The results of a policy: means and the 95th percentile; delays as shares of the duration."""

    polls: float
    delay: float
    delay_95: float
    late_seconds: float

    @property
    def objective(self) -> float:
        """The sum that a policy minimizes."""
        return PRICE_OF_A_POLL * self.polls + self.delay


def score(policy: Policy, distribution: Distribution, runs: int, seed: int = 11) -> Score:
    """Poll runs with a policy, one after the other, after as many as the ledger keeps.

    Durations are whole seconds, as Arena reports them.
    """
    random, history = Random(seed), list[float]()
    polls, delays, late = 0, list[float](), 0.0
    for number in range(DURATIONS_KEPT + runs):
        duration, waited, looks = distribution.draw(random), 0.0, 0
        while waited < duration:
            waited += policy(history, waited, looks)
            looks += 1
        history = [*history, round(duration)][-DURATIONS_KEPT:]
        if number >= DURATIONS_KEPT:
            polls += looks
            delays.append((waited - duration) / duration)
            late += waited - duration
    delays.sort()
    return Score(polls / runs, sum(delays) / runs, delays[int(0.95 * runs)], late / runs)


def learning_curve(
    distribution: Distribution, runs: int, histories: int, others: Sequence[Distribution] = ()
) -> list[float]:
    """Return the mean polls of the first, second, ... run of a definition that is new.

    `others` are the stack's other definitions, whose runs alternate by chance.
    """
    polls = [0] * runs
    for seed in range(histories):
        random, history = Random(seed), list[float]()
        drawn = (
            [random.choice(others).draw(random) for _ in range(DURATIONS_KEPT)] if others else []
        )
        policy = paced(STANDARD_PACE, [round(duration) for duration in drawn])
        for number in range(runs):
            duration, waited, looks = distribution.draw(random), 0.0, 0
            while waited < duration:
                waited += policy(history, waited, looks)
                looks += 1
            history.append(round(duration))
            polls[number] += looks
    return [count / histories for count in polls]


@cache
def oracle(
    distribution: Distribution,
    price: float = PRICE_OF_A_POLL,
    samples: int = 20_000,
    points: int = 400,
) -> Policy:
    """Return the policy with the lowest objective, if the distribution is known.

    `price` is that of a poll. By dynamic programming over `points` times, backwards (Barlow, Hunter
    and Proschan 1963).
    """
    random = Random(99)
    known = sorted(distribution.draw(random) for _ in range(samples))
    low, high = known[0] * 0.98, known[-1] * 1.02
    times = [0.0, *(low * (high / low) ** (n / points) for n in range(points + 1))]
    ended = [bisect_right(known, time) for time in times]
    inverse = [0.0]
    for duration in known:
        inverse.append(inverse[-1] + 1 / duration)
    cost, following = [0.0] * len(times), [0] * len(times)
    for here in range(len(times) - 2, -1, -1):
        best = inf
        for there in range(here + 1, len(times)):
            delay = times[there] * (inverse[ended[there]] - inverse[ended[here]])
            looked = price * (samples - ended[here])
            total = looked + delay - (ended[there] - ended[here]) + cost[there]
            if total < best:
                best, following[here] = total, there
        cost[here] = best

    def wait(_history: Sequence[float], waited: float, _looks: int) -> float:
        here = bisect_right(times, waited + 1e-9) - 1
        return max(times[following[here]] - waited, 1.0) if here < len(times) - 1 else high

    return wait
