"""Each answer to a POST, and what the slot does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports import submission
from arena_exports.ledger.items import SlotState
from arena_exports.ledger.requests import RequestBook
from arena_exports.model import ExportGuid, Lane
from infra.local.simulator import control, names
from submit.handler import submit
from tests.support.world import EXPORT, RECONCILE, World, item_guid

if TYPE_CHECKING:
    from arena_exports.ledger.attempts import Attempt

POST = {"method": "POST", "path": "*/runs"}
START = 1_700_000_000


class Steady(World):
    """A world in which chance is always one half."""

    def __post_init__(self) -> None:
        """Take chance away."""
        super().__post_init__()
        self.clock.jitter = lambda: 0.5  # type: ignore[method-assign]


def items(count: int, start: int = 0) -> list[str]:
    """Return made-up item GUIDs."""
    return [item_guid(n) for n in range(start, start + count)]


def attempt_in_slot(world: World) -> Attempt:
    """Return the attempt that has the slot."""
    attempt_id = world.ledger.lease.read().attempt_id
    assert attempt_id
    return world.ledger.lease.attempt(attempt_id)


def refusal(status: int, code: int, message: str) -> dict[str, object]:
    """Return a fault that answers a POST with an error."""
    return {**POST, "status": status, "code": code, "message": message}


def test_submission__breathes_for_batches_and_not_for_the_schedule() -> None:
    """A batch lets its neighbours catch up for two seconds; what pends already goes at once."""
    world = World()
    world.send(item_guid(1))
    assert world.clock.now() == START + 2
    world.settle()
    began = world.clock.now()
    control.start_foreign_run(world.arena, {"seconds": 100})
    world.send(item_guid(2))
    assert world.clock.now() == began + 2
    world.clock.sleep(120)
    began = world.clock.now()
    world.reconcile()
    assert world.clock.now() == began
    assert world.ledger.lease.read().state is SlotState.RUNNING


def test_fault_13__busy_slot_is_tried_ever_later() -> None:
    """From 30 s on, doubled up to ten minutes, half of it by chance; a run starts it anew."""
    world = Steady()
    control.start_foreign_run(world.arena, {"seconds": 3000})
    world.send(item_guid(1))
    waits = []
    for count in range(1, 8):
        lease = world.ledger.lease.read()
        assert (lease.state, lease.busy) == (SlotState.IDLE, count)
        waits.append(lease.not_before - world.clock.now())
        world.clock.time = lease.not_before - 1
        world.reconcile()
        assert world.ledger.lease.read() == lease
        world.clock.time = lease.not_before
        world.reconcile()
    assert waits == pytest.approx([22.5, 45, 90, 180, 360, 450, 450], abs=1)
    assert world.telemetry.metrics["LeaseWaits"] == 8
    assert world.telemetry.metrics["RunsSubmitted"] == 0
    world.settle()
    assert world.ledger.lease.read().busy == 0
    assert world.posts() == world.telemetry.metrics["LeaseWaits"] + 1


def test_fault_50__named_items_are_taken_out_and_the_rest_is_sent_at_once() -> None:
    """One refusal, one rejection for each request, one more POST, all in one invocation."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": [item_guid(1), item_guid(3)]})
    world.send(item_guid(0), {"itemGuids": items(4)}, item_guid(3))
    attempt = attempt_in_slot(world)
    assert world.posts() == 2
    assert (attempt.refusals, attempt.rejected) == (1, {item_guid(1), item_guid(3)})
    world.settle()
    assert sorted(world.exported()) == [item_guid(0), item_guid(2)]
    rejected = world.events("rejected")
    assert [sorted(event["data"]["itemGuids"]) for event in rejected] == [
        [item_guid(1), item_guid(3)],
        [item_guid(3)],
    ]


def test_submission__after_ten_refusals_halves() -> None:
    """Where Arena names one item at a time, and another each time, the rest is halved."""
    world = World()
    named = items(11)
    control.set_guids(world.arena, {"bad": named})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert sorted(world.exported()) == items(89, start=11)
    assert sum(len(event["data"]["itemGuids"]) for event in world.events("rejected")) == 11
    assert len(world.events("run.completed")) == 2


def test_submission__all_items_refused_frees_the_slot_at_once() -> None:
    """Nothing is left to send: the next group's run starts in the same invocation."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": items(2)})
    world.send({"itemGuids": items(2)}, {"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert world.ledger.lease.read().state is SlotState.RUNNING
    attempt = attempt_in_slot(world)
    assert attempt.group.export_guid == names.DEFINITION_EXPORT_GUID
    world.settle()
    assert len(world.events("rejected")) == 1
    assert len(world.dead_letters.letters) == 1


@pytest.mark.parametrize(("most", "runs"), [(100, 1), (99, 2), (60, 2), (30, 5)])
def test_fault_17__run_too_large_is_halved_until_it_passes(most: int, runs: int) -> None:
    """The definition remembers the size, and grows it by a quarter after each run."""
    world = World()
    control.put_definition(world.arena, EXPORT, {"maxItems": most})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert sorted(world.exported()) == items(100)
    completed = world.events("run.completed")
    assert len(completed) == runs
    assert all(len(event["data"]["itemGuids"]) <= most for event in completed)


def test_submission__single_item_that_is_too_large_is_rejected() -> None:
    """Half of one item is none."""
    world = World()
    control.add_faults(world.arena, {**refusal(400, 3148, "too many"), "times": 2})
    world.send({"itemGuids": items(2)})
    world.settle()
    assert len(world.exported()) == 1
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "3148"
    assert "too many" in rejected["data"]["error"]["message"]


def test_submission__suspect_set_that_is_too_large_is_halved_as_a_set() -> None:
    """Suspects stay suspects, and no limit is learned from them."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 1})
    world.send({"itemGuids": items(10)})
    control.add_faults(world.arena, refusal(400, 3148, "too many"))
    world.settle()
    assert sorted(world.exported()) == items(10)
    assert [len(event["data"]["itemGuids"]) for event in world.events("run.completed")] == [5, 5]
    assert world.ledger.definitions.read(ExportGuid(EXPORT)).limit == 0


def test_submission__refused_definition_lets_others_go_at_once() -> None:
    """Its requests wait; another definition's leave in the same invocation."""
    world = World()
    control.add_faults(world.arena, refusal(400, 3145, "the definition is not shared"))
    world.send(item_guid(1))
    assert world.telemetry.metrics["DefinitionRefused"] == 1
    assert world.ledger.lease.read().state is SlotState.IDLE
    known = world.ledger.definitions.read(ExportGuid(EXPORT))
    assert (known.refusals, known.not_before) == (1, int(world.clock.now()) + 60)
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert world.ledger.lease.read().state is SlotState.RUNNING
    world.settle()
    known = world.ledger.definitions.read(ExportGuid(EXPORT))
    assert (known.refusals, known.not_before) == (0, 0)
    assert len(world.events("run.completed")) == 2


def test_submission__criteria_refused_rejects_the_requests_with_arena_s_words() -> None:
    """A definition with criteria of its own takes no items, ever."""
    world = World()
    control.add_faults(world.arena, refusal(400, 3140, "criteria are not allowed"))
    world.send({"itemGuids": items(2)}, item_guid(5))
    world.settle()
    errors = [event["data"]["error"] for event in world.events("rejected")]
    assert errors == [{"code": "3140", "message": "criteria are not allowed"}] * 2
    assert world.posts() == 1


def test_submission__unknown_post_is_counted_and_left_to_a_look() -> None:
    """The lease stays, and nobody POSTs before it has been looked."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": True, "drop": True})
    world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert world.telemetry.metrics["UnknownPosts"] == 1
    assert lease.state is SlotState.SUBMITTING
    world.clock.time = lease.expires_at - 1
    world.reconcile()
    assert world.ledger.lease.read() == lease
    world.clock.time = lease.expires_at
    world.reconcile()
    assert world.ledger.lease.read().state is SlotState.RUNNING
    assert world.telemetry.metrics["RunsAdopted"] == 1
    assert world.telemetry.metrics["ItemsPerRun"] == 1


def test_submission__session_not_to_be_had_comes_back_when_it_says() -> None:
    """Nothing was sent: the attempt is void, and the slot waits as long as the login does."""
    world = World()
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert (lease.state, lease.attempt_id, lease.busy) == (SlotState.IDLE, None, 0)
    assert lease.not_before == pytest.approx(world.clock.now() + 330, abs=2)
    world.settle()
    assert world.posts() == 1


def test_submission__holder_that_died_before_the_attempt_is_replaced() -> None:
    """A lease without an attempt promises nothing: it is freed, and the run leaves at once."""
    world = World()
    taken = world.ledger.lease.take(world.ledger.lease.read())
    world.send(item_guid(1))
    assert world.posts() == 0
    world.clock.time = taken.expires_at
    world.reconcile()
    assert world.posts() == 1
    assert world.ledger.lease.read().state is SlotState.RUNNING


def test_submission__goes_on_in_the_lane_after_the_last() -> None:
    """The slot remembers which lane was served, so that they take turns."""
    world = World()
    world.send({"itemGuids": items(1), "priority": "bulk"})
    assert world.ledger.lease.read().lane is Lane.BULK
    world.send(
        {"itemGuids": items(1, start=10)}, {"itemGuids": items(1, start=20), "priority": "bulk"}
    )
    world.settle()
    order = [event["data"]["itemGuids"][0] for event in world.events("run.completed")]
    assert order == [item_guid(0), item_guid(10), item_guid(20)]


@pytest.mark.parametrize(("seconds", "posts"), [(49.9, 0), (50.0, 1)])
def test_submission__starts_nothing_that_it_may_not_finish(seconds: float, posts: int) -> None:
    """A POST may take 45 seconds, the answer five: with less left, the next invocation does it."""
    world = World()
    world.send("junk")
    taken = world.ledger.lease.take(world.ledger.lease.read())
    world.send(item_guid(1))
    world.ledger.lease.release(taken)
    submit(RECONCILE, seconds, world.parts)
    assert world.posts() == posts


def test_submission__no_run_below_the_reserve() -> None:
    """Polls may spend the reserve; runs may not, and the slot is not even taken."""
    world = World()
    world.send(item_guid(0))
    world.settle()
    control.set_budget(world.arena, {"remaining": 100, "resetSeconds": 5000})
    world.send(item_guid(1))
    world.settle()
    posts = world.posts()
    control.set_budget(world.arena, {"remaining": 99, "resetSeconds": 5000})
    world.send(item_guid(2))
    world.run_for(3000)
    assert world.posts() - posts <= 1
    world.settle()
    assert len(world.exported()) == 3


def test_submission__too_late_for_another_post_sets_the_rest_aside() -> None:
    """Where the refusal took long, what is left waits as a set of its own."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    control.add_faults(world.arena, {**POST, "work": True, "delayAfterSeconds": 25})
    submit({"Records": world.record({"itemGuids": items(4)})}, 70.0, world.parts)
    assert world.posts() == 1
    lease = world.ledger.lease.read()
    assert (lease.state, lease.attempt_id) == (SlotState.IDLE, None)
    (head,) = world.ledger.requests.heads()
    assert (head.group.lane, head.size) == (Lane.SUSPECT, 3)
    world.settle()
    assert sorted(world.exported()) == [item_guid(n) for n in (0, 2, 3)]
    assert len(world.events("rejected")) == 1


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(1, 115.0), (10, 70.0)], ids=["halving", "setting aside"]
)
def test_submission__that_dies_while_it_moves_items_moves_them_once(
    monkeypatch: pytest.MonkeyPatch, refusals: int, seconds: float
) -> None:
    """FAULT 50: sets written, what they were taken from not yet settled: nothing goes twice."""
    monkeypatch.setattr(submission, "MOST_REFUSALS_OF_ITEMS", refusals)
    world = World()
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    control.add_faults(world.arena, {**POST, "work": True, "delayAfterSeconds": 25})
    with monkeypatch.context() as patch:
        patch.setattr(RequestBook, "settle_slice", dies)
        submit({"Records": world.record({"itemGuids": items(6)})}, seconds, world.parts)
    assert len(world.ledger.requests.heads()) == 2
    world.settle(errors=1)
    assert dict(world.exported()) == {item_guid(n): 1 for n in (0, 2, 3, 4, 5)}


def dies(*_args: object) -> None:
    """Die, as a process does."""
    raise RuntimeError


def test_submission__unknown_post_and_then_no_session_is_looked_at_when_there_is_one() -> None:
    """The second POST found no session: the first one's run may still come, so it is looked for."""
    world = World()
    world.send(item_guid(9))
    world.settle()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send(item_guid(1))
    world.clock.time = world.ledger.lease.read().expires_at
    world.reconcile()
    control.add_faults(world.arena, {**POST, "status": 401, "code": 401})
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.clock.time = world.ledger.lease.read().expires_at
    world.reconcile()
    lease = world.ledger.lease.read()
    assert lease.state is SlotState.SUBMITTING
    assert attempt_in_slot(world).looks == 0
    assert lease.expires_at - world.clock.now() >= 60
    world.settle()
    assert world.exported()[item_guid(1)] == 1


def test_pause__lets_no_second_post_follow_an_unknown_one() -> None:
    """What came of the first is found out; the requests pend until exports are resumed."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send(item_guid(1))
    world.redeploy(exports_paused=True)
    world.run_for(3600)
    assert world.posts() == 1
    assert world.ledger.lease.read().state is SlotState.IDLE
    world.redeploy(exports_paused=False)
    world.settle()
    assert (world.posts(), world.exported()) == (2, {item_guid(1): 1})
