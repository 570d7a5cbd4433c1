"""Logins, sessions that end each other, and locked accounts."""

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import RUNS, Arena, codes

MINUTE = 60.0


def test_login__answers_what_is_documented(arena: Arena) -> None:
    """A login answers with the session, the workspace and its request limit."""
    answer = arena.try_login()
    assert answer.status_code == 200
    assert "|" in answer.json.pop("arenaSessionId")
    assert answer.json.keys() - {"arenaSessionId"} == {
        "workspaceId",
        "workspaceName",
        "workspaceRequestLimit",
    }
    assert answer.json["workspaceId"] == names.WORKSPACE_ID
    assert answer.json["workspaceRequestLimit"] == 10_000


def test_login__ends_the_session_before_it(arena: Arena) -> None:
    """A second login of the same user ends the first session at once."""
    first = arena.session_id
    second = arena.log_in()
    arena.session_id = first
    assert codes(arena.get(RUNS)) == [(401, 401)]
    arena.session_id = second
    assert arena.get(RUNS).status_code == 200


def test_login__leaves_another_users_session(arena: Arena) -> None:
    """Users do not end each other's sessions."""
    arena.try_login(email=names.FOREIGN_EMAIL)
    assert arena.get(RUNS).status_code == 200
    assert arena.state()["sessions"] == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"email": "nobody@example.com"},
        {"email": None},
        {"email": ["a"]},
        {"password": "wrong"},
        {"password": None},
        {"workspaceId": 1},
    ],
)
def test_login__bad_credentials(arena: Arena, changed: dict[str, object]) -> None:
    """A wrong e-mail, password or workspace is code 4001, and the old session lives on."""
    assert codes(arena.try_login(**changed)) == [(400, 4001)]
    assert arena.get(RUNS).status_code == 200


@pytest.mark.parametrize("workspace_id", [None, str(names.WORKSPACE_ID)])
def test_login__workspace_may_be_left_out_or_text(arena: Arena, workspace_id: str | None) -> None:
    """The workspace is optional, and its number may come as text."""
    assert arena.try_login(workspaceId=workspace_id).status_code == 200


def test_login__five_bad_tries_lock_the_account(arena: Arena) -> None:
    """After five failed logins, the right password is refused with 4083 for five minutes."""
    for _ in range(5):
        assert codes(arena.try_login(password="wrong")) == [(400, 4001)]
    assert codes(arena.try_login()) == [(400, 4083)]
    arena.clock.move(5 * MINUTE - 1)
    assert codes(arena.try_login()) == [(400, 4083)]
    arena.clock.move(1)
    assert arena.try_login().status_code == 200


def test_login__success_forgets_bad_tries(arena: Arena) -> None:
    """Four failed logins, a successful one, and four failed ones do not lock the account."""
    for _ in range(2):
        for _ in range(4):
            arena.try_login(password="wrong")
        assert arena.try_login().status_code == 200


@pytest.mark.parametrize("code", [4001, 4079, 4081, 4082, 4083])
def test_login__refused_by_control(arena: Arena, code: int) -> None:
    """The control interface can make every login fail with a code."""
    arena.control("PATCH", "account", {"refusal": code})
    assert codes(arena.try_login()) == [(400, code)]
    arena.control("PATCH", "account", {"refusal": None})
    assert arena.try_login().status_code == 200


def test_login__password_changed_by_control(arena: Arena) -> None:
    """After a change only the new password opens the account."""
    arena.control("PATCH", "account", {"password": "another"})
    assert codes(arena.try_login()) == [(400, 4001)]
    assert arena.try_login(password="another").status_code == 200


def test_login__locked_by_control(arena: Arena) -> None:
    """The control interface locks the account for the given time."""
    arena.control("PATCH", "account", {"lockedSeconds": 20})
    assert codes(arena.try_login()) == [(400, 4083)]
    arena.clock.move(20)
    assert arena.try_login().status_code == 200


def test_login__lands_in_another_workspace(arena: Arena) -> None:
    """The control interface can make a login answer with another workspace."""
    arena.control("PATCH", "account", {"answeredWorkspaceId": 7})
    assert arena.try_login().json["workspaceId"] == 7


def test_login__other_spelling_of_the_key(arena: Arena) -> None:
    """The session's key follows the one page that spells it with underscores, if set."""
    arena.control("PATCH", "settings", {"sessionKey": "arena_session_id"})
    answer = arena.try_login().json
    assert "arena_session_id" in answer
    assert "arenaSessionId" not in answer


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b'{"email": NaN}', b"\xff"])
def test_login__body_that_is_no_object(arena: Arena, data: bytes) -> None:
    """A body that is not a JSON object is code 400."""
    assert codes(arena.call("POST", "/v1/login", data=data)) == [(400, 400)]


def test_session__ends_90_minutes_after_its_last_use(arena: Arena) -> None:
    """Each use restarts the ninety minutes."""
    for _ in range(3):
        arena.clock.move(90 * MINUTE - 1)
        assert arena.get(RUNS).status_code == 200
    arena.clock.move(90 * MINUTE)
    assert arena.state()["sessions"] == 0
    assert codes(arena.get(RUNS)) == [(401, 401)]


@pytest.mark.parametrize("session_id", [None, "", "made|up"])
def test_session__missing_or_unknown(arena: Arena, session_id: str | None) -> None:
    """Without a session, every call except login is code 401."""
    arena.session_id = session_id
    assert codes(arena.get(RUNS)) == [(401, 401)]


def test_session__killed_by_control(arena: Arena) -> None:
    """The control interface ends all sessions."""
    arena.control("DELETE", "sessions")
    assert arena.state()["sessions"] == 0
    assert codes(arena.get(RUNS)) == [(401, 401)]


def test_logout__ends_the_session(arena: Arena) -> None:
    """After a logout the session is dead."""
    assert arena.call("PUT", "/v1/logout").status_code == 200
    assert codes(arena.call("PUT", "/v1/logout")) == [(401, 401)]
