"""How soon each planted bug is found: by days from seeds, crash points, and schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.field import TROUBLES
from tests.simulation.invariants import violations
from tests.simulation.plan import draw_plan
from tests.simulation.planted import planted
from tests.simulation.runner import simulate
from tests.simulation.schedules.pairs import PAIRS
from tests.simulation.schedules.pct import all_mixes, steps_of
from tests.simulation.simulation import Simulation
from tests.simulation.test_crash_points import SmallDay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.simulation.planted import Bug

    Trials = Callable[[int], Iterator[Sequence[str]]]

DEPTHS = (2, 3)
OFTEN = 0.3  # of the times when a login may be broken


def seeds(count: int) -> Iterator[Sequence[str]]:
    """Run simulated days."""
    for seed in range(count):
        yield simulate(seed).violations


def troubled_day(seed: int, trouble: str) -> Simulation:
    """Return a day with a trouble from the field, on which logins are often refused, too."""
    plan = replace(draw_plan(Random(seed)), breaks_logins=OFTEN)
    return Simulation(seed, plan=plan, troubles=(trouble,))


def troubled_days(count: int) -> Iterator[Sequence[str]]:
    """Run days of each trouble in turn."""
    troubles = sorted(TROUBLES)
    for number in range(count):
        day = troubled_day(number // len(troubles), troubles[number % len(troubles)])
        day.run()
        day.scheduler.close()
        yield violations(day)


def crash_points(count: int) -> Iterator[Sequence[str]]:
    """Kill the process at each moment of the small day, first alone, then with a second submit."""
    day = SmallDay()
    day.run()
    moments = [(moment, double) for double in (False, True) for moment in range(day.moments)]
    for moment, double in moments[:count]:
        day = SmallDay(moment, double=double)
        day.run()
        day.scheduler.close()
        yield violations(day)


def random_schedules(count: int) -> Iterator[Sequence[str]]:
    """Run schedules with random priorities, in turn of each pair and triple of functions."""
    mixes = [(mix, depth) for mix in all_mixes() for depth in DEPTHS]
    for number in range(count):
        mix, depth = mixes[number % len(mixes)]
        yield mix.run(number // len(mixes), depth, steps_of(mix))[1]


def all_schedules(count: int) -> Iterator[Sequence[str]]:
    """Run the schedules with few preemptions, in turn of the pairs; at most so many in all."""
    in_turn = zip_longest(*(pair.explore() for pair in PAIRS))
    trials = filter(None, chain.from_iterable(in_turn))
    yield from (trial.violations for trial in islice(trials, count))


METHODS: Mapping[str, Trials] = {
    "seeds": seeds,
    "troubled days": troubled_days,
    "crash points": crash_points,
    "random schedules": random_schedules,
    "all schedules": all_schedules,
}


@dataclass(frozen=True, slots=True)
class Hunt:
    """How a hunt for a bug ended.

    `trials` are those until it was found, or all if it was not. `changed` counts how often the bug
    changed something.
    """

    bug: str
    method: str
    trials: int
    found: str | None
    changed: int


def hunt(bug: Bug, method: str, count: int) -> Hunt:
    """Plant a bug, and try to find it with a method, in so many trials."""
    for mix in all_mixes():
        steps_of(mix)  # of the protocol as it is
    trials, found = 0, None
    with planted(bug) as soil:
        try:
            for violated in METHODS[method](count):
                trials += 1
                if violated:
                    found = violated[0]
                    break
        except Exception as exc:  # noqa: BLE001 - a bug may break the day itself
            trials, found = trials + 1, repr(exc)
    return Hunt(bug.name, method, trials, found, soil.changed)
