"""Defects of deliveries that the simulation found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.simulator import control
from tests.support.world import World, items

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_delivery__takes_no_redirect_of_a_dead_session_for_the_files_own() -> None:
    """A file is not given up where the session was renewed after the second redirect."""
    world = World(settings=DELIVERS)
    control.set_settings(world.arena, {"deadSessionForm": "redirect"})
    sessions = [control.kill_sessions]

    def start(real: Callable[[float], None], settled_before: float) -> None:
        if sessions:
            sessions.pop()(world.arena)
        real(settled_before)

    world.deliver_function.intercept("start", start)
    world.send({"itemGuids": items(1)})
    world.settle()
    assert sessions == []
    assert world.events("run.undelivered") == []
    assert len(world.events("run.delivered")) == 1
