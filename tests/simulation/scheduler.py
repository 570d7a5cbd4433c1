"""Virtual time, and tasks that yield at every input and output. One task runs at a time."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """Ends a task whose process died; `except Exception` does not catch it."""


class Task:
    """One thread of work: a function's invocation, or an execution of the state machine."""

    def __init__(self, scheduler: Scheduler, work: Callable[[], Any]) -> None:
        self._scheduler = scheduler
        self._work = work
        self._greenlet = greenlet(self._run, parent=scheduler.hub)
        self._whenever_done: list[Callable[[Task], None]] = []
        self.done = False
        self.killed = False
        self.result: Any = None
        self.error: BaseException | None = None

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self.result = self._work()
        except (Exception, Killed) as exc:  # noqa: BLE001 - what ends a task is its result
            error = exc
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        self.error, self.done = error, True
        for callback in self._whenever_done:
            callback(self)

    def whenever_done(self, callback: Callable[[Task], None]) -> None:
        """Call back when the task is done, however it ends."""
        self._whenever_done.append(callback)

    def resume(self) -> None:
        """Resume the task where it yielded."""
        if not self.done:
            self._greenlet.switch()

    def kill(self) -> None:
        """End the task where it is now."""
        if self.done:
            return
        self.killed = True
        if self._greenlet:
            self._greenlet.throw(Killed)
        else:  # it has not begun
            self._finish(Killed())


class Scheduler:
    """Runs actions in the order of virtual time."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._end = start
        self.hub = getcurrent()
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._current: list[Task] = []
        self._tasks: set[Task] = set()

    @property
    def current(self) -> Task:
        """The task that runs now."""
        return self._current[-1]

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule an action in so many seconds."""
        heapq.heappush(self._actions, (self.now + max(seconds, 0.0), next(self._order), action))

    def spawn(self, work: Callable[[], Any]) -> Task:
        """Start a task as soon as the current one yields."""
        task = Task(self, work)
        self._tasks.add(task)
        task.whenever_done(self._tasks.discard)
        self.after(0, lambda: self._resume(task))
        return task

    def pause(self, seconds: float) -> None:
        """Yield for so many seconds; called by a task.

        A process that died does nothing more, not even in a `finally`.
        """
        self._stay_dead()
        until = self.now + max(seconds, 0.0)
        if until <= self._end and (not self._actions or until < self._actions[0][0]):
            self.now = until  # nothing else is due until then
            return
        task = self.current
        self.after(seconds, lambda: self._resume(task))
        self.hub.switch()

    def wait_for(self, other: Task) -> None:
        """Yield until another task is done; called by a task."""
        self._stay_dead()
        if other.done:
            return
        task = self.current
        other.whenever_done(lambda _: self.after(0, lambda: self._resume(task)))
        self.hub.switch()

    def run_until(self, end: float, *, idle: Callable[[], bool] = lambda: False) -> None:
        """Run until `end`, or until `idle` reports that nothing is left to do."""
        self._end = end
        while self._actions and self._actions[0][0] <= end:
            if idle():
                return
            self.now, _, action = heapq.heappop(self._actions)
            action()
        self.now = max(self.now, end)

    def kill(self, task: Task) -> None:
        """End a task that is not the current one."""
        self._current.append(task)
        try:
            task.kill()
        finally:
            self._current.pop()

    def close(self) -> None:
        """End the tasks that still wait: a greenlet that is part of a cycle is never freed."""
        while self._tasks:
            self.kill(self._tasks.pop())

    def _stay_dead(self) -> None:
        if self.current.killed:
            raise Killed

    def _resume(self, task: Task) -> None:
        self._current.append(task)
        try:
            task.resume()
        finally:
            self._current.pop()
