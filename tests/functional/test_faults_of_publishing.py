"""Faults 38 to 42, 47 and 48 of the table in tests/README.md: publishing and monitoring."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.errors import (
    MessagingError,
)
from arena_exports.domain.lease import LeaseState
from arena_exports.ledger.attempts import AttemptStore
from arena_exports.ledger.requests import RequestStore
from infra.simulator import control
from poll.handler import poll
from publish.handler import publish
from tests.support.fakes import failing
from tests.support.world import World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from arena_exports.ports import Event


def dies(*_args: object) -> None:
    """Raise an error, as a process that dies does."""
    raise RuntimeError


def test_fault_38__refused_event_is_published_again() -> None:
    """A run is published once every event is accepted, and is not polled again for it."""
    world = World()
    world.topic.intercept("publish", failing(2, MessagingError()))
    world.send(*items(3))
    world.settle(errors=2)
    assert len(world.events("completed")) == 1
    assert len(world.errors) == 2
    assert sum(1 for r in world.arena.request_log.records if r.purpose == "poll") == 1


def test_fault_38__refused_part_is_published_again() -> None:
    """If one of several parts is refused, the run is published once all are accepted."""
    world = World(settings={"max_items_per_run": 20_000})
    refusals = [MessagingError(), MessagingError()]

    def refuse_the_second(publish: Callable[[object], None], events: Sequence[Event]) -> None:
        publish(events[:1])
        if refusals:
            raise refusals.pop()
        publish(events[1:])

    world.topic.intercept("publish", refuse_the_second)
    world.send({"itemGuids": items(20_000)})
    world.run_for(30)
    assert world.ledger.lease.read().state is LeaseState.RUNNING
    world.settle(errors=2)
    parts = {event["id"]: event["data"] for event in world.events("completed")}
    assert len(parts) == 2
    assert sorted(guid for data in parts.values() for guid in data["itemGuids"]) == items(20_000)
    assert sum(1 for r in world.arena.request_log.records if r.purpose == "poll") == 1


def test_fault_39__second_publish_has_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish that dies after publishing leads to identical copies of its events."""
    world = World()
    world.send(*items(3))
    with monkeypatch.context() as patch:
        patch.setattr(AttemptStore, "settled", dies)
        world.run_for(200)
    assert len(world.errors) > 1
    world.errors.clear()
    world.settle()
    first, *doubles = world.events()
    assert doubles
    assert all(double == first for double in doubles)


def test_fault_40__two_executions_of_one_run_publish_it_once() -> None:
    """A second execution of the same run changes nothing."""
    world = World()
    world.send(*items(3))
    ((name, state),) = world.executions.started.items()
    world.settle()
    before = copy.deepcopy(world.table.items)
    assert publish(state, world.functions.publish) == {}
    assert world.table.items == before
    assert len(world.events("completed")) == 1
    world.executions.start(name, state)
    assert len(world.executions.started) == 1


def test_fault_40__retried_poll_changes_nothing() -> None:
    """If Step Functions repeats a poll that had answered, the run is still published once."""
    world = World()
    world.send(*items(3))
    ((name, state),) = world.executions.started.items()
    world.clock.sleep(100)
    assert poll(state, world.functions.poll)["ended"]
    before = copy.deepcopy(world.table.items)
    assert poll(state, world.functions.poll)["ended"]
    assert world.table.items == before
    world.executions.start(name, state)
    world.settle()
    assert len(world.events("completed")) == 1


def test_fault_47__late_copy_of_publish_publishes_nothing_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A copy that is overtaken would compute other counts than were published."""
    world = World(settings={"max_items_per_run": 4})
    world.send({"itemGuids": items(10)})
    (state,) = world.executions.started.values()
    world.clock.sleep(100)
    assert poll(state, world.functions.poll)["ended"]
    overtaken = RequestStore.open_counts

    def hang(book: RequestStore, *args: Any) -> Any:
        monkeypatch.setattr(RequestStore, "open_counts", overtaken)
        world.settle()
        return book.open_counts(*args)

    monkeypatch.setattr(RequestStore, "open_counts", hang)
    publish(state, world.functions.publish)
    events = {event["id"]: event for event in world.events("completed")}
    assert len(events) == len(world.events("completed")) == 3
    assert [e["data"]["requests"][0]["openCount"] for e in events.values()] == [6, 2, 0]


def test_fault_42_48__stopped_execution_is_restarted() -> None:
    """An execution that is stopped by hand twice is restarted under a new name each time."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 600})
    world.send(item_guid(1))
    for _ in range(2):
        world.run_for(70)
        (name,) = world.running
        world.stop_execution(name)
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert [name.rsplit("-", 1)[1] for name in world.executions.started] == ["1", "2", "3"]
    assert world.posts() == 1


def test_fault_47__publish_that_was_thought_dead_does_no_harm() -> None:
    """An old copy that continues during the next run does not change that run."""
    world = World(settings={"max_items_per_run": 4})
    world.send({"itemGuids": items(10)})
    (state,) = world.executions.started.values()
    while not world.events("completed"):
        world.run_for(1)
    world.run_for(1)
    lease = world.ledger.lease.read()
    assert lease.state == "running"
    assert lease.attempt_id != state["attemptId"]
    old = world.ledger.attempts.get(state["attemptId"])
    running_before = copy.deepcopy(world.table.items["SLOT"])
    pending_before = copy.deepcopy(world.table.items["PENDING"])
    world.functions.publish.publication.conclude(replace(old, state=AttemptState.ENDED))
    assert world.table.items["SLOT"] == running_before
    assert world.table.items["PENDING"] == pending_before
    world.settle()
    distinct = {event["id"]: event["data"]["itemGuids"] for event in world.events("completed")}
    assert sorted(guid for guids in distinct.values() for guid in guids) == items(10)
