"""The scheduler of simulated days."""

from __future__ import annotations

from tests.simulation.scheduler import Killed, Scheduler


def test_close__ends_a_task_that_has_not_begun() -> None:
    """A task that was started at the very end of a day is killed without doing anything."""
    scheduler, done = Scheduler(0.0), list[str]()
    task = scheduler.spawn(lambda: done.append("work"))
    scheduler.close()
    assert isinstance(task.error, Killed)
    scheduler.run_until(1.0)
    assert done == []
