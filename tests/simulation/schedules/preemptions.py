"""All schedules of two threads with a bounded number of preemptions.

A thread is preempted only before a call that conflicts with a call of the other one: any other
preemption leads to a schedule with the same order of conflicting calls.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.simulation.schedules.control import ControlledScheduler
    from tests.simulation.schedules.operations import Operation

MAX_PREEMPTIONS = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which thread begins (0 or 1), and at which choices the running thread is preempted."""

    first: int
    preempted_at: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice that was made: whose call came next, which, and whether the other could go on."""

    thread: int
    operation: Operation
    contested: bool


@dataclass
class Preemptive:
    """Runs a thread until it ends, waits or is preempted; time passes where both wait.

    `leap` is how many seconds pass at the first preemption, as if the process had been frozen.
    """

    scheduler: ControlledScheduler
    schedule: Schedule
    leap: float = 0.0
    choices: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._current = self.schedule.first

    def choose(self, calls: Mapping[int, Operation]) -> int:
        """Implement `Policy`."""
        contested = len(calls) > 1
        if self._current not in calls:
            self._current = next(iter(calls))
        elif contested and len(self.choices) in self.schedule.preempted_at:
            if len(self.choices) == self.schedule.preempted_at[0]:
                self.scheduler.leap(self.leap)
            self._current = next(thread for thread in calls if thread != self._current)
            contested = False
        self.choices.append(Choice(self._current, calls[self._current], contested))
        return self._current


@dataclass(frozen=True, slots=True)
class Trial:
    """One schedule that was run: the choices that it led to, and what was violated."""

    schedule: Schedule
    choices: Sequence[Choice]
    violations: Sequence[str]


def explore(run: Callable[[Schedule], Trial], preemptions: int) -> Iterator[Trial]:
    """Run all schedules with up to so many preemptions."""
    traces: dict[Schedule, Sequence[Choice]] = {}
    todo = [Schedule(0), Schedule(1)]
    while todo:
        for schedule in todo:
            trial = run(schedule)
            traces[schedule] = trial.choices
            yield trial
        # What one schedule shows of a thread's calls may make more calls of the other conflict.
        todo = [s for s in _successors(traces, preemptions) if s not in traces]


def _successors(
    traces: Mapping[Schedule, Sequence[Choice]], preemptions: int
) -> Iterator[Schedule]:
    """Yield each schedule with one more preemption, right before a call that conflicts."""
    calls: dict[int, set[Operation]] = defaultdict(set)
    for choices in traces.values():
        for choice in choices:
            calls[choice.thread].add(choice.operation)
    for schedule, choices in traces.items():
        if len(schedule.preempted_at) == preemptions:
            continue
        begin = schedule.preempted_at[-1] + 1 if schedule.preempted_at else 0
        for at, choice in enumerate(choices[begin:], start=begin):
            if choice.contested:
                others = calls[1 - choice.thread]
                if any(choice.operation.conflicts_with(other) for other in others):
                    yield Schedule(schedule.first, (*schedule.preempted_at, at))
