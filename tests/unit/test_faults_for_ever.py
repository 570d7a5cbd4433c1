"""What is odd once must not hold up everything for ever (R8, R11): size, form, time, and user."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports import arena_protocol as protocol
from arena_exports.arena_protocol import HttpAnswer, HttpRequest
from arena_exports.errors import ArenaAnswerError, NotNowError, RequestNotCompletedError
from arena_exports.ledger.items import SlotState
from arena_exports.ledger.requests import MOST_SLICES
from arena_exports.model import Entry, ExportGuid, Group, Kind, Lane, RequestId, SetHistory
from arena_exports.ports import Check, If
from arena_exports.runs import parse_run
from arena_exports.submission import MOST_ITEMS_REJECTED
from arena_exports.wiring.session import make_login_desk
from infra.local.simulator import control, names
from poll.handler import poll
from tests.support.world import EXPORT, World, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Clock
    from tests.support.fakes import InMemoryTable

RANDOM = Random(1)
HARD_LETTERS = "".join(map(chr, range(0x20000, 0x2A000)))  # four bytes each, two JSON escapes
POST = {"method": "POST", "path": "*/runs"}
GET = {"method": "GET", "path": "*/runs/*"}
LOST = {**POST, "work": True, "drop": True}
UNKNOWN_EXPORT = "NOSUCHDEFINITION0001"


def items(count: int, start: int = 0) -> list[str]:
    """Return made-up item GUIDs."""
    return [item_guid(n) for n in range(start, start + count)]


def random_text(random: Random, letters: str, length: int) -> str:
    """Return text that hardly packs."""
    return "".join(random.choices(letters, k=length))


class Rewriting:
    """The way to Arena, with somebody on it who changes answers."""

    def __init__(self, world: World, call: str, change: Callable[[Any], Any]) -> None:
        self._send = world.transport.send
        self._call = call
        self._change = change
        world.transport.send = self.send  # type: ignore[method-assign]

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send, and change the answer to the call that is meant."""
        answer = self._send(request)
        if request.call != self._call or answer.status >= protocol.HTTP_ERROR:
            return answer
        content = self._change(json.loads(answer.body))
        return HttpAnswer(answer.status, answer.headers, json.dumps(content).encode())


class Strict:
    """A table that refuses numbers and keys as DynamoDB does, beside items that are too large."""

    def __init__(self, table: InMemoryTable) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        """Read, and count, as the table does."""
        return getattr(self._table, name)

    def write(self, *writes: Any) -> None:
        """Write what DynamoDB would take: 38 digits, keys of 1 and 2 KiB."""
        for write in writes:
            assert len(write.key[0]) <= 2048
            assert len(write.key[1]) <= 1024
            values = getattr(write, "item", getattr(write, "values", {}))
            assert all(len(str(v)) <= 38 for v in values.values() if isinstance(v, int))
            _check_numbers(values)
        self._table.write(*writes)


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            _check_numbers(inner)
    assert not isinstance(value, int) or len(str(value)) <= 38


class Apart:
    """A clock so many seconds apart from another."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        """Sleep and draw as the other clock does."""
        return getattr(self._clock, name)

    def now(self) -> float:
        """Return the other's time, so many seconds off."""
        return self._clock.now() + self._seconds


# ---- size: an item of the ledger holds 400 KB ----------------------------------------------------


def test_failed_set__of_many_requests_with_long_correlation_ids() -> None:
    """FAULT 34: what failed is set aside on pages that fit, whatever stands in its requests."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED"})
    control.start_foreign_run(world.arena, {"seconds": 60})
    for start in range(0, 1500, 250):
        world.send(
            *(
                {"itemGuids": [guid], "correlationId": random_text(RANDOM, HARD_LETTERS, 128)}
                for guid in items(250, start)
            )
        )
    world.settle()
    assert sorted(world.exported()) == items(1500)


def test_schedule__of_a_definition_that_was_refused_for_weeks() -> None:
    """FAULT 11: what piled up, a page each, leaves in runs that the ledger can note and settle."""
    world = World(settings={"max_items_per_run": 20_000, "exports_paused": True})
    body = {"exportGuid": names.DEFINITION_EXPORT_GUID}
    ids = [world.send(body)[0] for _ in range(MOST_SLICES + 10)]
    world.redeploy(exports_paused=False)
    world.settle()
    runs = [event["data"]["requests"] for event in world.events("completed")]
    assert sorted({r["requestId"] for requests in runs for r in requests}) == ids
    assert world.posts() == 2


def test_attempt__with_everything_refused_fits_its_item() -> None:
    """FAULT 50: Arena names each of 20,000 items, of the longest GUIDs, one message each."""
    random = Random(1)
    world = World(settings={"max_items_per_run": 20_000})
    letters = string.ascii_uppercase + string.digits
    guids = [random_text(random, letters, 32) for _ in range(20_000)]
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": guids})
    world.send({"itemGuids": guids})
    world.settle()
    rejected = [guid for event in world.events("rejected") for guid in event["data"]["itemGuids"]]
    assert sorted(rejected) == sorted(guids)
    assert world.posts() <= 20_000 / MOST_ITEMS_REJECTED + 4


def title() -> str:
    """Return a title that hardly packs."""
    return random_text(RANDOM, HARD_LETTERS, 400)


# ---- form: what Arena's answers may hold ---------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"number": 10**60}, id="number"),
        pytest.param({"criteriaResultsCount": 10**60}, id="count"),
        pytest.param({"completionDateTime": "9999-12-31T23:59:59Z"}, id="end of time"),
        pytest.param({"creationDateTime": "0001-01-01T00:00:00Z"}, id="dawn of time"),
        pytest.param({"completionDateTime": "x" * 500_000}, id="no time"),
        pytest.param({"creator": {"guid": "x" * 500_000}}, id="creator"),
        pytest.param({"files": [{"guid": "F" * 20, "title": "x" * 300_000}]}, id="title"),
        pytest.param(
            {"files": [{"guid": f"{n:020d}", "title": title()} for n in range(1000)]},
            id="many titles",
        ),
    ],
)
@pytest.mark.parametrize("call", ["start an export run", "poll an export run"])
def test_run__with_an_odd_value_is_published_all_the_same(call: str, odd: dict[str, Any]) -> None:
    """FAULT 20: a number, a time, or a text that no store takes does not hold up the slot."""
    world = World()
    Rewriting(world, call, lambda run: {**run, **(odd if run["status"] != "RUNNING" else {})})
    world.table = Strict(world.table)  # type: ignore[assignment]
    world.parts = world.make_parts()
    world.send(item_guid(1))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert all(len(event.body) <= 256 * 1024 for event in world.topic.events)


@pytest.mark.parametrize("guid", ["x" * 3000, "R/../../login", "a b", "R\n", "Ä" * 20, "R?x=1"])
def test_run__with_an_odd_guid_is_no_run(guid: str) -> None:
    """FAULT 20: a 201 whose GUID could not be one is an answer that says nothing."""
    with pytest.raises(RequestNotCompletedError):
        parse_run({"guid": guid, "status": "CREATED"})


@pytest.mark.parametrize("message", ["a\x00b", "\ud800", "\uffff", "\x1b[31m"])
def test_error__of_arena_is_told_in_printable_text(message: str) -> None:
    """FAULT 46: what Arena says of an item can stand in a message attribute of SQS."""
    world = World()
    control.add_faults(world.arena, {**POST, "code": 3142, "message": "M"})
    send = world.transport.send

    def garble(request: HttpRequest) -> HttpAnswer:
        answer = send(request)
        text = json.dumps(message).encode()
        return HttpAnswer(answer.status, answer.headers, answer.body.replace(b'"M"', text))

    world.transport.send = garble  # type: ignore[method-assign]
    world.send(item_guid(1))
    world.settle()
    (letter,) = world.dead_letters.letters
    assert letter.error_message.isprintable()


@pytest.mark.parametrize("field", ["code", "message"])
def test_error__nested_as_deep_as_can_be_is_still_read(field: str) -> None:
    """FAULT 20: JSON that can just be read must not be too deep to be shown."""
    request = protocol.start_run(ExportGuid(EXPORT), Kind.ITEMS, [item_guid(1)])
    for depth in range(200, 1000, 5):
        nested = "[" * depth + "]" * depth
        body = f'{{"errors": [{{"code": 3144, "message": "x", "{field}": {nested}}}]}}'
        error = protocol.answer_error(request, HttpAnswer(400, {}, body.encode()))
        assert isinstance(error, (ArenaAnswerError, RequestNotCompletedError))


# ---- time: clocks that are off -------------------------------------------------------------------


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_look__with_a_date_that_cannot_be(date: str) -> None:
    """FAULT 32: a proxy's absurd clock neither stops the looks nor hides the run."""
    world = World()
    send = world.transport.send

    def absurd(request: HttpRequest) -> HttpAnswer:
        answer = send(request)
        return HttpAnswer(answer.status, {**answer.headers, "date": date}, answer.body)

    world.transport.send = absurd  # type: ignore[method-assign]
    control.add_faults(world.arena, LOST)
    world.send(item_guid(1))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.posts() == 1


@pytest.mark.parametrize("seconds", [-5, 5])
def test_look__by_a_function_whose_clock_is_off(seconds: float) -> None:
    """FAULT 14: who looks may have a clock some seconds apart from that of who sent."""
    world = World()
    control.add_faults(world.arena, LOST)
    world.send(item_guid(1))
    world.parts = replace(world.parts, clock=Apart(world.clock, seconds))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.posts() == 1


def test_spent_budget__told_to_a_function_whose_clock_is_behind() -> None:
    """FAULT 30: an answer that was noted by a clock ahead does not hide a 429."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 100})
    world.send(item_guid(1))
    budget = world.ledger.budget.read()
    world.ledger.budget.write(replace(budget, seen_at=budget.seen_at + 30))
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 5000})
    (state,) = world.executions.started.values()
    assert poll(state, world.parts)["waitSeconds"] >= 900
    before = len(world.arena.journal.records)
    assert poll(state, world.parts)["waitSeconds"] >= 900
    assert len(world.arena.journal.records) == before


# ---- user: another one, or a session that is not what the record says ---------------------------


def test_look__after_the_machine_user_was_changed() -> None:
    """FAULT 14: the run of the new user is ours too, although the last one was by the old user."""
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


def test_look__at_a_definition_that_arena_does_not_know() -> None:
    """FAULT 19: a lost answer for a definition that does not exist does not block all others."""
    world = World()
    control.add_faults(world.arena, {**POST, "work": False, "drop": True})
    world.send({"exportGuid": UNKNOWN_EXPORT, "itemGuids": items(1)})
    world.send(item_guid(1))
    world.run_for(1200)
    assert dict(world.exported()) == {item_guid(1): 1}
    assert world.ledger.lease.read().state is SlotState.IDLE
    assert world.events("rejected") == []


def test_sessions__secret_that_was_overwritten_by_hand() -> None:
    """FAULT 22: where the secret and the record name different dead sessions, a login follows."""
    world = World()
    world.send(item_guid(0))
    world.settle()
    world.session_secret.write({"arenaSessionId": "pasted"}, "by-hand")
    control.kill_sessions(world.arena)
    world.send(item_guid(1))
    world.settle(7200)
    assert world.exported()[item_guid(1)] == 1
    assert world.telemetry.metrics["Logins"] == 2


@pytest.mark.parametrize("session_id", ["a\nb", " a", "ä", "x" * 100_000, "a b", "\x7f"])
def test_login__that_answers_with_what_is_no_session_id(session_id: str) -> None:
    """FAULT 20: an id that no header and no secret can hold is not kept; another login follows."""
    world = World()
    once = iter([session_id])

    def odd(login: dict[str, Any]) -> dict[str, Any]:
        return {**login, "arenaSessionId": next(once, login["arenaSessionId"])}

    Rewriting(world, "log in", odd)
    world.send(item_guid(1))
    assert not world.session_secret.versions
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}


def test_login__that_a_gateway_finds_too_large_refuses_no_password() -> None:
    """FAULT 24: a 413 says nothing about the credentials."""
    world = World()
    control.add_faults(
        world.arena, {"method": "POST", "path": "*/login", "status": 413, "body": "<h1>"}
    )
    desk = make_login_desk(world.parts)
    with pytest.raises(NotNowError, match="did not work out"):
        desk.renew("")
    world.clock.sleep(100)
    assert desk.renew("")


def test_overdue_run__that_cannot_be_read_is_said() -> None:
    """FAULT 36: past its time-out a run is overdue, whether or not Arena answers."""
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
    fence = Check(("SLOT", "-"), If(absent=("PK",)))
    for name, history in (("old", old), ("new", new)):
        requests.put_set(group, name, [Entry(RequestId(name), None, (), 0)], history, fence)
    (head,) = requests.heads()
    assert requests.select(head, 10).history.first_failed_at == 200
