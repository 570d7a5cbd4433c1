"""Probabilistic concurrency testing: random schedules that find a bug with a known probability.

Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with Probabilistic
Guarantees of Finding Bugs", ASPLOS 2010. Each thread gets a random priority, and at d - 1 random
steps the thread that is about to run falls below all others. For n threads and k steps, one run
finds a bug of depth d (one that needs d orderings of calls) with a probability of at least
1/(n k^(d-1)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import combinations_with_replacement
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.schedules.day import (
    ENDED,
    IDLE,
    RUNNING,
    SharedDay,
    deliver,
    deliver_a_batch,
    poll,
    publish,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.simulation.schedules.day import Step
    from tests.simulation.schedules.operations import Operation

FUNCTIONS: Mapping[str, Step] = {
    "submit": deliver_a_batch,
    "poll": poll,
    "publish": publish,
    "session": session,
    "deliver": deliver,
}
PILOTS = 10
SPARE_STEPS = 1.2


class RandomPriorities:
    """The policy: the thread of the highest priority goes on."""

    def __init__(self, random: Random, threads: int, depth: int, steps: int) -> None:
        self._priorities = random.sample(range(depth, depth + threads), threads)
        self._falls = dict(zip(random.sample(range(steps), depth - 1), range(depth), strict=False))
        self.steps = 0

    def choose(self, calls: Mapping[int, Operation]) -> int:
        """Implement `Policy`."""
        best = max(calls, key=self._priorities.__getitem__)
        if self.steps in self._falls:
            self._priorities[best] = self._falls[self.steps]
            best = max(calls, key=self._priorities.__getitem__)
        self.steps += 1
        return best


@dataclass(frozen=True)
class Mix:
    """Two or three functions that run at once."""

    names: tuple[str, ...]

    @property
    def state(self) -> str:
        """Where the day stands, so that each of them has work."""
        if "poll" in self.names:
            return RUNNING
        return ENDED if "publish" in self.names else IDLE

    def run(self, seed: int, depth: int, steps: int) -> tuple[RandomPriorities, list[str]]:
        """Run one schedule; return its policy and what was violated."""
        random = Random(f"{self.names} {depth} {seed}")
        policy = RandomPriorities(random, len(self.names), depth, steps)
        day = SharedDay(delivers="deliver" in self.names)
        try:
            day.begin(self.state, session_dies="session" in self.names)
            return policy, day.share(policy, [[FUNCTIONS[name]] for name in self.names])
        finally:
            day.end()


def mixes(size: int) -> Iterator[Mix]:
    """Yield each choice of so many functions; one function may be there more than once."""
    yield from map(Mix, combinations_with_replacement(FUNCTIONS, size))


@cache
def steps_of(mix: Mix) -> int:
    """Return k: more steps than any of some schedules of a mix took."""
    return int(SPARE_STEPS * max(mix.run(-seed, 1, 1)[0].steps for seed in range(1, PILOTS + 1)))


@dataclass
class Sample:
    """What came of a number of schedules of a mix; `steps` is the k that none of them exceeded."""

    mix: Mix
    depth: int
    steps: int
    runs: int = 0
    violations: dict[int, list[str]] = field(default_factory=dict)

    @property
    def bound(self) -> float:
        """The least probability with which one run finds a bug of this depth: 1/(n k^(d-1))."""
        return float(1 / (len(self.mix.names) * self.steps ** (self.depth - 1)))

    @property
    def miss(self) -> float:
        """The greatest probability with which all runs miss a bug of this depth."""
        return float((1 - self.bound) ** self.runs)


def sample(mix: Mix, depth: int, most_missed: float, max_runs: int) -> Sample:
    """Run schedules of a mix until a bug is missed with so small a probability, or so many.

    Where a schedule takes more steps than were assumed, what was run before it does not count.
    """
    found, seed = Sample(mix, depth, steps_of(mix)), 0
    while found.runs < max_runs and (not found.runs or found.miss > most_missed):
        policy, violated = mix.run(seed, depth, found.steps)
        if policy.steps > found.steps:
            found.steps, found.runs = int(SPARE_STEPS * policy.steps), 0
        found.runs += 1
        if violated:
            found.violations[seed] = violated
        seed += 1
    return found


def all_mixes() -> Sequence[Mix]:
    """Return all pairs and triples of functions."""
    return [*mixes(2), *mixes(3)]
