"""One function logs in for all, and never twice with refused credentials (R5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import RetryLaterError
from arena_exports.ledger import keys
from arena_exports.services.login import LOGIN_SECONDS
from arena_exports.wiring.session import SessionFunction
from infra.simulator import control, names
from tests.support.fakes import FakeSecret
from tests.support.world import World, item_guid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def test_login__writes_the_secret() -> None:
    """Without a session there is a login, which stores the id under the returned version."""
    world = World()
    version = world.functions.session.login_service.renew("")
    assert world.session_secret.current == version
    assert world.session_secret.versions[version]["arenaSessionId"]


def test_fault_22__functions_with_the_same_dead_session_make_one_login() -> None:
    """Twenty functions that name the same dead session cause one login and get one session."""
    world = World()
    desk = world.functions.session.login_service
    dead = desk.renew("")
    assert len({desk.renew(dead) for _ in range(20)}) == 1
    assert world.logins() == 2


def test_fault_26__login_in_progress_is_waited_for() -> None:
    """During a login nobody else logs in."""
    world = World()
    record = world.ledger.session
    now = int(world.clock.now())
    record.write(replace(record.read(), login="token", login_expires_at=now + LOGIN_SECONDS))
    with pytest.raises(RetryLaterError, match="in progress"):
        world.functions.session.login_service.renew("")
    assert world.logins() == 0


def test_login__follows_when_the_current_session_is_gone_from_its_secret() -> None:
    """A recreated secret or a restored ledger leads to one login."""
    world = World()
    desk = world.functions.session.login_service
    gone = desk.renew("")
    world.session_secret.versions.clear()
    world.session_secret.current = None
    assert desk.renew("") == gone, "a login of a moment ago is trusted"
    world.clock.sleep(LOGIN_SECONDS + 1)
    assert len({desk.renew("") for _ in range(5)}) == 1
    assert world.logins() == 2
    world.send(item_guid(1))
    world.settle()
    assert world.exported() == {item_guid(1): 1}


def test_login__returns_the_current_session_to_latecomers() -> None:
    """The version that the ledger names is read; no other version replaces it."""
    world = World()
    desk = world.functions.session.login_service
    first = desk.renew("")
    second = desk.renew(first)
    world.clock.sleep(LOGIN_SECONDS + 1)
    assert desk.renew(first) == desk.renew("") == second
    assert world.logins() == 2
    del world.session_secret.versions[second]
    world.session_secret.write({"arenaSessionId": "another"}, "by hand")
    assert desk.renew(first) not in (first, second)
    assert world.logins() == 3


class DyingSecret(FakeSecret):
    """A session secret whose writer dies before or right after the write."""

    writes = False

    def write(self, value: Mapping[str, Any], version: str) -> None:
        """Write if so configured, and die."""
        if self.writes:
            super().write(value, version)
        raise RuntimeError


@pytest.mark.parametrize(("writes", "expected"), [(False, 2), (True, 1)])
def test_fault_25__login_that_dies_around_the_write_is_recovered(
    *, writes: bool, expected: int
) -> None:
    """A login that died before the write is repeated; one that had written is used."""
    world = World()
    dying = DyingSecret()
    dying.writes = writes
    with pytest.raises(RuntimeError):
        SessionFunction(replace(world.dependencies, session_secret=dying)).login_service.renew("")
    world.session_secret.versions |= dying.versions
    world.session_secret.current = dying.current
    desk = world.functions.session.login_service
    with pytest.raises(RetryLaterError):
        desk.renew("")
    world.clock.sleep(LOGIN_SECONDS + 1)
    version = desk.renew("")
    assert world.session_secret.current == version
    assert world.logins() == expected
    assert desk.renew(version) != version


def test_login__cools_down_after_the_third_within_an_hour() -> None:
    """After three logins within an hour, one is allowed each quarter of an hour."""
    world = World()
    desk = world.functions.session.login_service
    version = ""
    for _ in range(3):
        version = desk.renew(version)
    with pytest.raises(RetryLaterError, match="cooling down"):
        desk.renew(version)
    world.clock.sleep(901)
    assert desk.renew(version) != version
    assert world.telemetry.metrics["SessionDuel"] == 2


@pytest.mark.parametrize("code", [4001, 4079, 4081, 4082])
def test_fault_24__refused_credentials_are_tried_once(code: int) -> None:
    """After a refusal, no login is tried until the secret has a new version."""
    world = World()
    control.set_account(world.arena, {"refusal": code})
    desk = world.functions.session.login_service
    for _ in range(5):
        with pytest.raises(RetryLaterError, match="refused"):
            desk.renew("")
        world.clock.sleep(3600)
    assert world.logins() == 1
    control.set_account(world.arena, {"refusal": None})
    world.set_password(names.PASSWORD)
    assert desk.renew("")


def test_fault_24__new_password_is_tried_at_once() -> None:
    """Refused logins do not count for the cool-down, so repaired credentials need not wait."""
    world = World()
    desk = world.functions.session.login_service
    version = desk.renew(desk.renew(""))
    control.set_account(world.arena, {"refusal": 4001})
    for _ in range(2):
        with pytest.raises(RetryLaterError, match="refused") as caught:
            desk.renew(version)
        assert caught.value.retry_after_seconds == 60
    assert world.telemetry.metrics["SessionDuel"] == 0
    control.set_account(world.arena, {"refusal": None})
    world.set_password(names.PASSWORD)
    assert desk.renew(version) != version
    assert world.logins() == 4
    assert world.telemetry.metrics["SessionDuel"] == 1
    state = world.ledger.session.read()
    assert len(state.logins) == 4
    assert (state.refused_version, state.refused_code) == ("", "")


def test_fault_24__guessed_passwords_do_not_lock_the_account() -> None:
    """From the fourth wrong version within an hour on, logins cool down."""
    world = World()
    desk = world.functions.session.login_service
    for guess in range(20):
        world.set_password(f"guess {guess}")
        with pytest.raises(RetryLaterError):
            desk.renew("")
        world.clock.sleep(61)
    assert world.answers(4083) == 0
    assert world.logins() == 5


def test_fault_24__locked_account_is_waited_for() -> None:
    """After a 4083 the wait is longer than Arena's five minutes, and the password stays valid."""
    world = World()
    control.set_account(world.arena, {"lockedSeconds": 300})
    desk = world.functions.session.login_service
    with pytest.raises(RetryLaterError) as caught:
        desk.renew("")
    assert caught.value.retry_after_seconds >= 300
    with pytest.raises(RetryLaterError):
        desk.renew("")
    assert world.logins() == 1
    world.clock.sleep(caught.value.retry_after_seconds + 1)
    assert desk.renew("")


def test_login__without_an_answer_is_retried_later() -> None:
    """A login without an answer is no refusal."""
    world = World()
    control.add_faults(world.arena, {"method": "POST", "path": "*/login", "drop": True})
    desk = world.functions.session.login_service
    with pytest.raises(RetryLaterError) as caught:
        desk.renew("")
    world.clock.sleep(caught.value.retry_after_seconds + 1)
    assert desk.renew("")


def test_login__that_fails_does_not_revive_an_older_session() -> None:
    """After a failed login no session is current, because the previous one is dead."""
    world = World()
    dying = DyingSecret(dict(world.session_secret.versions), world.session_secret.current)
    first = world.functions.session.login_service.renew("")
    dying.writes = True
    with pytest.raises(RuntimeError):
        SessionFunction(replace(world.dependencies, session_secret=dying)).login_service.renew(
            first
        )
    world.session_secret.versions |= dying.versions
    world.session_secret.current = second = str(dying.current)
    world.clock.sleep(LOGIN_SECONDS + 1)
    desk = world.functions.session.login_service
    control.add_faults(world.arena, {"method": "POST", "path": "*/login", "drop": True})
    with pytest.raises(RetryLaterError):
        desk.renew(second)
    world.clock.sleep(3600)
    assert desk.renew(second) not in (first, second)


@pytest.mark.parametrize("missing", [["email"], ["password"], ["email", "password"]])
def test_login__credentials_without_a_key_are_not_tried(missing: list[str]) -> None:
    """The log names what is missing, and the next version is tried."""
    world = World()
    value = {"email": "a@example.com", "password": "p", "workspaceId": 1}
    world.credentials.write({k: v for k, v in value.items() if k not in missing}, "incomplete")
    desk = world.functions.session.login_service
    for _ in range(2):
        with pytest.raises(RetryLaterError, match="login refused") as caught:
            desk.renew("")
        assert caught.value.retry_after_seconds == 60
    assert world.logins() == 0
    assert world.telemetry.metrics["LoginRefused"] == 2
    (message, fields), *_ = [line for line in world.telemetry.lines if "refused" in line[0]]
    assert message == "login refused"
    assert fields["errorCode"] == "CredentialsInvalid"
    assert fields["errorMessage"] == "the credentials secret has no " + " and no ".join(missing)
    assert world.ledger.session.read().refused_code == "CredentialsInvalid"
    world.set_password(names.PASSWORD)
    assert desk.renew("")


def test_login__without_a_value_in_the_credentials_secret_is_refused() -> None:
    """An empty secret is refused like a wrong one until it has a version."""
    world = World()
    world.credentials.versions.clear()
    desk = world.functions.session.login_service
    for _ in range(2):
        with pytest.raises(RetryLaterError, match="login refused"):
            desk.renew("")
    assert world.ledger.session.read().refused_version == "none"
    world.set_password(names.PASSWORD)
    assert desk.renew("")


def test_fault_28__login_into_another_workspace_is_refused() -> None:
    """No run is started there, and the log names both workspaces."""
    world = World()
    control.set_account(world.arena, {"answeredWorkspaceId": 666})
    desk = world.functions.session.login_service
    with pytest.raises(RetryLaterError, match="login refused"):
        desk.renew("")
    assert not world.session_secret.versions
    (fields,) = [fields for message, fields in world.telemetry.lines if message == "login refused"]
    assert fields["errorCode"] == "WrongWorkspace"
    assert "666" in str(fields["errorMessage"])
    assert str(names.WORKSPACE_ID) in str(fields["errorMessage"])


def test_login__stores_only_what_is_needed() -> None:
    """The secret holds the session id and its workspace; the ledger holds neither."""
    world = World()
    version = world.functions.session.login_service.renew("")
    value = world.session_secret.versions[version]
    assert sorted(value) == ["arenaSessionId", "workspaceId"]
    state = world.ledger.session.read()
    assert (state.version, state.login) == (version, version)
    assert state.logins == (int(world.clock.now()),)
    assert (state.refused_version, state.refused_code, state.not_before) == ("", "", 0)
    assert state.login_expires_at == int(world.clock.now()) + LOGIN_SECONDS
    assert world.telemetry.metrics["Logins"] == 1
    assert world.telemetry.metrics["LoginRefused"] == 0


def test_login__says_when_to_retry() -> None:
    """The wait is the rest of a cool-down, or a minute after a login without an answer."""
    world = World()
    desk = world.functions.session.login_service
    version = ""
    for _ in range(3):
        version = desk.renew(version)
    world.clock.sleep(100)
    with pytest.raises(RetryLaterError, match="logins are cooling down") as caught:
        desk.renew(version)
    assert caught.value.retry_after_seconds == 801
    world.clock.sleep(800)
    control.add_faults(world.arena, {"method": "POST", "path": "*/login", "drop": True})
    with pytest.raises(RetryLaterError, match="login failed") as caught:
        desk.renew(version)
    assert caught.value.retry_after_seconds == 60
    assert world.ledger.session.read().not_before == int(world.clock.now()) + 900


def test_login__from_an_hour_ago_does_not_count() -> None:
    """A third login counts only if the first was less than an hour ago."""
    world = World()
    desk = world.functions.session.login_service
    version = desk.renew("")
    world.clock.sleep(1800)
    version = desk.renew(version)
    world.clock.sleep(1800)
    version = desk.renew(version)
    assert desk.renew(version) != version
    assert world.telemetry.metrics["SessionDuel"] == 1


def test_login__that_lost_the_race_waits() -> None:
    """Of two logins that begin at once, the revision of the ledger item allows one."""
    world = World()
    desk = world.functions.session.login_service
    record = world.ledger.session
    stale = world.table.get(keys.SESSION)
    record.write(record.read())
    world.table.intercept("get", lambda get, key: stale if key == keys.SESSION else get(key))
    with pytest.raises(RetryLaterError, match="a login is in progress") as caught:
        desk.renew("")
    assert caught.value.retry_after_seconds == 5
    assert world.logins() == 0


def test_login__in_progress_ends_with_its_time() -> None:
    """A login in progress is waited for until its last second."""
    world = World()
    record = world.ledger.session
    now = int(world.clock.now())
    record.write(replace(record.read(), login="token", login_expires_at=now + 10))
    desk = world.functions.session.login_service
    world.clock.sleep(9)
    with pytest.raises(RetryLaterError, match="a login is in progress") as caught:
        desk.renew("")
    assert caught.value.retry_after_seconds == 5
    world.clock.sleep(1)
    assert desk.renew("")
