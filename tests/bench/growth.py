"""How the functions' work grows with its size: recording, publishing, and selecting."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from random import Random
from time import process_time
from typing import TYPE_CHECKING

from arena_exports.domain.model import (
    ExportGuid,
    ExportRequest,
    Group,
    ItemGuid,
    Kind,
    Lane,
    RequestId,
)
from arena_exports.ledger import open_ledger
from infra.simulator import control
from publish.handler import publish
from tests.bench.workloads import Items
from tests.support.fakes import FakeClock, InMemoryTable
from tests.support.world import EXPORT, World

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 980


@dataclass(frozen=True)
class Point:
    """One size: processor seconds, and calls to the ledger."""

    size: int
    seconds: float
    calls: int


def recording(size: int) -> Point:
    """Measure recording this many messages of one item, in full batches."""
    world, random, items = World(), Random(1), Items(5)
    control.start_foreign_run(world.arena, {"seconds": 100_000})
    batches = []
    for start in range(0, size, BATCH):
        bodies = [{"itemGuids": [guid]} for guid in items.take(min(BATCH, size - start))]
        ids = [str(uuid.UUID(int=random.getrandbits(128))) for _ in bodies]
        batches.append(world.record(*bodies, message_ids=ids))
    began = process_time()
    for batch in batches:
        assert world.deliver(batch) == []
    return Point(size, process_time() - began, world.table.calls.total())


def publishing(size: int) -> Point:
    """Measure publishing a run with this many requests of one item."""
    world, items = World(settings={"max_items_per_run": 20_000}), Items(6)
    control.start_foreign_run(world.arena, {"seconds": 1000})
    for start in range(0, size, BATCH):
        world.send(*[{"itemGuids": [g]} for g in items.take(min(BATCH, size - start))])
    world.clock.sleep(2000)
    world.reconcile()
    name, state = next(iter(world.executions.started.items()))
    world.clock.sleep(100)
    world.call("poll", state)
    calls, began = world.table.calls.total(), process_time()
    publish(state, world.functions.publish)
    seconds = process_time() - began
    (event, *_) = world.events("run.completed")
    assert sum(len(e["data"]["requests"]) for e in world.events("run.completed")) == size, name
    assert event["data"]["runGuid"] == state["runGuid"]
    return Point(size, seconds, world.table.calls.total() - calls)


def gathering(size: int) -> Point:
    """Measure selecting a run of 20,000 items from a backlog of this size."""
    table, clock, items = InMemoryTable(), FakeClock(), Items(7)
    requests = open_ledger(table, clock).requests
    group = Group(Lane.NORMAL, ExportGuid(EXPORT), Kind.ITEMS)
    for number in range(size // 10_000):
        guids = tuple(map(ItemGuid, items.take(10_000)))
        requests.record([ExportRequest(RequestId(f"request-{number}"), group, guids)])
        clock.sleep(1)
    calls, began = table.calls.total(), process_time()
    (head,) = requests.oldest_pages()
    selection = requests.select(head, 20_000)
    assert len(selection.item_guids) == 20_000
    return Point(size, process_time() - began, table.calls.total() - calls)


CURVES: dict[str, tuple[Callable[[int], Point], tuple[int, int, int]]] = {
    "record messages": (recording, (2_500, 5_000, 10_000)),
    "publish a run of requests": (publishing, (5_000, 10_000, 20_000)),
    "gather 20,000 from a backlog": (gathering, (250_000, 500_000, 1_000_000)),
}
