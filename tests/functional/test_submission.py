"""Each answer to a POST, and what happens to the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import AttemptId, Lane
from arena_exports.domain.times import format_utc
from infra.simulator import control
from submit.handler import submit
from tests.support.world import RECONCILE, World, attempt_with_lease, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

POST = {"method": "POST", "path": "*/runs"}
START = 1_700_000_000


class Steady(World):
    """A world in which jitter is always one half."""

    def __post_init__(self) -> None:
        """Fix the jitter."""
        super().__post_init__()
        self.clock.intercept("jitter", lambda _jitter: 0.5)


def test_submission__lingers_for_batches_and_not_for_the_schedule() -> None:
    """A batch waits two seconds for others; requests that are pending leave at once."""
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
    assert world.ledger.lease.read().state is LeaseState.RUNNING


def test_fault_13__3144_is_retried_with_back_off() -> None:
    """The back-off doubles from 30 s to ten minutes, half of it jitter; a run resets it."""
    world = Steady()
    world.prove()
    control.start_foreign_run(world.arena, {"seconds": 3000})
    world.send(item_guid(1))
    waits = []
    for count in range(1, 8):
        lease = world.ledger.lease.read()
        assert (lease.state, lease.busy) == (LeaseState.IDLE, count)
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


def test_submission__unknown_post_is_counted_and_searched_for() -> None:
    """The lease is kept, and no POST is sent before a search."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": True, "drop": True})
    world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert world.telemetry.metrics["UnknownPosts"] == 1
    assert lease.state is LeaseState.SUBMITTING
    world.clock.time = lease.held_until - 1
    world.reconcile()
    assert world.ledger.lease.read() == lease
    assert world.telemetry.lines[-1] == (
        "no run now",
        {
            "reason": "a submission is in progress or unresolved",
            "until": format_utc(lease.held_until),
        },
    )
    world.clock.time = lease.held_until
    world.reconcile()
    assert world.ledger.lease.read().state is LeaseState.RUNNING
    assert world.telemetry.metrics["RunsAdopted"] == 1
    assert world.telemetry.metrics["ItemsPerRun"] == 1


def test_submission__without_a_session_waits_as_long_as_the_login_says() -> None:
    """Nothing was sent, so the attempt is void and the lease waits as long as the login."""
    world = World()
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert (lease.state, lease.attempt_id, lease.busy) == (LeaseState.IDLE, None, 0)
    assert lease.not_before == pytest.approx(world.clock.now() + 330, abs=2)
    world.reconcile()
    (fields,) = (fields for _, fields in world.telemetry.lines if "until" in fields)
    assert fields == {"reason": "backing off", "until": format_utc(lease.not_before)}
    world.settle()
    assert world.posts() == 1


def test_submission__without_a_session_keeps_the_back_off() -> None:
    """The back-off of a busy Arena is not reset while nobody can log in."""
    world = World()
    world.prove()
    control.start_foreign_run(world.arena, {"seconds": 3000})
    world.send(item_guid(1))
    assert world.ledger.lease.read().busy == 1
    control.kill_sessions(world.arena)
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.clock.time = world.ledger.lease.read().not_before
    world.reconcile()
    lease = world.ledger.lease.read()
    assert lease.not_before == pytest.approx(world.clock.now() + 330, abs=2)
    assert lease.busy == 1


def test_submission__that_finds_nothing_after_lingering_frees_the_lease() -> None:
    """If the requests were settled meanwhile, no POST is sent."""
    world = World()

    def settled_meanwhile(sleep: Callable[[float], None], seconds: float) -> None:
        sleep(seconds)
        (head,) = world.ledger.requests.oldest_pages()
        selection = world.ledger.requests.select(head, 100)
        for part in selection.slices:
            world.ledger.requests.settle_slice(head.group, part, AttemptId("another"))

    world.clock.intercept("sleep", settled_meanwhile)
    world.send(item_guid(1))
    assert world.posts() == 0
    assert world.ledger.lease.read().state is LeaseState.IDLE
    world.clock.restore("sleep")
    world.send(item_guid(2))
    assert world.posts() == 1


def test_submission__suspect_set_is_never_split_by_the_size_limit() -> None:
    """Only a run of the whole set says something about the set."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED"})
    world.send(items(4))
    world.redeploy(max_items_per_run=2)
    world.settle()
    assert [len(event["data"]["itemGuids"]) for event in world.events("completed")] == [4]


def test_submission__holder_that_died_before_the_attempt_is_replaced() -> None:
    """A lease without an attempt is freed once it expires, and the run starts at once."""
    world = World()
    taken = world.ledger.lease.take(world.ledger.lease.read())
    world.send(item_guid(1))
    assert world.posts() == 0
    world.clock.time = taken.held_until
    world.reconcile()
    assert world.posts() == 1
    assert world.ledger.lease.read().state is LeaseState.RUNNING


def test_submission__alternates_after_a_bulk_request() -> None:
    """The lease remembers the lane that was served, so that lanes alternate."""
    world = World()
    world.send({"itemGuids": items(1), "priority": "bulk"})
    assert world.ledger.lease.read().lane is Lane.BULK
    world.send(
        {"itemGuids": items(1, start=10)}, {"itemGuids": items(1, start=20), "priority": "bulk"}
    )
    world.settle()
    order = [event["data"]["itemGuids"][0] for event in world.events("run.completed")]
    assert order == [item_guid(0), item_guid(10), item_guid(20)]


def test_submission__alternates_after_a_live_request() -> None:
    """After a live request comes a backfill, although another live request is waiting."""
    world = World()
    world.send(*items(1))
    world.send(
        {"itemGuids": items(1, start=10)}, {"itemGuids": items(1, start=20), "priority": "bulk"}
    )
    world.settle()
    order = [event["data"]["itemGuids"][0] for event in world.events("run.completed")]
    assert order == [item_guid(0), item_guid(20), item_guid(10)]


@pytest.mark.parametrize(("seconds", "posts"), [(49.9, 0), (50.0, 1)])
def test_submission__starts_nothing_that_it_cannot_finish(seconds: float, posts: int) -> None:
    """A POST and its answer may take 50 seconds; with less left, the next invocation sends it."""
    world = World()
    world.send("junk")
    taken = world.ledger.lease.take(world.ledger.lease.read())
    world.send(item_guid(1))
    world.ledger.lease.release(taken)
    submit(RECONCILE, seconds, world.functions.submit)
    assert world.posts() == posts


def test_submission__starts_no_run_below_the_reserve() -> None:
    """Polls may spend the reserve; for a run, the lease is not even taken."""
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


def test_submission__unknown_post_without_a_session_is_searched_for_later() -> None:
    """If the second POST finds no session, the first one's run is still searched for."""
    world = World()
    world.send(item_guid(9))
    world.settle()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send(item_guid(1))
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    control.add_faults(world.arena, {**POST, "status": 401, "code": 401})
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    lease = world.ledger.lease.read()
    assert lease.state is LeaseState.SUBMITTING
    assert attempt_with_lease(world).searches == 0
    assert lease.held_until - world.clock.now() >= 60
    world.settle()
    assert world.exported()[item_guid(1)] == 1


def test_pause__allows_no_second_post_after_an_unknown_one() -> None:
    """The first POST is searched for, and the requests are pending until exports resume."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send(item_guid(1))
    world.redeploy(exports_paused=True)
    world.run_for(3600)
    assert world.posts() == 1
    assert world.ledger.lease.read().state is LeaseState.IDLE
    world.redeploy(exports_paused=False)
    world.settle()
    assert (world.posts(), world.exported()) == (2, {item_guid(1): 1})
