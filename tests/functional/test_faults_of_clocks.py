"""Clocks that are off, and users and sessions that change, must not block everything for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import Entry, ExportGuid, Group, Kind, Lane, RequestId, SetHistory
from arena_exports.ports import Check, Condition, HttpAnswer, HttpRequest
from infra.simulator import control, names
from poll.handler import poll
from tests.support.fakes import ShiftedClock
from tests.support.world import World, item_guid, items

if TYPE_CHECKING:
    from tests.support.fakes import Send

POST = {"method": "POST", "path": "*/runs"}
GET = {"method": "GET", "path": "*/runs/*"}
LOST = {**POST, "work": True, "drop": True}
UNKNOWN_EXPORT = "NOSUCHDEFINITION0001"


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_search__survives_an_impossible_date(date: str) -> None:
    """FAULT 32: a proxy's absurd clock neither stops the searches nor hides the run."""
    world = World()

    def absurd(send: Send, request: HttpRequest) -> HttpAnswer:
        answer = send(request)
        return HttpAnswer(answer.status, {**answer.headers, "date": date}, answer.body)

    world.transport.intercept("send", absurd)
    control.add_faults(world.arena, LOST)
    world.send(item_guid(1))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.posts() == 1


@pytest.mark.parametrize("seconds", [-5, 5])
def test_search__by_a_function_whose_clock_is_off_finds_the_run(seconds: float) -> None:
    """FAULT 14: the clocks of the sender and the searcher may differ by some seconds."""
    world = World()
    control.add_faults(world.arena, LOST)
    world.send(item_guid(1))
    world.dependencies = replace(world.dependencies, clock=ShiftedClock(world.clock, seconds))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.posts() == 1


def test_spent_budget__is_noted_by_a_function_whose_clock_is_behind() -> None:
    """FAULT 30: an answer recorded by a clock that is ahead does not hide a 429."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 100})
    world.send(item_guid(1))
    budget = world.ledger.budget.read()
    world.ledger.budget.write(replace(budget, seen_at=budget.seen_at + 30))
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 5000})
    (state,) = world.executions.started.values()
    assert poll(state, world.functions.poll)["waitSeconds"] >= 900
    before = len(world.arena.request_log.records)
    assert poll(state, world.functions.poll)["waitSeconds"] >= 900
    assert len(world.arena.request_log.records) == before


def test_search__finds_a_run_after_the_machine_user_was_changed() -> None:
    """FAULT 14: the run of the new user is ours, although the last run was the old user's."""
    world = World()
    world.send(item_guid(0))
    world.settle()
    person = {
        "email": names.FOREIGN_EMAIL,
        "password": names.PASSWORD,
        "workspaceId": names.WORKSPACE_ID,
    }
    world.credentials.write(person, "credentials-of-another")
    control.kill_sessions(world.arena)
    control.add_faults(world.arena, {**LOST, "skip": 1})
    world.send(item_guid(1))
    world.settle()
    assert dict(world.exported()) == {item_guid(0): 1, item_guid(1): 1}
    assert len(list(world.arena.exports.runs)) == 2


def test_search__for_a_run_of_an_unknown_definition_ends_soon() -> None:
    """FAULT 87: a lost answer for an unknown definition delays others only for minutes."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send({"exportGuid": UNKNOWN_EXPORT, "itemGuids": items(1)})
    world.send(item_guid(1))
    world.run_for(1200)
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.ledger.lease.read().state is LeaseState.IDLE
    (rejection,) = world.events("rejected")
    assert rejection["data"]["error"]["code"] in ("3011", "3012")


def test_session__is_renewed_after_its_secret_was_overwritten_by_hand() -> None:
    """FAULT 22: if the secret and the ledger name different dead sessions, a login follows."""
    world = World()
    world.send(item_guid(0))
    world.settle()
    world.session_secret.write({"arenaSessionId": "pasted"}, "by-hand")
    control.kill_sessions(world.arena)
    world.send(item_guid(1))
    world.settle(7200)
    assert world.exported()[item_guid(1)] == 1
    assert world.telemetry.metrics["Logins"] == 2


def test_overdue_run__that_cannot_be_read_is_reported() -> None:
    """FAULT 36: a run past its time-out is overdue, whether or not Arena answers."""
    world = World(settings={"run_timeout_seconds": 60})
    control.plan_runs(world.arena, {"runningSeconds": 10})
    world.send(item_guid(1))
    control.add_faults(world.arena, {**GET, "status": 503, "body": "x", "times": 30})
    world.run_for(900)
    assert world.telemetry.metrics["RunOverdue"] > 0
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}


def test_failed_definition_run__is_not_given_up_for_another_that_failed_earlier() -> None:
    """FAULT 34: requests that share a suspect run wait for a success after the latest failure."""
    world = World()
    old = SetHistory(failures=1, first_failed_at=100)
    new = SetHistory(failures=1, first_failed_at=200)
    export_guid = ExportGuid(names.DEFINITION_EXPORT_GUID)
    group = Group(Lane.SUSPECT, export_guid, Kind.DEFINITION)
    requests = world.ledger.requests
    fence = Check(("SLOT", "-"), Condition(absent=("PK",)))
    for name, history in (("old", old), ("new", new)):
        requests.write_suspect_set(
            group, name, [Entry(RequestId(name), None, (), 0)], history, fence
        )
    (head,) = requests.oldest_pages()
    assert requests.select(head, 10).history.first_failed_at == 200
