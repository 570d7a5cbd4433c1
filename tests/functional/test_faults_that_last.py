"""Lasting faults must not delay what works (FAULTS 19, 29, 83, 86 to 88)."""

from __future__ import annotations

from functools import partial

import pytest

from arena_exports.domain.definitions import MAX_TRIALS_A_DAY
from arena_exports.domain.model import (
    Entry,
    ExportGuid,
    Group,
    Kind,
    Lane,
    RequestId,
    SetHistory,
)
from arena_exports.ports import Check, Condition
from infra.simulator import control, names
from tests.support.world import EXPORT, World, item_guid, items

POST = {"method": "POST", "path": "*/runs"}
BROKEN = "EXPBROKEN00000000001"
OTHER = names.DEFINITION_EXPORT_GUID
HOUR, DAY = 3600, 86_400


def spent_on(world: World, export_guid: str) -> int:
    """Count Arena's requests for one definition."""
    return sum(1 for r in world.arena.request_log.records if f"/{export_guid}/" in r.path)


def test_fault_83__post_that_was_not_sent_costs_no_trial() -> None:
    """After hours of a wrong password, the first run of a new stack starts within minutes."""
    world = World()
    world.set_password("wrong")
    world.send(item_guid(1))
    world.run_for(5 * HOUR)
    assert world.posts() == 0
    world.set_password(names.PASSWORD)
    world.run_for(300)
    assert dict(world.exported()) == {item_guid(1): 1}


def test_fault_83__definitions_that_are_refused_take_turns_with_new_ones() -> None:
    """A dozen definitions that stay refused do not use up the POSTs of a new one."""
    world = World()
    for n in range(12):
        broken = f"EXPREFUSED{n:010}"
        control.put_definition(world.arena, broken, {"refusal": 3145})
        world.send({"exportGuid": broken, "itemGuids": [item_guid(n)]})
    world.run_for(2 * DAY)
    world.send(item_guid(100))
    world.run_for(2 * HOUR)
    assert dict(world.exported()) == {item_guid(100): 1}


def test_fault_83__new_definition_goes_after_the_others_until_it_has_waited_an_hour() -> None:
    """A new definition has its turn even if requests of working definitions never end."""
    world = World()
    world.prove(EXPORT)
    control.plan_runs(world.arena, {"runningSeconds": 900, "count": 100})
    for n in range(40):
        world.at(n * 300, partial(world.send, item_guid(n)))
    world.at(30, lambda: world.send({"exportGuid": OTHER}))
    world.run_for(HOUR)
    sent = [r.path for r in world.arena.request_log.records if r.purpose == "submit"]
    assert len(sent) >= 4
    assert not any(OTHER in path for path in sent)
    world.run_for(HOUR)
    sent = [r.path for r in world.arena.request_log.records if r.purpose == "submit"]
    assert any(OTHER in path for path in sent)


def test_fault_86__trials_that_are_spent_free_the_lease() -> None:
    """A new definition whose POST led to no run waits without the lease for the next day."""
    world = World()
    world.prove(EXPORT)
    control.add_faults(
        world.arena, {**POST, "path": f"*/{OTHER}/runs", "drop": True, "work": False}
    )
    world.send({"exportGuid": OTHER})
    for _ in range(MAX_TRIALS_A_DAY):
        world.ledger.definitions.count_trial(world.clock.now())
    world.run_for(300)
    world.send(item_guid(1))
    world.run_for(300)
    assert dict(world.exported()) == {item_guid(1): 1}


@pytest.mark.parametrize("answer", [{"status": 502, "body": "x"}, {"code": 3000}, {"drop": True}])
def test_fault_87__list_that_never_answers_holds_the_lease_for_hours_only(
    answer: dict[str, object],
) -> None:
    """A lost POST is given up in the end if the definition's list of runs never answers."""
    world = World()
    world.prove(EXPORT, BROKEN)
    control.put_definition(world.arena, BROKEN, {})
    lost = {"path": f"*/{BROKEN}/runs", "work": False, "times": None}
    control.add_faults(
        world.arena,
        [{**lost, "method": "POST", "drop": True}, {**lost, "method": "GET", **answer}],
    )
    world.send({"exportGuid": BROKEN, "itemGuids": items(1)})
    world.send(item_guid(1))
    world.run_for(5 * HOUR)
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.telemetry.metrics["RunsUnreadable"] >= 1
    world.run_for(DAY - 5 * HOUR)
    assert spent_on(world, BROKEN) < 600


@pytest.mark.parametrize("refusal", [{"status": 404, "code": 404}, {"status": 403, "code": 3024}])
def test_fault_29__definition_whose_runs_cannot_be_read_backs_off(
    refusal: dict[str, object],
) -> None:
    """It does not start a run each minute, and others continue."""
    world = World()
    world.prove(EXPORT, BROKEN)
    control.put_definition(world.arena, BROKEN, {})
    unreadable = {"method": "GET", "path": f"*/{BROKEN}/runs/*", "times": None, **refusal}
    control.add_faults(world.arena, unreadable)
    world.send({"exportGuid": BROKEN, "itemGuids": items(1)})
    world.run_for(10)
    world.send(item_guid(1))
    world.run_for(2 * HOUR)
    assert dict(world.exported()) == {item_guid(1): 1}
    world.run_for(DAY - 2 * HOUR)
    assert spent_on(world, BROKEN) < 300


def test_fault_88__renewal_that_failed_is_tried_again_at_the_next_page() -> None:
    """A throttled session function costs a minute, not an hour."""
    world = World()
    control.set_settings(world.arena, {"deadSessionForm": "redirect"})
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(3))
    world.run_for(60)
    control.kill_sessions(world.arena)
    answers = iter([{"reason": "throttled", "retryAfterSeconds": 30}])
    call = world.call
    world.call = lambda function, payload: (  # type: ignore[method-assign]
        next(answers, None) or call(function, payload)
        if function == "session"
        else call(function, payload)
    )
    began = world.clock.now()
    world.settle()
    assert world.clock.now() - began < 2700
    assert world.telemetry.metrics["Logins"] == 2


def test_fault_88__pages_that_stay_renew_the_session_once_an_hour() -> None:
    """R5 would allow four logins an hour."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 3})
    world.send(*items(3))
    page = {"method": "GET", "path": "/v1/exports/*", "status": 200, "body": "\ufeff <html>"}
    control.add_faults(world.arena, {**page, "lastsSeconds": 4 * HOUR})
    world.settle()
    assert 1 < world.telemetry.metrics["SessionPages"] <= 5
    assert world.telemetry.metrics["Logins"] <= 6


def test_fault_87__list_that_is_cut_off_never_counts_as_empty() -> None:
    """If Arena shows only a part of the whole list, our run may be in the rest."""
    world = World()
    for n in range(3):
        world.send(item_guid(100 + n))
        world.settle()
    control.plan_runs(world.arena, {"runningSeconds": 600})
    control.set_settings(world.arena, {"listOrder": "oldest", "listLimit": 2})
    filtered = {"method": "GET", "path": "*/runs", "parameters": ["*"], "code": 3002, "times": None}
    control.add_faults(world.arena, [{**POST, "drop": True, "work": True}, filtered])
    world.send(*items(3))
    world.run_for(500)
    assert world.posts() == 4


def test_fault_86__definition_run_is_never_blamed_for_posts_without_a_run() -> None:
    """Its own criteria have worked since, so the POST is repeated and nothing is rejected."""
    world = World()
    world.prove(OTHER)
    group = Group(Lane.SUSPECT, ExportGuid(OTHER), Kind.DEFINITION)
    history = SetHistory(failures=5, first_failed_at=100)
    fence = Check(("SLOT", "-"), Condition(absent=("PK",)))
    entries = [Entry(RequestId("r"), None, (), 0)]
    world.ledger.requests.write_suspect_set(group, "old", entries, history, fence)
    control.add_faults(world.arena, {**POST, "drop": True, "work": False, "times": 3})
    world.settle()
    assert world.events("rejected") == []
    assert len(world.events("completed")) == 1
    assert not world.dead_letters.letters


def test_fault_86__item_that_failed_twice_without_a_run_is_not_rejected_yet() -> None:
    """A single item is blamed only after four failed attempts."""
    world = World()
    world.prove()
    unlucky = {**POST, "itemGuids": [item_guid(1)], "drop": True, "work": False, "times": 9}
    control.add_faults(world.arena, unlucky)
    world.send(item_guid(1))
    for n in range(20):
        world.at(60 + n * 120, partial(world.send, item_guid(100 + n)))
    world.settle()
    assert world.exported()[item_guid(1)] == 1
    assert world.events("rejected") == []


def test_fault_86__failures_of_a_bad_day_do_not_count_against_an_item() -> None:
    """While every attempt fails, a later success does not blame the item."""
    world = World()
    world.prove()
    every_post = {**POST, "drop": True, "work": False, "times": None, "lastsSeconds": 6 * HOUR}
    control.add_faults(world.arena, every_post)
    world.send(item_guid(1))
    world.run_for(6 * HOUR)
    unlucky = {**POST, "itemGuids": [item_guid(1)], "drop": True, "work": False, "times": 3}
    control.add_faults(world.arena, unlucky)
    world.send(item_guid(2))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1, item_guid(2): 1}
    assert world.events("rejected") == []


def test_fault_30__burst_limits_that_are_not_in_a_row_do_not_grow() -> None:
    """A good answer, even without Arena's headers, ends a series of burst limits."""
    world = World()
    limited = {"status": 429, "body": "x", "retryAfterSeconds": 5, "counts": False}
    bare = {"headers": {"X-Arena-Requests-Remaining": ""}}
    for _ in range(4):
        control.add_faults(world.arena, [{**POST, **limited}, {**POST, **bare}])
        world.send(item_guid(1))
        world.settle()
        assert world.ledger.budget.read().refusals == 0
