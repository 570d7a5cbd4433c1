"""The gauges of what is pending."""

from __future__ import annotations

import pytest

from infra.simulator import control, names
from tests.support.world import World, item_guid


def measured(world: World) -> tuple[float, float]:
    """Reconcile; return the pending items and the age of the oldest as that measures them."""
    world.telemetry.metrics.clear()
    world.reconcile()
    metrics = world.telemetry.metrics
    return metrics.get("PendingItems", 0), metrics["OldestPendingAge"]


def test_backlog__empty() -> None:
    """The alarm on the age needs a zero to end; no other metric costs an idle stack anything."""
    world = World()
    assert measured(world) == (0, 0)
    assert world.telemetry.metrics.keys() == {"OldestPendingAge"}


def test_backlog__counts_what_is_not_settled_and_how_long_the_oldest_waits() -> None:
    """The run in progress counts; a definition run counts as one; a settled item does not."""
    world = World()
    world.send([item_guid(n) for n in range(3)])
    world.clock.sleep(100)
    world.send([item_guid(n) for n in range(5)], {"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert measured(world) == (9, 102)
    world.settle()
    assert measured(world) == (0, 0)


def test_backlog__of_a_run_that_failed_does_not_grow_young() -> None:
    """Its items wait since the first failure, however often they were moved since."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 500})
    world.send([item_guid(n) for n in range(4)])
    world.run_for(20_000)
    _, age = measured(world)
    assert age > 19_000


@pytest.mark.parametrize("pages", [999, 1000, 1001])
def test_backlog__counts_every_page(pages: int) -> None:
    """However many pointers the ledger gives at once."""
    world = World(settings={"exports_paused": True})
    for n in range(pages):
        world.send(item_guid(n))
    assert measured(world)[0] == pages


def test_pause__keeps_what_arrives_and_starts_nothing() -> None:
    """A run in progress is watched to its end; what waits leaves once exports are resumed."""
    world = World()
    world.send(item_guid(1))
    world.redeploy(exports_paused=True)
    world.send(item_guid(2))
    world.run_for(3600)
    assert [event["type"] for event in world.events()] == ["arena.export.run.completed"]
    assert measured(world)[0] == 1
    assert ("no run now", {"reason": "exports are paused"}) in world.telemetry.lines
    world.redeploy(exports_paused=False)
    world.settle()
    assert len(world.events()) == 2
