"""Defects of deliveries that the simulation found."""

from __future__ import annotations

from infra.simulator import control
from tests.support.world import World, items

DELIVERS = {"delivers_files": True}


def test_delivery__asks_for_the_size_after_the_download_is_closed() -> None:
    """The size is asked for after the download, which may lock the session, has ended."""
    world = World(settings=DELIVERS)
    control.set_settings(world.arena, {"fileFraming": "close", "downloadsLockSession": True})
    world.send({"itemGuids": items(1)})
    world.settle()
    (event,) = world.events("run.delivered")
    assert len(event["data"]["files"]) == 1
    assert [r.purpose for r in world.arena.request_log.records].count("download") == 1


def test_delivery__waits_while_another_copy_submits_a_run() -> None:
    """Reconcile starts no download while another copy of submit is about to submit a run."""
    world, started = World(settings=DELIVERS), list[float]()
    world.deliver_function.intercept("start", lambda _real, before: started.append(before))
    world.send({"itemGuids": items(1)})
    world.run_for(600)
    assert started
    world.ledger.lease.take(world.ledger.lease.read())
    started.clear()
    world.reconcile()
    assert started == []
    world.run_for(600)
    assert started
