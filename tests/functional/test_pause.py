"""A pause: by the parameter ExportsPaused, or by an operator, in the ledger."""

from __future__ import annotations

from arena_exports.domain.pause import Pause
from infra.simulator import control
from tests.support.world import World, assert_exported, items

BY = "arn:aws:iam::123456789012:user/operator"
POST = {"method": "POST", "path": "*/runs"}


def pause(world: World, seconds: float = 0) -> None:
    """Pause, for so many seconds or until somebody resumes."""
    until = int(world.clock.now() + seconds) if seconds else 0
    world.ledger.pause.write(Pause("maintenance", BY, until))


def test_pause__takes_effect_at_once_until_somebody_resumes() -> None:
    """Requests are recorded and kept, and no run is submitted."""
    world = World()
    pause(world)
    world.send({"itemGuids": items(3)})
    world.run_for(3600)
    assert world.posts() == 0
    world.ledger.pause.clear()
    world.settle()
    assert_exported(world, items(3))


def test_pause__ends_by_itself() -> None:
    """A pause with an end holds until that time, and nobody has to resume."""
    world = World()
    pause(world, 1800)
    world.send({"itemGuids": items(3)})
    world.run_for(1799)
    assert world.posts() == 0
    world.settle()
    assert_exported(world, items(3))
    assert world.ledger.pause.read(world.clock.now()) is None


def test_pause__lets_the_run_in_progress_end() -> None:
    """The run in progress is polled and published; what is pending waits."""
    world = World()
    world.send({"itemGuids": items(3)})
    pause(world)
    world.send({"itemGuids": items(3, 50)})
    world.run_for(3600)
    assert_exported(world, items(3))
    assert world.posts() == 1


def test_pause__keeps_what_an_unknown_post_carried() -> None:
    """After two searches without a run, the items return to pending instead of going again."""
    world = World()
    control.add_faults(world.arena, {**POST, "code": 3000})
    world.send({"itemGuids": items(3)})
    pause(world)
    world.run_for(3600)
    assert world.posts() == 1
    world.ledger.pause.clear()
    world.settle()
    assert_exported(world, items(3))


def test_fault_72__a_paused_stack_stays_paused_after_an_update() -> None:
    """The parameter alone suffices: no item of the ledger is needed, and none lifts it."""
    world = World(settings={"exports_paused": True})
    world.send({"itemGuids": items(3)})
    world.redeploy(exports_paused=True)
    pause(world, 60)
    world.run_for(3600)
    world.ledger.pause.clear()
    world.run_for(3600)
    assert world.posts() == 0
    world.redeploy(exports_paused=False)
    world.settle()
    assert_exported(world, items(3))


def test_pause__costs_an_idle_stack_no_read() -> None:
    """It is read only where a run could start."""
    world = World()
    reads: list[object] = []

    def spy(real: object, key: object) -> object:
        reads.append(key)
        return real(key)  # type: ignore[operator] # the fake's method

    world.table.intercept("get", spy)
    world.reconcile()
    assert ("PAUSE", "-") not in reads
    world.send({"itemGuids": items(1)})
    assert reads.count(("PAUSE", "-")) == 1
