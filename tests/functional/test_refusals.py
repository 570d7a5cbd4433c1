"""A POST refused for its items, their number or its definition, and what happens to the rest."""

from __future__ import annotations

import pytest

from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import ExportGuid, Lane
from arena_exports.ledger.requests import RequestStore
from arena_exports.services import submission
from infra.simulator import control, names
from submit.handler import submit
from tests.support.world import EXPORT, World, attempt_with_lease, item_guid, items

POST = {"method": "POST", "path": "*/runs"}
START = 1_700_000_000


def refusal(status: int, code: int, message: str) -> dict[str, object]:
    """Return a fault that answers a POST with an error."""
    return {**POST, "status": status, "code": code, "message": message}


def dies(*_args: object) -> None:
    """Raise an error, as a process that dies does."""
    raise RuntimeError


def test_fault_50__named_items_are_removed_and_the_rest_is_sent_at_once() -> None:
    """One refusal leads to a rejection for each request and one more POST, in one invocation."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": [item_guid(1), item_guid(3)]})
    world.send(item_guid(0), {"itemGuids": items(4)}, item_guid(3))
    attempt = attempt_with_lease(world)
    assert world.posts() == 2
    assert (attempt.refusals, set(attempt.rejected)) == (1, {item_guid(1), item_guid(3)})
    world.settle()
    assert sorted(world.exported()) == [item_guid(0), item_guid(2)]
    rejected = world.events("rejected")
    assert [sorted(event["data"]["itemGuids"]) for event in rejected] == [
        [item_guid(1), item_guid(3)],
        [item_guid(3)],
    ]


def test_submission__halves_after_ten_refusals() -> None:
    """If Arena names a different item each time, the remaining items are halved."""
    world = World()
    named = items(11)
    control.set_guids(world.arena, {"bad": named})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert sorted(world.exported()) == items(89, start=11)
    assert sum(len(event["data"]["itemGuids"]) for event in world.events("rejected")) == 11
    assert len(world.events("run.completed")) == 2


def test_submission__frees_the_lease_at_once_if_all_items_are_refused() -> None:
    """Nothing is left to send, so the next group's run starts in the same invocation."""
    world = World()
    world.prove()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": items(2)})
    world.send({"itemGuids": items(2)}, {"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert world.ledger.lease.read().state is LeaseState.RUNNING
    attempt = attempt_with_lease(world)
    assert attempt.group.export_guid == names.DEFINITION_EXPORT_GUID
    world.settle()
    assert len(world.events("rejected")) == 1
    assert len(world.dead_letters.letters) == 1


@pytest.mark.parametrize(("most", "runs"), [(100, 1), (99, 2), (60, 2), (30, 5)])
def test_fault_17__run_too_large_is_halved_until_it_is_accepted(most: int, runs: int) -> None:
    """The size is remembered for the definition, and grows by a quarter after each run."""
    world = World()
    control.put_definition(world.arena, EXPORT, {"maxItems": most})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert sorted(world.exported()) == items(100)
    completed = world.events("run.completed")
    assert len(completed) == runs
    assert all(len(event["data"]["itemGuids"]) <= most for event in completed)


def test_submission__rejects_a_single_item_that_is_too_large() -> None:
    """A single item cannot be halved."""
    world = World()
    control.add_faults(world.arena, {**refusal(400, 3148, "too many"), "times": 2})
    world.send({"itemGuids": items(2)})
    world.settle()
    assert len(world.exported()) == 1
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "3148"
    assert "too many" in rejected["data"]["error"]["message"]


def test_submission__halves_a_suspect_set_that_is_too_large() -> None:
    """The halves stay suspect, and no limit is learned from them."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 1})
    world.send({"itemGuids": items(10)})
    control.add_faults(world.arena, refusal(400, 3148, "too many"))
    world.settle()
    assert sorted(world.exported()) == items(10)
    assert [len(event["data"]["itemGuids"]) for event in world.events("run.completed")] == [5, 5]
    assert world.ledger.definitions.read(ExportGuid(EXPORT)).limit == 0


def test_submission__refused_definition_does_not_delay_others() -> None:
    """Its requests wait, while those of another definition leave in the same invocation."""
    world = World()
    world.prove()
    control.add_faults(world.arena, refusal(400, 3145, "the definition is not shared"))
    world.send(item_guid(1))
    assert world.telemetry.metrics["DefinitionRefused"] == 1
    assert world.ledger.lease.read().state is LeaseState.IDLE
    known = world.ledger.definitions.read(ExportGuid(EXPORT))
    assert (known.refusals, known.not_before) == (1, int(world.clock.now()) + 60)
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert world.ledger.lease.read().state is LeaseState.RUNNING
    world.settle()
    known = world.ledger.definitions.read(ExportGuid(EXPORT))
    assert (known.refusals, known.not_before) == (0, 0)
    assert len(world.events("run.completed")) == 2


def test_submission__refused_definition_leaves_the_lease_free() -> None:
    """Only the definition waits, and Arena does not count as busy."""
    world = World()
    control.add_faults(world.arena, {**POST, "status": 403, "code": 403})
    world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert (lease.state, lease.not_before, lease.busy) == (LeaseState.IDLE, 0, 0)
    assert world.ledger.definitions.read(ExportGuid(EXPORT)).not_before > world.clock.now()


def test_submission__refused_criteria_reject_the_requests_with_arena_s_words() -> None:
    """A definition with its own criteria never accepts items."""
    world = World()
    control.add_faults(world.arena, refusal(400, 3140, "criteria are not allowed"))
    world.send({"itemGuids": items(2)}, item_guid(5))
    world.settle()
    errors = [event["data"]["error"] for event in world.events("rejected")]
    assert errors == [{"code": "3140", "message": "criteria are not allowed"}] * 2
    assert world.posts() == 1


def test_submission__sets_the_rest_aside_if_it_is_too_late_for_another_post() -> None:
    """If the refusal took long, the remaining items wait as a set of their own."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    control.add_faults(world.arena, {**POST, "work": True, "delayAfterSeconds": 25})
    submit({"Records": world.record({"itemGuids": items(4)})}, 70.0, world.functions.submit)
    assert world.posts() == 1
    lease = world.ledger.lease.read()
    assert (lease.state, lease.attempt_id) == (LeaseState.IDLE, None)
    (head,) = world.ledger.requests.oldest_pages()
    assert (head.group.lane, head.size) == (Lane.SUSPECT, 3)
    world.settle()
    assert sorted(world.exported()) == [item_guid(n) for n in (0, 2, 3)]
    assert len(world.events("rejected")) == 1


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(1, 115.0), (10, 70.0)], ids=["halving", "setting aside"]
)
def test_submission__that_dies_while_moving_items_moves_them_once(
    monkeypatch: pytest.MonkeyPatch, refusals: int, seconds: float
) -> None:
    """FAULT 50: a crash between writing sets and settling their source exports nothing twice."""
    monkeypatch.setattr(submission, "MAX_REFUSALS_OF_ITEMS", refusals)
    world = World()
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    control.add_faults(world.arena, {**POST, "work": True, "delayAfterSeconds": 25})
    with monkeypatch.context() as patch:
        patch.setattr(RequestStore, "settle_slice", dies)
        submit({"Records": world.record({"itemGuids": items(6)})}, seconds, world.functions.submit)
    assert len(world.ledger.requests.oldest_pages()) == 2
    world.settle(errors=1)
    assert dict(world.exported()) == {item_guid(n): 1 for n in (0, 2, 3, 4, 5)}
