"""The writing commands: they say what they do and cost, ask, and log who did it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.pause import Pause
from arena_exports_operator.answers import backfills, forecast
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.aws import sending
from arena_exports_operator.command.backfill import POLL_SECONDS
from arena_exports_operator.errors import NoAccessError
from infra.simulator import control
from tests.support.operator import CALLER, ask, install_context, stack_state
from tests.support.world import EXPORT, World, assert_exported, items

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POST = {"method": "POST", "path": "*/runs"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that the commands read, and whose intake queue they send to."""
    world = World(settings={"max_items_per_run": 10})
    install_context(monkeypatch, world)

    def send(_aws: Any, _stack: Any, body: str, caller: str) -> str:
        assert caller == CALLER
        return world.send(body)[0]

    monkeypatch.setattr(sending, "send", send)
    return world


def learn(world: World, runs: int = 3) -> None:
    """Have some runs of ten items succeed, so that their durations are known."""
    for number in range(runs):
        world.send({"itemGuids": items(10, 1000 + 10 * number)})
        world.settle()


def file_of(path: Path, count: int) -> str:
    """Write a file of GUIDs, and return its name."""
    path.write_text("\n".join(items(count)))
    return str(path)


def test_send__says_the_cost_asks_and_prints_the_id(world: World) -> None:
    """The id of the request is all that goes to standard output."""
    learn(world)
    result = ask("send", *items(25), "--correlation-id", "ECO-1", "--yes")
    assert result.exit_code == 0, result.output
    assert f"Send one request for 25 items of {EXPORT}: 3 runs, about " in result.stderr
    (request,) = json.loads(ask("find", "ECO-1", "--output", "json").stdout)["requests"]
    assert result.stdout == f"{request['requestId']}\n"


def test_send__is_logged_with_the_caller(world: World) -> None:
    """A line on standard error has the time and the ARN, without an e-mail address."""
    del world
    result = ask("send", *items(1), "--yes")
    role = "arn:aws:sts::123456789012:assumed-role/Operators"
    assert f"2023-11-14T22:13:20Z as {role}/[e-mail address]\n" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["send", *items(1)],
        ["pause", "--reason", "x"],
        ["reconcile"],
        ["backfill", "FILE"],
    ],
    ids=lambda command: command[0],
)
def test_writing__does_nothing_without_a_yes(
    world: World, tmp_path: Path, command: list[str]
) -> None:
    """Neither after a no, nor where nobody answers, nor in a dry run."""
    command = [file_of(tmp_path / "f", 3) if word == "FILE" else word for word in command]
    writes = world.table.calls["write"]
    assert ask(*command).exit_code == 1
    dry = ask(*command, "--dry-run")
    assert dry.exit_code == 0
    assert "Nothing was done." in dry.stderr
    assert world.table.calls["write"] == writes


def test_send__of_what_the_intake_would_reject(world: World) -> None:
    """Usage, with the intake's own reason; nothing is sent."""
    del world
    result = ask("send", "no-guid", "--yes")
    assert result.exit_code == 2
    assert "InvalidMessage" in result.stderr
    assert ask("send", "--yes").exit_code == 2


def test_pause_and_resume__take_effect_at_once(world: World) -> None:
    """Reason, author and end are in the ledger."""
    result = ask("pause", "--reason", "maintenance", "--for", "2h", "--yes")
    assert result.exit_code == 0, result.output
    pause = world.ledger.pause.read(world.clock.now())
    assert pause
    assert (pause.reason, pause.by) == ("maintenance", CALLER)
    assert pause.until == world.clock.now() + 7200
    world.send({"itemGuids": items(3)})
    assert world.posts() == 0
    assert ask("resume", "--yes").exit_code == 0
    assert ask("reconcile", "--yes").exit_code == 0
    assert world.posts() == 1
    assert "is not paused in the ledger" in ask("resume").stderr


def test_writing__is_logged_by_the_stack(world: World) -> None:
    """Submit logs the command with the caller's ARN, and looks at what has changed."""
    world.ledger.pause.write(Pause("x", "someone"))
    world.send({"itemGuids": items(3)})
    ask("pause", "--reason", "y", "--yes")
    assert world.posts() == 0
    ask("resume", "--yes")
    assert world.posts() == 1
    ask("reconcile", "--yes")
    logged = [
        fields for line, fields in world.telemetry.lines if line == "operator asks to reconcile"
    ]
    assert logged == [
        {"command": command, "sentBy": CALLER} for command in ("pause", "resume", "reconcile")
    ]


def test_message__is_logged_with_its_sender(world: World) -> None:
    """Intake logs the attribute of the operator's tool, shortened, and no other sender."""
    sender = {"sentBy": {"stringValue": CALLER + "x" * 1000, "dataType": "String"}}
    known, other, unnamed = world.record(*({"itemGuids": items(1)} for _ in range(3)))
    other["messageAttributes"] = {"sentBy": {"binaryValue": "eA==", "dataType": "Binary"}}
    unnamed["messageAttributes"] = None
    world.deliver([{**known, "messageAttributes": sender}, other, unnamed])
    (fields,) = (
        fields for line, fields in world.telemetry.lines if line == "operator sent message"
    )
    assert fields == {"requestId": known["messageId"], "sentBy": (CALLER + "x" * 1000)[:300]}


def test_pause__until_a_time(world: World) -> None:
    """A time in the past, or two ends, are mistakes."""
    assert ask("pause", "--reason", "x", "--until", "2023-11-15T08:00:00Z", "--yes").exit_code == 0
    pause = world.ledger.pause.read(world.clock.now())
    assert pause
    assert pause.until == 1_700_035_200
    assert ask("pause", "--reason", "x", "--until", "2023-11-14T08:00", "--yes").exit_code == 2
    two = ("--until", "2023-11-15T08:00", "--for", "2h")
    assert ask("pause", "--reason", "x", *two, "--yes").exit_code == 2
    assert ask("pause", "--reason", "x" * 201, "--yes").exit_code == 2
    assert ask("pause", "--reason", "x", "--for", "soon", "--yes").exit_code == 2


def test_resume__warns_while_the_parameter_pauses(world: World) -> None:
    """The item is removed all the same."""
    ask("pause", "--reason", "x", "--yes")
    world.redeploy(exports_paused=True)
    result = ask("resume", "--yes")
    assert result.exit_code == 1
    assert "parameter ExportsPaused is still true" in result.stderr
    assert world.ledger.pause.read(world.clock.now()) is None


def test_backfill__plans_sends_and_waits(world: World, tmp_path: Path) -> None:
    """The plan has runs, requests and hours; the wait ends with the last item."""
    learn(world)
    name = file_of(tmp_path / "items.txt", 95)
    planned = json.loads(ask("backfill", name, "--plan", "--output", "json").stdout)["plan"]
    assert (planned["runs"], planned["items"], planned["runsAhead"]) == (10, 95, 0)
    before = world.clock.now()
    requests = len(world.arena.request_log.records)
    world.clock.intercept("sleep", lambda _, seconds: world.run_for(seconds))
    result = ask("backfill", name, "--wait", "--yes", "--output", "json")
    world.clock.restore("sleep")
    assert result.exit_code == 0, result.output
    sent = json.loads(result.stdout)
    assert sent["followed"] == {"done": 95, "rejected": 0, "ended": True}
    spent = len(world.arena.request_log.records) - requests
    assert spent == pytest.approx(planned["arenaRequests"], rel=0.3)
    hours = (world.clock.now() - before) / 3600
    assert hours == pytest.approx(planned["hours"], rel=0.5)


def test_backfill__that_is_rejected_in_part_exits_with_1(world: World, tmp_path: Path) -> None:
    """The number of rejected items is told."""
    control.set_guids(world.arena, {"bad": items(2)})
    world.clock.intercept("sleep", lambda _, seconds: world.run_for(seconds))
    result = ask("backfill", file_of(tmp_path / "f", 8), "--wait", "--yes")
    world.clock.restore("sleep")
    assert result.exit_code == 1
    assert "Rejected: 2 items" in result.stderr


def test_backfill__stopped_while_it_waits_keeps_what_was_sent(world: World, tmp_path: Path) -> None:
    """The ids are printed, and a line says that the exports go on."""

    def interrupted(sleep: Callable[[float], None], seconds: float) -> None:
        if seconds == POLL_SECONDS:
            raise KeyboardInterrupt
        sleep(seconds)

    world.clock.intercept("sleep", interrupted)
    result = ask("backfill", file_of(tmp_path / "f", 8), "--wait", "--yes")
    world.clock.restore("sleep")
    assert result.exit_code == 1
    assert (
        "Error: interrupted; 1 request sent, which the stack still exports: see arena-exports find"
        in result.stderr
    )
    world.settle()
    (found,) = json.loads(ask("find", result.stdout.strip(), "--output", "json").stdout)["requests"]
    assert (found["itemCount"], found["openCount"]) == (8, 0)


def test_backfill__of_a_workbook_is_a_usage_error(world: World, tmp_path: Path) -> None:
    """One line says what kind of file is expected."""
    del world
    path = tmp_path / "items.xlsx"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    result = ask("backfill", str(path), "--plan")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: the file is not text in UTF-8 or UTF-16")


def test_backfill__stopped_half_way_says_where_to_go_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From there it completes the file, with the correlation ids that are missing."""
    name = file_of(tmp_path / "items.txt", 2500)
    deliver = sending.send
    sent: list[str] = []

    def fails_second_time(aws: Any, stack: Any, body: str, caller: str) -> str:
        if len(sent) == 1:
            raise NoAccessError("throttled")
        sent.append(body)
        return deliver(aws, stack, body, caller)

    monkeypatch.setattr(sending, "send", fails_second_time)
    result = ask("backfill", name, "--yes")
    assert result.exit_code == 1
    assert "1 of 3 requests were sent: continue with --from 1001" in result.stderr
    assert len(result.stdout.split()) == 1  # its id
    monkeypatch.setattr(sending, "send", deliver)
    assert ask("backfill", name, "--from", "1001", "--yes").exit_code == 0
    world.redeploy(max_items_per_run=5000)
    world.settle()
    assert_exported(world, items(2500))


def test_backfill__cannot_continue_after_the_last_line(world: World, tmp_path: Path) -> None:
    """Nothing would be left to send."""
    name = file_of(tmp_path / "items.txt", 1200)
    result = ask("backfill", name, "--from", "1201", "--yes")
    assert result.exit_code == 2
    assert "--from 1201: the last GUID of the file is in line 1200" in result.stderr
    assert not result.stdout
    assert world.posts() == 0


def test_backfill__from_standard_input_needs_yes(world: World) -> None:
    """Standard input cannot hold both the GUIDs and the answer."""
    del world
    assert ask("backfill", "-").exit_code == 2


def test_plan__before_the_first_run_promises_no_time(world: World) -> None:
    """Runs and a lower bound of requests are known."""
    result = ask("send", *items(25), "--dry-run")
    assert "3 runs, at least 6 Arena requests" in result.stderr
    assert "How long they take is not known" in result.stderr
    assert world.posts() == 0


def test_plan__waits_for_the_reset_of_the_budget(world: World) -> None:
    """With few requests left today, the rest goes on after the reset."""
    learn(world)
    control.set_budget(world.arena, {"remaining": 130})
    learn(world, 1)
    seen = take_snapshot(world.ledger, stack_state(world), world.clock.now())
    requests = [r for n in range(40) for r in _requests(world, items(10, 10 * n))]
    plan = forecast.make_plan(world.ledger, seen, requests)
    assert plan.ends_at
    assert seen.budget.resets_at
    assert plan.ends_at > seen.budget.resets_at
    small = forecast.make_plan(world.ledger, seen, requests[:1])
    assert small.ends_at
    assert small.ends_at < seen.budget.resets_at


def _requests(world: World, guids: list[str]) -> list[Any]:
    return [backfills.check(json.dumps(guids), stack_state(world))]


def test_plan__counts_what_is_pending_first(world: World) -> None:
    """A pause or a long queue delays it by the runs of what is pending."""
    learn(world)
    ask("pause", "--reason", "x", "--yes")
    world.send({"itemGuids": items(45, 500)})
    planned = json.loads(ask("send", *items(5), "--dry-run", "--output", "json").stdout)["plan"]
    assert (planned["runs"], planned["runsAhead"]) == (1, 5)
