"""Faults 21 to 29 of the table in tests/README.md: sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest

from arena_exports.arena.sessions import SessionCache
from arena_exports.domain.errors import (
    RetryLaterError,
)
from infra.simulator import control, names
from poll.handler import poll
from tests.support.world import World, assert_exported, items

GET = {"method": "GET", "path": "*/runs/*"}


def down(*_args: object) -> NoReturn:
    """Fail as Secrets Manager does when it is down."""
    raise RetryLaterError("secret could not be read", 30)


@pytest.mark.parametrize("how", ["killed", "idle"])
def test_fault_21__session_that_dies_is_renewed_once(how: str) -> None:
    """A session that dies between polls is renewed by one login, and the run continues."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 100})
    world.send(*items(3))
    world.run_for(20)
    if how == "killed":
        control.kill_sessions(world.arena)
    else:
        world.arena.accounts.machine.session_used_at -= 90 * 60
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 2
    assert world.posts() == 1


def test_fault_22__twenty_functions_with_a_dead_session_make_one_login() -> None:
    """Twenty functions that meet the dead session continue with the same new one."""
    world = World()
    first = world.functions.session.login_service.renew("")
    functions = [
        SessionCache(secret=world.session_secret, renewer=world, clock=world.clock)
        for _ in range(20)
    ]
    dead = [function.current() for function in functions]
    assert {session.version for session in dead} == {first}
    control.kill_sessions(world.arena)
    renewed = {function.renew(old) for function, old in zip(functions, dead, strict=True)}
    assert len(renewed) == 1
    assert {function.current() for function in functions} == renewed
    assert world.telemetry.metrics["Logins"] == 2


def test_fault_23__duel_with_another_login_is_bounded() -> None:
    """Another login of the same user every minute does not make us log in as often."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 7200})
    world.send(*items(3))
    for _ in range(60):
        world.run_for(60)
        control.kill_sessions(world.arena)
    assert world.telemetry.metrics["Logins"] <= 8
    assert world.telemetry.metrics["SessionDuel"] >= 1
    world.settle()
    assert_exported(world, items(3))


def test_fault_24__wrong_password_is_tried_once_until_it_changes() -> None:
    """Requests wait until the secret has a new version."""
    world = World()
    world.set_password("wrong")
    world.send(*items(3))
    world.run_for(3600)
    assert world.telemetry.metrics["Logins"] == 1
    world.set_password(names.PASSWORD)
    world.settle()
    assert_exported(world, items(3))


def test_fault_24__secret_without_its_keys_keeps_the_requests() -> None:
    """The log says that the credentials secret has no password, and nothing is lost."""
    world = World()
    world.credentials.write({"email": "x"}, "broken")
    world.send(*items(3))
    world.run_for(300)
    assert world.telemetry.metrics["Logins"] == 0
    assert world.telemetry.metrics["LoginRefused"] >= 1
    assert any("password" in str(fields.get("errorMessage")) for _, fields in world.telemetry.lines)
    world.set_password(names.PASSWORD)
    world.settle()
    assert_exported(world, items(3))


def test_fault_26__login_in_progress_is_waited_for() -> None:
    """A poll that meets a dead session during another login waits for that login."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 100})
    world.send(*items(3))
    (state,) = world.executions.started.values()
    control.kill_sessions(world.arena)
    record, now = world.ledger.session, int(world.clock.now())
    record.write(replace(record.read(), version="", login="token", login_expires_at=now + 75))
    waiting = poll(state, world.functions.poll)
    assert (waiting["ended"], waiting["waitSeconds"], waiting["polls"]) == (False, 5, 0)
    assert world.telemetry.metrics["Logins"] == 1
    finished = world.arena.log_in({"email": names.MACHINE_EMAIL, "password": names.PASSWORD})
    world.session_secret.write({"arenaSessionId": finished["arenaSessionId"]}, "token")
    record.write(replace(record.read(), version="token"))
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 1


def test_fault_27__messages_survive_while_secrets_manager_is_down() -> None:
    """Without a session nothing is sent to Arena; recorded requests leave once there is one."""
    world = World()
    world.session_secret.intercept("read", down)
    assert world.deliver(world.record(*items(3))) == []
    world.run_for(600)
    assert not world.arena.request_log.records
    world.session_secret.restore("read")
    world.settle()
    assert_exported(world, items(3))
    assert not world.dead_letters.letters


def test_fault_28__login_into_another_workspace_submits_nothing() -> None:
    """A login that reaches another workspace is refused, and no run is started there."""
    world = World()
    control.set_account(world.arena, {"answeredWorkspaceId": 1})
    world.send(*items(3))
    world.run_for(600)
    assert world.posts() == 0
    assert world.telemetry.metrics["Logins"] == 1


def test_fault_29__items_of_an_unreadable_run_are_exported_again() -> None:
    """A run that can no longer be read is given up.

    Its items wait until it is over (3144), and are exported by another run.
    """
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 600})
    control.add_faults(world.arena, {**GET, "code": 3024})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["RunsUnreadable"] == 1
    assert len(list(world.arena.exports.runs)) == 2
    assert 1 <= world.answers(3144) <= 8
    polls = [r for r in world.arena.request_log.records if r.purpose == "poll"]
    assert len(polls) <= 3
