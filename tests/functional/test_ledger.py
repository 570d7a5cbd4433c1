"""What the ledger costs, and how it finds requests again."""

from __future__ import annotations

import json
import uuid
from random import Random

import pytest

from arena_exports.domain.model import RequestId
from tests.support.ledger_desk import attempts_of
from tests.support.world import World, item_guid

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def messages(count: int, random: Random) -> tuple[list[object], list[str]]:
    """Return one-GUID bodies with correlation ids, and message ids; none compress well."""
    bodies: list[object] = [
        {"itemGuids": ["".join(random.choices(LETTERS, k=20))], "correlationId": f"ECO-{n:06d}"}
        for n in range(count)
    ]
    return bodies, [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(count)]


def test_ledger__write_units_of_one_guid_messages() -> None:
    """Recording and settling a message in full batches costs at most 2.2 write units."""
    world, random, batch = World(settings={"max_items_per_run": 20_000}), Random(1), 980
    for _ in range(10):
        bodies, ids = messages(batch, random)
        assert world.deliver(world.record(*bodies, message_ids=ids)) == []
    world.settle()
    assert sum(world.exported().values()) == 10 * batch
    assert world.table.write_units / (10 * batch) <= 2.2


@pytest.mark.parametrize("count", [1_000, 2_000, 4_000])
def test_ledger__calls_grow_no_faster_than_messages(count: int) -> None:
    """The number of calls for each message does not grow with the number of messages."""
    world, random = World(settings={"max_items_per_run": 1_000}), Random(2)
    for _ in range(count // 500):
        bodies, ids = messages(500, random)
        world.deliver(world.record(*bodies, message_ids=ids))
    world.settle()
    assert sum(world.table.calls.values()) / count < 0.25


def test_ledger__holds_a_message_of_a_mebibyte() -> None:
    """Forty-five thousand GUIDs in one message are all exported, spread over several runs."""
    world = World(settings={"max_items_per_run": 20_000})
    guids = [item_guid(n) for n in range(45_000)]
    (request_id,) = world.send({"itemGuids": guids})
    world.settle()
    assert sorted(world.exported()) == guids
    assert world.posts() == 3
    last = [r for e in world.events("completed") for r in e["data"]["requests"]][-1]
    assert last == {
        "requestId": request_id,
        "correlationId": None,
        "itemCount": 5_000,
        "openCount": 0,
    }


def test_ledger__finds_the_runs_that_served_a_request() -> None:
    """A request leads to its attempts, across pages and suspect sets."""
    world = World(settings={"max_items_per_run": 10})
    (request_id,) = world.send({"itemGuids": [item_guid(n) for n in range(25)]})
    assert attempts_of(world.ledger, request_id) == []
    world.settle()
    assert len(attempts_of(world.ledger, request_id)) == 3
    assert world.ledger.requests.trace(RequestId("unknown")) is None


def test_ledger__expires_settled_pages_and_no_pending_ones() -> None:
    """A pending page never expires; a settled one does, 75 days after it was settled."""
    world = World()
    world.send(item_guid(1))
    pages = [items["-"] for pk, items in world.table.items.items() if pk.startswith("PAGE#")]
    assert [page.get("expiresAt") for page in pages] == [None]
    world.settle()
    (page,) = [items["-"] for pk, items in world.table.items.items() if pk.startswith("PAGE#")]
    assert page["expiresAt"] == pytest.approx(world.clock.now() + 75 * 86_400, abs=60)


def test_ledger__holds_no_session_id_and_no_password() -> None:
    """R9: no password or session id is in the ledger, an event or a log line."""
    world = World()
    world.send(*[item_guid(n) for n in range(3)])
    world.settle()
    session_id = next(iter(world.session_secret.versions.values()))["arenaSessionId"]
    shown = repr(world.table.items) + json.dumps(world.events()) + repr(world.telemetry.lines)
    assert session_id not in shown
    assert "simulator" not in shown
