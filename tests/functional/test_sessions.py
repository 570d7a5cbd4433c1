"""The session as submit and poll use it: cached, read again, renewed by another function (R5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.arena.sessions import SessionCache
from arena_exports.domain.errors import RetryLaterError
from tests.support.fakes import FakeSecret
from tests.support.world import World

if TYPE_CHECKING:
    from arena_exports.ports import Secret


class DownSecret(FakeSecret):
    """A secret that can be read only once."""

    def read(self, version: str | None = None) -> Secret | None:
        """Read the secret the first time; later, Secrets Manager does not answer."""
        if self.reads:
            raise RetryLaterError("down", 30)
        return super().read(version)


def test_fault_27__cached_session_serves_while_secrets_manager_is_down() -> None:
    """The cached session is used, however old, while nothing newer can be read."""
    world = World()
    secret = DownSecret({"v1": {"arenaSessionId": "one"}}, "v1")
    sessions = SessionCache(secret=secret, renewer=world, clock=world.clock)
    assert sessions.current().session_id == "one"
    world.clock.sleep(100_000)
    assert sessions.current().session_id == "one"


def test_sessions__are_read_again_after_a_quarter_of_an_hour() -> None:
    """A session is cached for 900 seconds from its first read."""
    world = World()
    secret = FakeSecret({"v1": {"arenaSessionId": "one"}}, "v1")
    sessions = SessionCache(secret=secret, renewer=world, clock=world.clock)
    assert sessions.current().session_id == "one"
    secret.write({"arenaSessionId": "two"}, "v2")
    world.clock.sleep(899)
    assert sessions.current().session_id == "one"
    world.clock.sleep(1)
    assert sessions.current().session_id == "two"
    assert secret.reads == 2


@pytest.mark.parametrize("value", [{}, {"arenaSessionId": ""}, {"arenaSessionId": 5}])
def test_sessions__secret_without_a_session_is_renewed(value: dict[str, object]) -> None:
    """The secret of a new stack, or an overwritten one, leads to a login."""
    world = World()
    world.session_secret.write(value, "v1")
    sessions = SessionCache(secret=world.session_secret, renewer=world, clock=world.clock)
    assert sessions.current().session_id
    assert world.logins() == 1


def test_sessions__renewed_by_another_function_are_used() -> None:
    """A newer version of the secret is used without asking the session function."""
    world = World()
    asked: list[str] = []

    class Asked:
        def renew(self, dead: str) -> str:
            asked.append(dead)
            return world.renew(dead)

    first = world.functions.session.login_service.renew("")
    sessions = SessionCache(secret=world.session_secret, renewer=Asked(), clock=world.clock)
    dead = sessions.current()
    second = world.functions.session.login_service.renew(first)
    assert sessions.renew(dead).version == second
    assert asked == []
    assert sessions.renew(sessions.current()).version not in (first, second)
    assert asked == [second]
    assert world.logins() == 3


def test_sessions__that_are_not_readable_yet_are_a_wait() -> None:
    """The session function's answer may be ahead of Secrets Manager."""

    class Ahead:
        def renew(self, _dead: str) -> str:
            return "v2"

    world = World()
    secret = FakeSecret({"v1": {"arenaSessionId": "one"}}, "v1")
    sessions = SessionCache(secret=secret, renewer=Ahead(), clock=world.clock)
    with pytest.raises(RetryLaterError, match="session not readable yet") as caught:
        sessions.renew(sessions.current())
    assert caught.value.retry_after_seconds == 5
