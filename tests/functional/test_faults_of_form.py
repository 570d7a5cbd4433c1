"""Odd values that no store accepts must not block everything for ever."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.arena import protocol
from arena_exports.domain.errors import ArenaAnswerError, RequestNotCompletedError, RetryLaterError
from arena_exports.domain.model import ExportGuid, Kind
from arena_exports.domain.runs import parse_run
from arena_exports.ports import HttpAnswer
from infra.simulator import control
from tests.support.world import EXPORT, FOUR_BYTE_LETTERS, World, item_guid, random_text

if TYPE_CHECKING:
    from arena_exports.ports import HttpRequest
    from tests.support.fakes import Send

POST = {"method": "POST", "path": "*/runs"}
RANDOM = Random(1)


def title() -> str:
    """Return a title that hardly compresses."""
    return random_text(RANDOM, FOUR_BYTE_LETTERS, 400)


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
def test_run__with_an_odd_value_is_published(call: str, odd: dict[str, Any]) -> None:
    """FAULT 20: a number, a time or a text that no store accepts does not block the lease."""
    world = World()
    world.transport.rewrite(
        call, lambda run: {**run, **(odd if run["status"] != "RUNNING" else {})}
    )
    world.send(item_guid(1))
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    assert all(len(event.body) <= 256 * 1024 for event in world.topic.events)


@pytest.mark.parametrize("guid", ["x" * 3000, "R/../../login", "a b", "R\n", "Ä" * 20, "R?x=1"])
def test_run__with_an_impossible_guid_is_refused(guid: str) -> None:
    """FAULT 20: a 201 whose GUID cannot be one counts as no answer."""
    with pytest.raises(RequestNotCompletedError):
        parse_run({"guid": guid, "status": "CREATED"})


@pytest.mark.parametrize("message", ["a\x00b", "\ud800", "\uffff", "\x1b[31m"])
def test_error__of_arena_is_published_as_printable_text(message: str) -> None:
    """FAULT 46: Arena's message about an item fits into a message attribute of SQS."""
    world = World()
    control.add_faults(world.arena, {**POST, "code": 3142, "message": "M"})

    def garble(send: Send, request: HttpRequest) -> HttpAnswer:
        answer = send(request)
        text = json.dumps(message).encode()
        return HttpAnswer(answer.status, answer.headers, answer.body.replace(b'"M"', text))

    world.transport.intercept("send", garble)
    world.send(item_guid(1))
    world.settle()
    (letter,) = world.dead_letters.letters
    assert letter.error_message.isprintable()


@pytest.mark.parametrize("field", ["code", "message"])
def test_error__nested_as_deep_as_possible_can_be_read(field: str) -> None:
    """FAULT 20: JSON that can just be read is not too deep to be shown."""
    request = protocol.start_run(ExportGuid(EXPORT), Kind.ITEMS, [item_guid(1)])
    for depth in range(200, 1000, 5):
        nested = "[" * depth + "]" * depth
        body = f'{{"errors": [{{"code": 3144, "message": "x", "{field}": {nested}}}]}}'
        error = protocol.answer_error(request, HttpAnswer(400, {}, body.encode()))
        assert isinstance(error, (ArenaAnswerError, RequestNotCompletedError))


@pytest.mark.parametrize("session_id", ["a\nb", " a", "ä", "x" * 100_000, "a b", "\x7f"])
def test_login__without_a_usable_session_id_is_repeated(session_id: str) -> None:
    """FAULT 20: an id that no header or secret can hold is not stored; another login follows."""
    world = World()
    once = iter([session_id])

    def odd(login: dict[str, Any]) -> dict[str, Any]:
        return {**login, "arenaSessionId": next(once, login["arenaSessionId"])}

    world.transport.rewrite("log in", odd)
    world.send(item_guid(1))
    assert not world.session_secret.versions
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}


def test_login__that_a_gateway_finds_too_large_is_no_refusal() -> None:
    """FAULT 24: a 413 says nothing about the credentials."""
    world = World()
    control.add_faults(
        world.arena, {"method": "POST", "path": "*/login", "status": 413, "body": "<h1>"}
    )
    desk = world.functions.session.login_service
    with pytest.raises(RetryLaterError, match="failed"):
        desk.renew("")
    world.clock.sleep(100)
    assert desk.renew("")
