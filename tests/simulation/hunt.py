"""How soon each planted bug is found: by days from seeds, crash points, and schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, zip_longest
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.aim import AimedDay
from tests.simulation.field import TROUBLES
from tests.simulation.invariants import violations
from tests.simulation.plan import draw_plan
from tests.simulation.planted import planted
from tests.simulation.planted_delivery import BUGS_OF_DELIVERY
from tests.simulation.quiet import QuietDay
from tests.simulation.runner import simulate
from tests.simulation.schedules.pairs import PAIRS
from tests.simulation.schedules.pct import all_mixes, steps_of
from tests.simulation.simulation import Simulation
from tests.simulation.test_crash_points import DayWithFiles, SmallDay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.simulation.planted import Bug
    from tests.simulation.schedules.pairs import Pair
    from tests.simulation.schedules.pct import Mix

    Trials = Callable[[int], Iterator[Sequence[str]]]

DEPTHS = (2, 3)
AIMS = (
    ("bucket changed", "some files noted"),
    ("download", "download lease taken"),
    ("file spoiled", "download lease taken"),
)
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
        yield _lived(troubled_day(number // len(troubles), troubles[number % len(troubles)]))


def aimed_days(count: int) -> Iterator[Sequence[str]]:
    """Run days on which what happens to files is aimed at deliveries in progress."""
    for number in range(count):
        yield _lived(AimedDay(number // len(AIMS), *AIMS[number % len(AIMS)]))


def quiet_days(count: int) -> Iterator[Sequence[str]]:
    """Run days with many runs and files, on which nothing goes wrong."""
    for seed in range(count):
        yield _lived(QuietDay(seed))


def crash_points(kind: type[SmallDay], count: int) -> Iterator[Sequence[str]]:
    """Kill the process at each moment of a day, first alone, then beside another function."""
    day = kind()
    day.run()
    moments = [(moment, double) for double in (False, True) for moment in range(day.moments)]
    for moment, double in moments[:count]:
        yield _lived(kind(moment, double=double))


def _lived(day: Simulation) -> Sequence[str]:
    day.run()
    day.scheduler.close()
    return violations(day)


def random_schedules(mixes: Sequence[Mix], count: int) -> Iterator[Sequence[str]]:
    """Run schedules with random priorities, in turn of some pairs and triples of functions."""
    trials = [(mix, depth) for mix in mixes for depth in DEPTHS]
    for number in range(count):
        mix, depth = trials[number % len(trials)]
        yield mix.run(number // len(trials), depth, steps_of(mix))[1]


def all_schedules(pairs: Sequence[Pair], count: int) -> Iterator[Sequence[str]]:
    """Run the schedules with few preemptions, in turn of some pairs; at most so many in all."""
    in_turn = zip_longest(*(pair.explore() for pair in pairs))
    trials = filter(None, chain.from_iterable(in_turn))
    yield from (trial.violations for trial in islice(trials, count))


def _mixes(*, deliver: bool) -> Sequence[Mix]:
    return [mix for mix in all_mixes() if ("deliver" in mix.names) is deliver]


def _pairs(*, delivers: bool) -> Sequence[Pair]:
    return [pair for pair in PAIRS if pair.delivers is delivers]


METHODS: Mapping[str, Trials] = {
    "seeds": seeds,
    "troubled days": troubled_days,
    "crash points": partial(crash_points, SmallDay),
    "random schedules": partial(random_schedules, _mixes(deliver=False)),
    "all schedules": partial(all_schedules, _pairs(delivers=False)),
}
METHODS_WITH_FILES: Mapping[str, Trials] = {
    "seeds": seeds,
    "aimed days": aimed_days,
    "quiet days": quiet_days,
    "crash points": partial(crash_points, DayWithFiles),
    "random schedules": partial(random_schedules, _mixes(deliver=True)),
    "all schedules": partial(all_schedules, _pairs(delivers=True)),
}


def methods_for(bug: Bug) -> Mapping[str, Trials]:
    """Return the methods that may find a bug."""
    return METHODS_WITH_FILES if bug in BUGS_OF_DELIVERY else METHODS


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
    for mix in all_mixes() if method == "random schedules" else ():
        steps_of(mix)  # of the protocol as it is
    trials, found = 0, None
    with planted(bug) as soil:
        try:
            for violated in methods_for(bug)[method](count):
                trials += 1
                if violated:
                    found = violated[0]
                    break
        except Exception as exc:  # noqa: BLE001 - a bug may break the day itself
            trials, found = trials + 1, repr(exc)
    return Hunt(bug.name, method, trials, found, soil.changed)
