"""A scheduler whose policy chooses, before each external call, which function continues."""

from __future__ import annotations

import heapq
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from tests.simulation.scheduler import Scheduler, Task
from tests.simulation.schedules.operations import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.simulation.schedules.operations import Operation


class Policy(Protocol):
    """Chooses which thread goes on."""

    def choose(self, calls: Mapping[int, Operation]) -> int:
        """Return one of the threads that can go on; each is given with the call that it makes."""


class ControlledScheduler(Scheduler):
    """Runs tasks one call at a time, as a policy says; without a policy, in the order of time.

    Under a policy, calls take no time. A task that sleeps may be chosen at any time; then time
    leaps to the end of its sleep, as if the others had been slow.
    """

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self._policy: Policy | None = None
        self._announced: Operation | None = None
        self._waiting: dict[Task, Operation] = {}
        self._due: dict[Task, float] = {}
        self._roots: dict[Task, Task] = {}

    def announce(self, operation: Operation) -> None:
        """Say what the next call of the current task touches."""
        self._announced = operation

    def root_of(self, task: Task) -> Task:
        """Return the task on whose behalf a task runs; itself, if it is none's."""
        return self._roots.get(task, task)

    def adopt(self, task: Task) -> None:
        """Let a task run on behalf of the current one, which waits for it."""
        if self._policy is not None and self._current:
            self._roots[task] = self.root_of(self._current[-1])

    def spawn(self, work: Callable[[], Any]) -> Task:
        """Start a task; under a policy it waits to be chosen."""
        if self._policy is None:
            return super().spawn(work)
        task = Task(self, work)
        self._tasks.add(task)
        self._wait(task, NOTHING)
        task.whenever_done(self._forget)
        return task

    def _wait(self, task: Task, operation: Operation, seconds: float = 0.0) -> None:
        self._waiting[task], self._due[task] = operation, self.now + seconds

    def _forget(self, task: Task) -> None:
        self._tasks.discard(task)
        self._waiting.pop(task, None)

    def pause(self, seconds: float) -> None:
        """Wait to be chosen, before a call or while sleeping."""
        operation, self._announced = self._announced, None
        if self._policy is None:
            super().pause(seconds)
        elif seconds > 0 or operation is not None:
            self._wait(self._current[-1], operation or NOTHING, max(seconds, 0.0))
            self.hub.switch()

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._pass_until(self.now + seconds)

    def run_by(self, policy: Policy, work: Sequence[Callable[[], Any]]) -> None:
        """Run pieces of work at once, each as a thread, as a policy says, until all are done.

        A function that a thread waits for is part of the thread. An execution that a thread starts
        waits until all threads are done.
        """
        self._policy = policy
        threads = [self.spawn(piece) for piece in work]
        while not all(thread.done for thread in threads):
            self._pass_until(self.now)
            ready = {self.root_of(task): task for task in self._waiting}
            ready = {root: task for root, task in ready.items() if root in threads}
            if ready:
                calls = [(threads.index(root), self._waiting[task]) for root, task in ready.items()]
                chosen = policy.choose(dict(calls))
                self._go_on(ready[threads[chosen]])
            else:
                self._pass_until(self._actions[0][0])
        self._policy = None
        for task in [*self._waiting]:  # executions that they started
            del self._waiting[task]
            self.after(self._due[task] - self.now, partial(self._resume, task))

    def _go_on(self, task: Task) -> None:
        self._pass_until(self._due[task])
        if task in self._waiting:  # its time-out may have come first
            del self._waiting[task]
            self._resume(task)

    def _pass_until(self, end: float) -> None:
        """Let time pass, and do what is due."""
        while self._actions and self._actions[0][0] <= end:
            at, _, action = heapq.heappop(self._actions)
            self.now = max(self.now, at)
            action()
        self.now = max(self.now, end)
