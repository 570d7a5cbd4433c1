"""The pure half of the Arena client: every code is a named error, and no odd answer breaks it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.arena import protocol, refusals
from arena_exports.domain import errors
from arena_exports.domain.model import ExportGuid, ItemGuid, Kind
from arena_exports.domain.runs import RunStatus, parse_run, parse_runs
from arena_exports.domain.times import epoch_seconds
from arena_exports.ports import HttpAnswer, HttpRequest
from tests.support.properties import thorough
from tests.unit.samples import SAMPLES, sample

EXPORT = ExportGuid("EXPDEFAULT0000000001")
A, B = ItemGuid("CUEXB8CEPGHGZI18WDMU"), ItemGuid("M407LIMOZGZQ5TUP27F")
POST = protocol.start_run(EXPORT, Kind.ITEMS, [A, B])
GET = HttpRequest("poll", "GET", "/x")
UNKNOWN = errors.RequestNotCompletedError


def answer(status: int, *codes: object, message: str = "text") -> HttpAnswer:
    """Return Arena's answer with these error codes."""
    body = {"status": status, "errors": [{"code": code, "message": message} for code in codes]}
    return HttpAnswer(status, {}, json.dumps(body).encode())


def test_start_run__body_has_one_guid_criterion() -> None:
    """The criteria are an array of groups, with a single guid criterion."""
    criterion = {"attribute": "guid", "operator": "IS_IN", "value": [A, B]}
    assert json.loads(POST.body) == {"criteria": [[criterion]]}
    assert (POST.method, POST.path) == ("POST", f"/exports/{EXPORT}/runs")
    assert protocol.start_run(EXPORT, Kind.DEFINITION, []).body == b"{}"


def test_headers__are_sent_with_every_call() -> None:
    """A GET has a content type too; the session id is sent only if there is one."""
    assert GET.headers["Content-Type"] == "application/json"
    assert "arena_session_id" not in GET.headers
    assert HttpRequest("poll", "GET", "/x", session_id="a|b").headers["arena_session_id"] == "a|b"


def test_request__does_not_show_its_secrets() -> None:
    """R9: a request that is logged shows no session id and no password."""
    assert "canary" not in repr(HttpRequest("poll", "GET", "/x", session_id="canary"))
    assert "canary" not in repr(protocol.login({"email": "e", "password": "canary"}))


def test_answer_error__does_not_show_the_request_s_secrets() -> None:
    """R9: the error hides whatever Arena repeats of the request, even where its text is cut."""
    login = protocol.login({"email": "e", "password": 'ca"na\nry'})
    poll = HttpRequest("poll", "GET", "/x", session_id="A|b=")
    for request, shown in ((login, 'ca"na\nry'), (poll, "A|b=")):
        told = replace(
            answer(400, 4001, message=f"{shown}{'.' * 287}{shown}"), secrets=request.secrets
        )
        text = str(protocol.answer_error(request, told))
        assert text.startswith(f"{request.call}: 400/4001: [redacted].")
        assert text.endswith(".[re")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, 401, errors.SessionInvalidError),
        (400, 3144, errors.ExportInProgressError),
        (400, 3140, errors.CriteriaRefusedError),
        (400, 3142, errors.CriteriaRefusedError),
        (400, 3294, errors.CriteriaRefusedError),
        (400, 3148, errors.TooManyItemsError),
        (400, 3149, errors.TooManyItemsError),
        (429, 4084, errors.BudgetSpentError),
        (429, 4014, errors.BudgetSpentError),
        (400, 4083, errors.AccountLockedError),
        (400, 4013, errors.AccountLockedError),
        (400, 3145, errors.ArenaAnswerError),
        (403, 3024, errors.ArenaAnswerError),
        (400, 9999, errors.ArenaAnswerError),
        (404, 404, errors.ArenaAnswerError),
        (400, 3000, UNKNOWN),
        (500, 3000, UNKNOWN),
        (400, 3146, UNKNOWN),
        (400, 4085, UNKNOWN),
        (500, 4087, UNKNOWN),
        (503, 503, UNKNOWN),
        (500, 3144, UNKNOWN),
    ],
)
def test_answer_error__names_each_code(status: int, code: int, expected: type[Exception]) -> None:
    """Each documented code is one named error; a 5xx means unknown, whatever its code."""
    named = protocol.answer_error(POST, answer(status, code))
    assert type(named) is expected


def test_answer_error__one_unknown_code_among_several_makes_it_unknown() -> None:
    """Of several errors in one answer, a code that leaves the outcome open wins."""
    assert type(protocol.answer_error(POST, answer(400, 3011, 3000))) is UNKNOWN
    assert (
        type(protocol.answer_error(POST, answer(400, 3011, 3144))) is errors.ExportInProgressError
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"errors": 3}', b'{"errors": [3]}', b"\xff"]
)
@pytest.mark.parametrize("status", [302, 400, 401, 403, 502])
def test_answer_error__that_is_not_arena_s_leaves_it_open(status: int, body: bytes) -> None:
    """A proxy's answer is no definite refusal."""
    assert type(protocol.answer_error(POST, HttpAnswer(status, {}, body))) is UNKNOWN


def test_answer_error__asks_for_fewer_items_if_the_body_was_very_large() -> None:
    """For a very large body, only 413 and a 400 for its syntax ask for fewer items."""
    large = protocol.start_run(EXPORT, Kind.ITEMS, [A] * 10_000)
    assert (
        type(protocol.answer_error(POST, HttpAnswer(413, {}, b"<h1>"))) is errors.TooManyItemsError
    )
    assert type(protocol.answer_error(large, answer(400, 400))) is errors.TooManyItemsError
    assert (
        type(protocol.answer_error(large, HttpAnswer(400, {}, b"<h1>"))) is errors.TooManyItemsError
    )
    assert type(protocol.answer_error(POST, answer(400, 400))) is errors.ArenaAnswerError
    assert type(protocol.answer_error(large, answer(400, 3011))) is errors.ArenaAnswerError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f'The guid "{A}" is not valid.', (A,)),
        (f'The guid " {A.lower()}  " is not valid.', (A,)),
        (f'The requested object with guid "{B}" is not found.', (B,)),
        (f'The guid "{A}" and the guid "{B}" are not valid.', (A, B)),
        ('The guid "SOMEBODYELSE00000000" is not valid.', None),
        ('The specified value "Changes" is not a valid option for the attribute "world".', None),
    ],
)
def test_start_run_error__is_about_items_or_the_definition(
    message: str, expected: tuple[str, ...] | None
) -> None:
    """Our items that are named are refused; any other error is about the definition."""
    refusal = answer(400, 3011, message=message)
    error = protocol.answer_error(POST, refusal)
    assert isinstance(error, errors.ArenaAnswerError)
    named = refusals.start_run_error(error, refusal, EXPORT, frozenset({A, B}))
    if expected is None:
        assert type(named) is errors.DefinitionRefusedError
    else:
        assert isinstance(named, errors.ItemsRefusedError)
        assert named.item_guids == expected


def test_start_run_error__definition_that_arena_does_not_know() -> None:
    """FAULT 19: a 3011 or 3012 that names the definition and no item of ours makes it unknown."""
    refusal = answer(400, 3012, message=f'guid "{EXPORT}" and guid "{B}" are not found')
    error = protocol.answer_error(POST, refusal)
    assert isinstance(error, errors.ArenaAnswerError)
    named = refusals.start_run_error(error, refusal, EXPORT, frozenset({A}))
    assert type(named) is errors.DefinitionUnknownError


def _answer_of(*named: tuple[object, str]) -> HttpAnswer:
    listed = [{"code": code, "message": message} for code, message in named]
    return HttpAnswer(400, {}, json.dumps({"errors": listed}).encode())


@pytest.mark.parametrize(
    ("others", "decisive"),
    [
        (((None, "odd"),), (3140, "no such view")),
        (((3011, "an item"), ("", "odd")), (3142, "no such action")),
        ((("", "odd"),), (9999, "an undocumented one")),
    ],
)
def test_answer_error__has_the_code_and_message_that_decide(
    others: tuple[tuple[object, str], ...], decisive: tuple[int, str]
) -> None:
    """An event names the code of a rejection, so it must be that of the error behind it."""
    error = protocol.answer_error(POST, _answer_of(*others, decisive))
    assert isinstance(error, errors.ArenaAnswerError)
    assert (error.code, error.arena_message) == decisive


def test_start_run_error__of_an_unknown_definition_has_the_code_that_names_it() -> None:
    """Other errors may precede it."""
    refusal = _answer_of((9999, "odd"), (3012, f'guid "{EXPORT}" is not found'))
    error = protocol.answer_error(POST, refusal)
    assert isinstance(error, errors.ArenaAnswerError)
    named = refusals.start_run_error(error, refusal, EXPORT, frozenset({A}))
    assert type(named) is errors.DefinitionUnknownError
    assert (named.code, named.arena_message) == (3012, f'guid "{EXPORT}" is not found')


@pytest.mark.parametrize("items", [(A,), (A, EXPORT)])
def test_start_run_error__items_come_before_the_definition(items: tuple[str, ...]) -> None:
    """FAULT 19: an answer that names both, or an item that is the definition, refuses items."""
    body = {
        "errors": [
            {"code": 3012, "message": f'guid "{EXPORT}" is not found'},
            {"code": 3011, "message": f'guid "{A}" is not valid'},
        ]
    }
    refusal = HttpAnswer(400, {}, json.dumps(body).encode())
    error = protocol.answer_error(POST, refusal)
    assert isinstance(error, errors.ArenaAnswerError)
    named = refusals.start_run_error(error, refusal, EXPORT, frozenset(map(ItemGuid, items)))
    assert isinstance(named, errors.ItemsRefusedError)
    assert set(named.item_guids) == set(items)
    assert named.code == (3011 if items == (A,) else 3012)


@pytest.mark.parametrize(("status", "code"), [(404, 404), (400, 3012), (400, 3011), (400, 3002)])
def test_read_run_error__leaves_the_run_unknown(status: int, code: int) -> None:
    """FAULT 87: only 403 and 3024 say anything about a run that was created."""
    error = protocol.answer_error(GET, answer(status, code))
    assert isinstance(error, errors.ArenaAnswerError)
    assert refusals.read_run_error(error) is error


@pytest.mark.parametrize(("status", "code"), [(403, 3024), (400, 3024), (403, 1)])
def test_read_run_error__means_unreadable(status: int, code: int) -> None:
    """FAULT 29: a run that this user may not read can never be read."""
    error = protocol.answer_error(GET, answer(status, code))
    assert isinstance(error, errors.ArenaAnswerError)
    assert type(refusals.read_run_error(error)) is errors.RunUnreadableError


@pytest.mark.parametrize("key", ["arenaSessionId", "arena_session_id"])
def test_login__accepts_both_spellings(key: str) -> None:
    """The key of the session id is spelled in two ways."""
    login = protocol.read_login({key: "a|b:c", "workspaceId": 898698})
    assert (login.session_id, login.workspace_id) == ("a|b:c", "898698")
    assert "a|b:c" not in repr(login)


@pytest.mark.parametrize("content", [None, [], {}, {"arenaSessionId": 5}, {"arenaSessionId": ""}])
def test_login__needs_a_session_id(content: object) -> None:
    """An answer without a session id is no login."""
    with pytest.raises(UNKNOWN):
        protocol.read_login(content)


def test_login__sends_only_the_credentials_of_the_secret() -> None:
    """The workspace is optional, and nothing else of the secret is sent."""
    secret = {"email": "e", "password": "p", "workspaceId": None, "note": "x"}
    assert json.loads(protocol.login(secret).body) == {"email": "e", "password": "p"}


def test_run__is_read_from_the_vendor_s_samples() -> None:
    """Both documented samples are read, with criteria in one array and a null title."""
    running, complete = parse_run(sample("run-running")), parse_run(sample("run-complete"))
    assert running.status is RunStatus.RUNNING
    assert running.item_guids == frozenset({A, B})
    assert running.completion_date_time is None
    assert complete.status is RunStatus.COMPLETE
    assert [(f.guid, f.title) for f in complete.files] == [("1P7V0X13DKJWDKJPY982", None)]
    assert complete.criteria_results_count == 1
    assert complete.created_at == epoch_seconds("2023-03-08T09:32:25+00:00")
    assert complete.creator_guid == "ASCV96ACN4L4N6P6BG6H"


def test_errors__are_read_from_the_vendor_s_samples() -> None:
    """The three documented refusals are about the definition, because none names an item."""
    for name in ("error-not-creatable", "error-value", "error-required"):
        refusal = HttpAnswer(400, {}, json.dumps(sample(name)).encode())
        error = protocol.answer_error(POST, refusal)
        assert isinstance(error, errors.ArenaAnswerError)
        named = refusals.start_run_error(error, refusal, EXPORT, frozenset({A}))
        assert type(named) is errors.DefinitionRefusedError


def test_samples__are_all_used() -> None:
    """A sample that no test reads is a mistake."""
    used = {"run-running", "run-complete", "error-not-creatable", "error-value", "error-required"}
    assert set(SAMPLES) == used


def test_run__is_read_with_criteria_in_groups() -> None:
    """An array of arrays is read like one array, with keys in any order."""
    criterion = {"value": [A.lower(), f" {B} "], "operator": "IS_IN", "attribute": "guid"}
    assert parse_run({"guid": "R", "criteria": [[criterion]]}).item_guids == frozenset({A, B})
    assert parse_run({"guid": "R", "criteria": [[{"attribute": "number"}]]}).item_guids is None
    assert parse_run({"guid": "R"}).item_guids is None


def test_run__keeps_an_unknown_status() -> None:
    """An unknown status is kept as text."""
    run = parse_run({"guid": "R", "status": "ARCHIVING"})
    assert (run.status, run.status_text) == (RunStatus.UNKNOWN, "ARCHIVING")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
run_like = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["guid", "status", "number", "files", "criteria", "creator", "creationDateTime"],
        json_values,
    ),
)


@thorough()
@given(run_like | json_values)
def test_run__property_any_json(content: Any) -> None:
    """Whatever JSON an answer holds, it is read as a run or refused as none."""
    for parse in (parse_run, parse_runs, protocol.read_login):
        try:
            parse(content)
        except UNKNOWN:
            continue


@thorough()
@given(st.integers(200, 599), st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
def test_answer__property_any_bytes(status: int, body: bytes) -> None:
    """Whatever bytes an answer holds, it is JSON or a named error."""
    for request in (POST, GET):
        try:
            protocol.answer_json(request, HttpAnswer(status, {}, body))
        except errors.ArenaError:
            continue
