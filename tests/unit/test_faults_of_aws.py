"""Bad days of AWS itself: what FAULTS.md promises, by its numbers."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from arena_exports.errors import DeliveryError, LedgerUnavailableError, RequestNotCompletedError
from arena_exports.ledger.attempts import AttemptState
from arena_exports.messages import IntakeRules, parse_message
from arena_exports.telemetry import PowertoolsTelemetry, logger
from arena_exports.wiring.publish import make_publication
from infra.local.simulator import control, names
from publish.handler import publish
from tests.support.world import World, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from arena_exports.model import ExportRequest


def items(count: int, start: int = 0) -> list[str]:
    """Return made-up item GUIDs."""
    return [item_guid(n) for n in range(start, start + count)]


def failing(times: int, error: Exception, real: Callable[..., object]) -> Callable[..., object]:
    """Return a function that fails so many times, and then does what the real one does."""
    left = [error] * times

    def call(*args: object, **kwargs: object) -> object:
        if left:
            raise left.pop()
        return real(*args, **kwargs)

    return call


def test_fault_04__all_bodies_malformed() -> None:
    """Each body is rejected by itself; nothing is delivered again, and no run is started."""
    world = World()
    records = world.record("", "{", "[]", '{"itemGuids": 5}')
    assert world.deliver(records) == []
    assert len(world.events("rejected")) == len(world.dead_letters.letters) == 4
    assert world.posts() == 0


def test_fault_05__ledger_that_throttles_is_asked_again() -> None:
    """A throttled record is tried again at once; nothing fails."""
    world = World()
    real = world.table.write
    world.table.write = failing(2, LedgerUnavailableError(), real)  # type: ignore[method-assign, assignment]
    assert world.deliver(world.record(*items(3))) == []
    world.settle()
    assert sorted(world.exported()) == items(3)


def test_fault_05__ledger_that_is_down_fails_only_what_is_not_recorded() -> None:
    """What could not be recorded is delivered again, and then recorded once."""
    world = World()
    real = world.table.write
    records = world.record(*items(150))
    world.table.write = failing(3, LedgerUnavailableError(), real)  # type: ignore[method-assign, assignment]
    failed = world.deliver(records)
    assert len(failed) == 98
    assert world.deliver([r for r in records if r["messageId"] in failed]) == []
    world.settle()
    assert dict(world.exported()) == dict.fromkeys(items(150), 1)


def test_fault_06__redelivery_after_a_kill_is_a_no_op() -> None:
    """A batch that was recorded before its function died is recorded once."""
    world = World()
    records = world.record(*items(3))
    world.ledger.requests.record(
        [request for request in map(_request, records) if request is not None]
    )
    assert world.deliver(records) == []
    world.settle()
    assert dict(world.exported()) == dict.fromkeys(items(3), 1)


def _request(record: dict[str, str]) -> ExportRequest | None:
    rules = IntakeRules("default", names.DEFAULT_EXPORT_GUID)
    return parse_message(record["messageId"], record["body"], rules)


def test_fault_08__old_messages_are_accepted() -> None:
    """A message of four days ago that comes after a newer one is exported like it."""
    world = World()
    old = world.record(item_guid(1))
    old[0]["attributes"]["SentTimestamp"] = str(int((world.clock.now() - 4 * 86_400) * 1000))
    world.send(item_guid(2))
    world.deliver(old)
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1, item_guid(2): 1}


def test_fault_20__get_that_brings_no_answer_is_tried_again() -> None:
    """A poll is an idempotent GET: a few tries, then it waits and comes again."""
    world = World()
    fault = {"method": "GET", "path": "*/runs/*", "status": 502, "body": "<h1>", "times": 5}
    control.add_faults(world.arena, fault)
    world.send(*items(3))
    world.settle()
    assert dict(world.exported()) == dict.fromkeys(items(3), 1)
    assert not world.errors


def test_fault_38__topic_that_refuses_is_asked_again() -> None:
    """A run is published only when all is accepted; its poll is not repeated for it."""
    world = World()
    real = world.topic.publish
    world.topic.publish = failing(2, DeliveryError(), real)  # type: ignore[method-assign, assignment]
    world.send(*items(3))
    world.settle(errors=2)
    assert len(world.events("completed")) == 1
    assert len(world.errors) == 2
    assert sum(1 for r in world.arena.journal.records if r.purpose == "poll") == 1


def test_fault_40__two_executions_of_one_run_publish_it_once() -> None:
    """A second execution that polls and publishes the same run changes nothing."""
    world = World()
    world.send(*items(3))
    ((name, state),) = world.executions.started.items()
    world.settle()
    before = copy.deepcopy(world.table.items)
    assert publish(state, world.parts) == {}
    assert world.table.items == before
    assert len(world.events("completed")) == 1
    world.executions.start(name, state)
    assert len(world.executions.started) == 1


def test_fault_47__publish_that_was_thought_dead_harms_nobody() -> None:
    """An old copy that goes on while the next run is in progress leaves that run alone."""
    world = World(settings={"max_items_per_run": 4})
    world.send({"itemGuids": items(10)})
    (state,) = world.executions.started.values()
    while not world.events("completed"):
        world.run_for(1)
    world.run_for(1)
    lease = world.ledger.lease.read()
    assert lease.state == "running"
    assert lease.attempt_id != state["attemptId"]
    old = world.ledger.lease.attempt(state["attemptId"])
    running_before = copy.deepcopy(world.table.items["SLOT"])
    pending_before = copy.deepcopy(world.table.items["PENDING"])
    make_publication(world.parts).conclude(replace(old, state=AttemptState.ENDED))
    assert world.table.items["SLOT"] == running_before
    assert world.table.items["PENDING"] == pending_before
    world.settle()
    distinct = {event["id"]: event["data"]["itemGuids"] for event in world.events("completed")}
    assert sorted(guid for guids in distinct.values() for guid in guids) == items(10)


def test_fault_44__no_secret_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """R9: with everything logged, neither password nor session id is printed."""
    printed = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", printed)
    world = World()
    world.parts = replace(world.parts, telemetry=PowertoolsTelemetry())
    level = logger.log_level
    logger.setLevel(logging.DEBUG)
    try:
        world.set_password("wrong-password-canary")
        world.send(*items(3))
        world.run_for(120)
        world.set_password(names.PASSWORD)
        world.run_for(30)
        control.kill_sessions(world.arena)
        world.settle()
        world.topic.publish = failing(1, RequestNotCompletedError(), print)  # type: ignore[method-assign, assignment]
        world.send(item_guid(9))
        world.run_for(60)
    finally:
        logger.setLevel(level)
    shown = printed.getvalue()
    assert "login refused" in shown
    assert "run submitted" in shown
    sessions = {v["arenaSessionId"] for v in world.session_secret.versions.values()}
    for canary in sessions | {"wrong-password-canary", names.PASSWORD}:
        assert canary not in shown
