"""Lanes alternate, and events say how much of a request is still open."""

from __future__ import annotations

from infra.simulator import control
from tests.support.world import World, assert_exported, item_guid, items


def test_lanes__alternate() -> None:
    """During a backfill, a live request is in the next run or the one after."""
    world = World(settings={"max_items_per_run": 10})
    for start in range(0, 200, 50):
        world.send({"itemGuids": items(50, start), "priority": "bulk"})
    world.run_for(15)
    runs_before = len(world.events("completed"))
    world.send(item_guid(999))
    world.settle()
    position = next(
        n
        for n, e in enumerate(world.events("completed"))
        if item_guid(999) in e["data"]["itemGuids"]
    )
    assert position - runs_before <= 2
    assert_exported(world, [*items(200), item_guid(999)])


def test_open_count__is_the_number_of_open_items() -> None:
    """After each run of a request, the event says how many of its items are still open."""
    world = World(settings={"max_items_per_run": 10})
    (request_id,) = world.send({"itemGuids": items(35), "correlationId": "ECO-1"})
    world.settle()
    counts = [
        (r["itemCount"], r["openCount"])
        for event in world.events("completed")
        for r in event["data"]["requests"]
        if r["requestId"] == request_id
    ]
    assert counts == [(10, 25), (10, 15), (10, 5), (5, 0)]


def test_open_count__reaches_zero_for_a_halved_set() -> None:
    """The last event of a request that was halved says that no item is open."""
    world = World()
    control.set_guids(world.arena, {"poison": [item_guid(5)]})
    world.send({"itemGuids": items(16)})
    world.settle()
    counts = [r["openCount"] for e in world.events("completed") for r in e["data"]["requests"]]
    carried = [r["itemCount"] for e in world.events("completed") for r in e["data"]["requests"]]
    assert sum(carried) == 15
    assert counts == sorted(counts, reverse=True)
