"""The metrics of what is pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.services.backlog import requests_of_backlog
from infra.simulator import control, names
from tests.support.world import World, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable


def measured(world: World) -> tuple[float, float]:
    """Reconcile, and return the measured number of pending items and the age of the oldest."""
    world.telemetry.metrics.clear()
    world.reconcile()
    metrics = world.telemetry.metrics
    return metrics.get("PendingItems", 0), metrics["OldestPendingAge"]


def test_backlog__that_is_empty_costs_one_metric() -> None:
    """An idle stack sends only the age, because its alarm needs a zero to end."""
    world = World()
    assert measured(world) == (0, 0)
    assert world.telemetry.metrics.keys() == {"OldestPendingAge"}


def test_backlog__counts_unsettled_items_and_the_age_of_the_oldest() -> None:
    """The run in progress counts, a definition run counts as one, and settled items do not."""
    world = World()
    world.send([item_guid(n) for n in range(3)])
    world.clock.sleep(100)
    world.send([item_guid(n) for n in range(5)], {"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert measured(world) == (9, 102)
    world.settle()
    assert measured(world) == (0, 0)


def test_backlog__keeps_the_age_of_a_failed_run() -> None:
    """Items count from their first failure, however often they were moved since."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 500})
    world.send([item_guid(n) for n in range(4)])
    world.run_for(20_000)
    _, age = measured(world)
    assert age > 19_000


@pytest.mark.parametrize("pages", [999, 1000, 1001])
def test_backlog__counts_every_page(pages: int) -> None:
    """The number is right, however many pointers the ledger returns at once."""
    world = World(settings={"exports_paused": True})
    for n in range(pages):
        world.send(item_guid(n))
    assert measured(world)[0] == pages


def test_backlog__needs_ten_requests_for_each_run() -> None:
    """A run takes one POST and up to nine polls; each definition's items need runs of their own."""
    world = World(settings={"exports_paused": True})
    assert requests_of_backlog(world.ledger.requests, 100) == 0
    world.send([item_guid(n) for n in range(201)], {"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert requests_of_backlog(world.ledger.requests, 100) == 40
    assert requests_of_backlog(world.ledger.requests, 300) == 20


def test_pause__keeps_requests_and_starts_no_run() -> None:
    """A run in progress is polled to its end, and waiting requests leave after the pause."""
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


def own_requests(world: World) -> int:
    """Return how many requests of its own the newest execution knows of."""
    return int(list(world.executions.started.values())[-1]["ownRequests"])


def test_backlog__counts_a_request_for_each_file_that_is_not_in_the_bucket() -> None:
    """Files of runs that are settled count until they have an outcome."""
    world = World(settings={"delivers_files": True})
    world.deliver_function.intercept("start", lambda *_: None)
    control.plan_runs(world.arena, {"files": 7, "count": 1})
    world.send(item_guid(1))
    assert own_requests(world) == 10
    world.run_for(3600)
    world.send(item_guid(2))
    assert own_requests(world) == 10 + 7
    world.run_for(3600)
    world.deliver_function.restore("start")
    control.add_faults(world.arena, {"path": "*/content", "code": 3017, "times": 2})
    world.run_for(10)
    world.reconcile()
    world.run_for(50)
    world.send(item_guid(3))
    assert own_requests(world) == 10 + 2


def test_backlog__reads_no_deliveries_where_none_are_made() -> None:
    """A stack without delivery makes no call for it."""
    world, partitions = World(), list[str]()

    def query(real: Callable[..., object], pk: str, *rest: object, **more: object) -> object:
        partitions.append(pk)
        return real(pk, *rest, **more)

    world.table.intercept("query", query)
    world.send(item_guid(1))
    world.settle()
    assert "PENDING" in partitions
    assert "DELIVER" not in partitions
