"""A run whose answer was lost is found, whatever other runs exist (R3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from arena_exports.services.adoption import SECONDS_BEFORE_SEARCH, Finding
from infra.simulator import control, names
from tests.support.world import EXPORT, World, attempt_with_lease, item_guid

if TYPE_CHECKING:
    from arena_exports.ports import HttpAnswer, HttpRequest
    from tests.support.fakes import Send

ITEMS = [item_guid(n) for n in range(5)]
LOST = {"method": "POST", "path": "*/runs", "work": True, "drop": True}


def known_world() -> World:
    """Return a world in which one run has succeeded, so that our user is known."""
    world = World()
    world.send(item_guid(99))
    world.settle()
    return world


def exported_once(world: World) -> bool:
    """Return whether each of the items was exported exactly once."""
    return all(world.exported()[guid] == 1 for guid in ITEMS)


def ours(world: World) -> int:
    """Count the runs of our user."""
    return sum(1 for run in world.arena.exports.runs if run.creator.email.startswith("machine"))


@pytest.mark.parametrize("seconds", [1, 120, 2000])
def test_adoption__finds_a_run_at_any_stage(seconds: int) -> None:
    """A run is adopted whether it has ended, ends meanwhile, or is still running."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": seconds})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__searches_as_soon_as_no_run_can_appear_any_more() -> None:
    """A submit that notices the lost answer shortens the lease."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": 2000})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.clock.sleep(SECONDS_BEFORE_SEARCH - 5)
    world.reconcile()
    assert world.telemetry.metrics["ArenaRequestsToSearch"] == 0
    world.clock.sleep(10)
    world.reconcile()
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_adoption__finds_a_run_without_a_creation_time() -> None:
    """The items and the creator identify it."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": 2000})
    control.add_faults(world.arena, LOST)

    def without_times(send: Send, request: HttpRequest) -> HttpAnswer:
        answer = send(request)
        return replace(answer, body=answer.body.replace(b"creationDateTime", b"createdOn"))

    world.transport.intercept("send", without_times)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2
    assert world.answers(3144) == 0


def test_adoption__ignores_another_user_s_run_with_the_same_items() -> None:
    """Another user's run with the same items at the same time is not taken for ours."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    control.start_foreign_run(
        world.arena, {"seconds": 300, "exportGuid": EXPORT, "itemGuids": ITEMS}
    )
    world.settle()
    assert exported_once(world)
    assert world.telemetry.metrics["RunsUnreadable"] == 0
    assert world.telemetry.metrics["RunsAdopted"] == 0


@pytest.mark.parametrize("own", [True, False], ids=["beside ours", "instead of ours"])
def test_adoption__not_of_a_stranger_s_run_while_nobody_knows_who_we_are(*, own: bool) -> None:
    """Before the first 201, and without items to compare: what cannot be read is not ours."""
    world = World()
    control.add_faults(world.arena, {**LOST, "work": own})
    control.plan_runs(world.arena, {"runningSeconds": 2})
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    world.run_for(10)
    stranger = {"seconds": 20, "exportGuid": names.DEFINITION_EXPORT_GUID}
    control.start_foreign_run(world.arena, stranger)
    world.settle()
    assert len(world.events("run.completed")) == 1
    assert ours(world) == 1
    assert world.telemetry.metrics["RunsAdopted"] == own
    assert world.telemetry.metrics["RunsUnreadable"] == 0


def test_adoption__ignores_our_older_run_with_the_same_items() -> None:
    """An earlier run with the same items is not taken for the one whose answer was lost."""
    world = known_world()
    world.send(*ITEMS)
    world.settle()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.settle()
    assert all(world.exported()[guid] == 2 for guid in ITEMS)
    assert ours(world) == 3


@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("shape", ["array", "groups"])
def test_adoption__works_with_a_clock_that_is_off(skew: int, shape: str) -> None:
    """A run is found although Arena's clock is ten minutes off, in either form of criteria."""
    world = known_world()
    control.set_settings(world.arena, {"clockSkewSeconds": skew, "criteriaShape": shape})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


@pytest.mark.parametrize("skew", [-600, 600])
def test_fault_92__adoption_works_with_a_clock_that_is_off_and_not_shown(skew: int) -> None:
    """Without a readable Date header, a creation time may be a quarter of an hour off."""
    world = known_world()
    control.set_settings(world.arena, {"clockSkewSeconds": skew, "dateForm": "none"})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__searches_recent_runs_and_not_the_whole_list() -> None:
    """The list of runs may be long, so it is filtered by status and by time."""
    world = known_world()
    for n in range(30):
        world.send(item_guid(1000 + n))
        world.settle()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    seen: list[str] = []

    def keep(send: Send, request: HttpRequest) -> HttpAnswer:
        seen.append(request.path)
        return send(request)

    world.transport.intercept("send", keep)
    world.settle()
    assert exported_once(world)
    lists = [path for path in seen if "/runs?" in path]
    assert len(lists) == 3
    assert all("status=" in path or "completionDateTimeFrom=" in path for path in lists)


def test_adoption__continues_when_another_run_starts_in_between() -> None:
    """A 3144 after an unknown POST leads to another search, not to giving up."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.run_for(200)
    control.start_foreign_run(world.arena, {"seconds": 400})
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__searches_after_ninety_seconds_and_a_minute_later() -> None:
    """The searches follow 90 s after the POST and 60 s later; then the POST is sent again."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    attempt = attempt_with_lease(world)
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    assert world.ledger.lease.read().held_until == int(world.clock.now()) + 60
    assert attempt_with_lease(world) == replace(attempt, searches=1)
    posts = world.posts()
    world.clock.sleep(60)
    world.reconcile()
    assert world.posts() == posts + 1
    again = attempt_with_lease(world)
    assert again.attempt_id != attempt.attempt_id
    assert (again.first_sent_at, again.searches) == (attempt.sent_at, 0)


def test_fault_15__second_post_follows_as_soon_as_it_may() -> None:
    """An execution wakes submit for each search, so the next POST follows after 150 s."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.settle()
    first, second = [r.at for r in world.arena.request_log.records if r.purpose == "submit"][1:]
    assert 150 <= second - first < 156
    assert exported_once(world)


def test_fault_15__two_searches_follow_each_unknown_post_also_after_3144() -> None:
    """R3: answers 3144 before it do not make a single empty search enough for another POST."""
    world = known_world()
    lost = {**LOST, "work": False}
    busy = {"method": "POST", "path": "*/runs", "code": 3144, "times": 3}
    control.add_faults(world.arena, [lost, busy, lost])
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    log = [r for r in world.arena.request_log.records if r.purpose in ("submit", "list")]
    posts = [n for n, record in enumerate(log) if record.purpose == "submit"]
    unknown, again = posts[-2:]
    assert again - unknown - 1 == 6, "two searches of three lists each"


def test_fault_87__refused_filter_is_omitted() -> None:
    """The whole list is read instead, and the run is found in it."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": 2000})
    filtered = {"method": "GET", "path": "*/runs", "parameters": ["*"], "code": 3002, "times": 50}
    control.add_faults(world.arena, [LOST, filtered])
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2
    assert world.telemetry.metrics["RunsAdopted"] == 1


@pytest.mark.parametrize("code", [404, 3011, 3012, 3024])
def test_fault_87__refused_list_never_counts_as_empty(code: int) -> None:
    """While the list is refused, for whatever reason, no second POST is sent."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": 3000})
    refused = {"method": "GET", "path": "*/runs", "code": code, "times": 8}
    control.add_faults(world.arena, [LOST, refused])
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert world.posts() == 2


def test_fault_87__list_that_stays_refused_holds_the_lease_only_for_minutes() -> None:
    """After six refusals over ten minutes the requests are pending again, and others continue."""
    world = known_world()
    world.prove()
    refused = {"method": "GET", "path": f"*/{EXPORT}/runs", "code": 3012, "times": 1000}
    control.add_faults(world.arena, [{**LOST, "work": False}, refused])
    world.send(*ITEMS)
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    world.run_for(690)
    assert world.posts() == 2
    world.settle()
    assert exported_once(world)
    assert world.telemetry.metrics["RunsUnreadable"] == 1


def test_adoption__does_not_search_before_ninety_seconds() -> None:
    """A holder of the lease that comes earlier waits until no run can appear any more."""
    world = known_world()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    attempt = attempt_with_lease(world)
    adoption = world.functions.submit.adoption
    before = len(world.arena.request_log.records)
    lease = world.ledger.lease.take(world.ledger.lease.read())
    assert adoption.search(lease, attempt) is Finding.OPEN
    assert len(world.arena.request_log.records) == before
    assert world.ledger.lease.read().held_until == attempt.sent_at + 90
    world.clock.time = attempt.sent_at + 90
    world.reconcile()
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_adoption__backs_off_after_searches_without_an_answer() -> None:
    """The back-off grows from one minute to ten, and none of them counts as an empty search."""
    world = known_world()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    attempt = attempt_with_lease(world)
    waits = []
    for count in range(1, 7):
        control.add_faults(
            world.arena, {"method": "GET", "path": "*/runs", "drop": True, "times": 3}
        )
        world.clock.time = world.ledger.lease.read().held_until
        world.reconcile()
        lease = world.ledger.lease.read()
        waits.append(lease.held_until - world.clock.now())
        assert lease.failed_searches == count
        assert attempt_with_lease(world) == attempt
        world.arena.faults.queued.clear()
    assert waits == pytest.approx([60, 120, 240, 480, 600, 600], abs=1)
    world.settle()
    assert exported_once(world)


def test_adoption__waits_for_the_budget() -> None:
    """A search that the budget forbids is made after the reset, and nothing is counted."""
    world = known_world()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    attempt = attempt_with_lease(world)
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 5000})
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    lease = world.ledger.lease.read()
    assert 3000 < lease.held_until - world.clock.now() <= 5100
    assert lease.failed_searches == 0
    assert attempt_with_lease(world) == attempt
    world.settle()
    assert exported_once(world)


def test_adoption__does_not_post_again_below_the_reserve() -> None:
    """After two empty searches, the budget must still allow another POST."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    control.set_budget(world.arena, {"remaining": 50, "resetSeconds": 5000})
    posts = world.posts()
    world.run_for(4000)
    assert world.posts() == posts
    assert attempt_with_lease(world).searches <= 2
    world.settle()
    assert exported_once(world)


def test_adoption__searches_again_after_a_3144() -> None:
    """After a 3144 to the second POST, two new searches follow before the next one."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    control.start_foreign_run(world.arena, {"seconds": 10_000})
    for _ in range(2):
        world.clock.time = world.ledger.lease.read().held_until
        world.reconcile()
    lease = world.ledger.lease.read()
    assert lease.held_until == pytest.approx(world.clock.now() + 60, abs=1)
    attempt = attempt_with_lease(world)
    assert (attempt.searches, attempt.follows_unknown) == (0, True)
    assert world.telemetry.metrics["LeaseWaits"] == 1


def test_adoption__waits_for_a_locked_account() -> None:
    """A second POST without a session waits until the account is unlocked, then searches again."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    control.add_faults(
        world.arena, {"method": "POST", "path": "*/runs", "status": 401, "code": 401}
    )
    control.set_account(world.arena, {"lockedSeconds": 300})
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    lease = world.ledger.lease.read()
    assert lease.held_until == pytest.approx(world.clock.now() + 330, abs=2)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__leaves_out_the_items_that_arena_refused() -> None:
    """Items that Arena refused by name are not expected in the run."""
    world = known_world()
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": [ITEMS[0]]})
    control.add_faults(world.arena, {**LOST, "skip": 1})
    world.send(*ITEMS)
    world.settle()
    assert sorted(world.exported()) == [*ITEMS[1:], item_guid(99)]
    assert world.telemetry.metrics["RunsAdopted"] == 1
    assert world.telemetry.metrics["ItemsPerRun"] == 1 + 4
    assert ours(world) == 2


def test_adoption__needs_no_more_of_the_budget_than_the_search() -> None:
    """A run found by a later search is adopted below the reserve, where no run may start."""
    world = known_world()
    control.add_faults(world.arena, {"method": "POST", "path": "*/runs", "lateSeconds": 100})
    world.send(*ITEMS)
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    assert attempt_with_lease(world).searches == 1
    control.set_budget(world.arena, {"remaining": 50, "resetSeconds": 50_000})
    world.clock.time = world.ledger.lease.read().held_until
    world.reconcile()
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_adoption__does_not_reveal_our_user() -> None:
    """Only the answer to our own POST does, because another user's run may look like ours."""
    world = World()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert world.telemetry.metrics["RunsAdopted"] == 1
    assert world.ledger.lease.read().creator_guid == ""
