"""The reading commands: status, why, find, runs, run, schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.model import ExportGuid, ExportRequest, Group, Kind, Lane, RequestId
from arena_exports.domain.pause import Pause
from arena_exports.ledger import pages
from infra.simulator import control, names
from tests.support.operator import ask, install_context
from tests.support.world import EXPORT, World, attempt_with_lease, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

POST = {"method": "POST", "path": "*/runs"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose ledger the commands read."""
    world = World(settings={"max_items_per_run": 10})
    install_context(monkeypatch, world)
    return world


def shown(*arguments: str, code: int = 0) -> str:
    """Return the text that a command writes to standard output."""
    result = ask(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def read(*arguments: str, code: int = 0) -> Any:
    """Return the JSON that a command writes to standard output."""
    return json.loads(shown(*arguments, "--output", "json", code=code))


def refused(result: Result) -> str:
    """Return the one line of an ID that is not known."""
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_status__of_an_idle_stack_is_ok(world: World) -> None:
    """Nothing is pending, and nothing is known of the budget before the first answer."""
    del world
    text = shown("status")
    assert text.startswith("OK  Nothing is pending")
    assert "budget          not known yet, reserve 100\n" in text


def test_status__is_watched_until_ctrl_c(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it without a word, and the exit code is the state's."""
    del world
    waits = iter([None, KeyboardInterrupt()])

    def sleep(_seconds: float) -> None:
        if (interrupt := next(waits)) is not None:
            raise interrupt

    monkeypatch.setattr("arena_exports_operator.command.reading.time.sleep", sleep)
    result = ask("status", "--watch")
    assert result.exit_code == 0
    assert result.stdout.count("OK  Nothing is pending") == 2
    assert not result.stderr


def test_status__of_a_run_in_progress(world: World) -> None:
    """The run, what is pending by lane, budget, session and the last runs are shown."""
    world.send({"itemGuids": items(10)})
    world.settle()
    world.send({"itemGuids": items(4, 10)}, {"itemGuids": items(25, 20), "priority": "bulk"})
    status = read("status")
    assert (status["word"], status["reasons"][0]["cause"]) == ("OK", "RunInProgress")
    attempt = attempt_with_lease(world)
    assert status["run"]["runGuid"] == attempt.run_guid
    assert status["run"]["itemCount"] == 10
    assert status["run"]["expectedEndAt"] > status["at"]
    assert status["run"]["nextPollAt"] > status["at"]
    assert status["pending"] == [
        {"lane": "bulk", "itemCount": 25},
        {"lane": "normal", "itemCount": 4},
    ]
    assert status["budget"]["remaining"] == world.ledger.budget.read().remaining
    assert status["session"]["state"] == "active"
    assert [run["status"] for run in status["lastRuns"]] == ["running", "COMPLETE"]
    text = shown("status")
    assert f"{attempt.run_guid} of {EXPORT} (10 items), 0 s so far, expected end 2023-" in text
    assert "pending         25 bulk, 4 normal, the oldest waiting for 2 s\n" in text


def test_status__that_needs_somebody_exits_with_1(world: World) -> None:
    """A refused login stalls the stack, dead letters degrade it; a pause is only a wait."""
    world.send("no GUID at all")
    assert "DEGRADED  The dead-letter queue has 1 entry: see" in shown("status", code=1)
    world.dead_letters.letters.clear()
    world.ledger.pause.write(Pause("maintenance", "arn:aws:iam::1:user/x"))
    world.send(item_guid(1))
    assert "WAITING  Exports are paused until somebody resumes" in shown("status")
    world.ledger.pause.clear()
    world.set_password("wrong")
    world.reconcile()
    assert "STALLED  The login was refused (4001)" in shown("status", code=1)


def test_commands__print_no_address_and_no_secret(world: World) -> None:
    """An ARN of single sign-on, and a text of Arena, may hold an e-mail address."""
    address = "jane@example.com"
    world.ledger.pause.write(Pause(f"ask {address}", f"arn:aws:sts::1:assumed-role/Op/{address}"))
    control.add_faults(world.arena, {**POST, "code": 3140, "message": f"ask {address}"})
    (request_id,) = world.send({"itemGuids": items(3), "correlationId": address})
    paused = [shown("why"), shown("status")]
    world.ledger.pause.clear()
    world.settle()
    commands = (["status"], ["why", request_id], ["find", request_id], ["runs"])
    texts = [ask(*c, *json_too).output for c in commands for json_too in ([], ["--output", "json"])]
    session = world.session_secret.versions[str(world.session_secret.current)]
    for text in paused + texts:
        assert text
        assert "@" not in text
        assert names.PASSWORD not in text
        assert session["arenaSessionId"] not in text


def test_commands__print_nothing_that_a_terminal_obeys(world: World) -> None:
    """Senders, Arena's users and operators choose texts that move the cursor, or begin a line."""
    text = "\x1b]0;title\x07\x1b[2Jx\nanother line\u202e\x9b31m"
    poll = "poll an export run"
    world.transport.rewrite(
        poll,
        lambda run: {**run, "files": [{**file, "title": text} for file in run["files"] or ()]},
    )
    (request_id,) = world.send({"itemGuids": items(3), "correlationId": text})
    world.settle()
    world.ledger.pause.write(Pause(text, "arn:aws:iam::1:user/x"))
    run_guid = world.events("completed")[0]["data"]["runGuid"]
    commands = (["run", run_guid], ["find", request_id], ["why"], ["status"], ["resume", "--yes"])
    for command in commands:
        lines = ask(*command).output.splitlines()
        assert all(line.isprintable() for line in lines)
        assert not any(line.startswith("another line") for line in lines)


@pytest.mark.parametrize("command", ["why", "find", "run"])
@pytest.mark.parametrize("text", ["9" * 5_000, "x" * 3_000], ids=["digits", "letters"])
def test_unknown_id__that_no_key_can_hold_is_not_known(
    world: World, command: str, text: str
) -> None:
    """DynamoDB refuses a key of more than 2,048 bytes, and Python a number of so many digits."""
    world.table.intercept("get", _with_a_limit)
    world.table.intercept("query", _with_a_limit)
    assert "is not known" in (error := refused(ask(command, text))) or "there is no run" in error


def _with_a_limit(real: Callable[..., Any], key: Any, *others: Any, **more: Any) -> Any:
    pk = key if isinstance(key, str) else key[0]
    assert len(pk) <= 2_048
    return real(key, *others, **more)


def test_why__of_a_run_whose_requests_have_expired(world: World) -> None:
    """The run is known, and its pages are not any more: nothing is known of what it carried."""
    world.send({"itemGuids": items(3)})
    world.settle()
    for partition in [pk for pk in world.table.items if pk.startswith("PAGE#")]:
        del world.table.items[partition]
    run_guid = world.events("completed")[0]["data"]["runGuid"]
    assert "is not known" in refused(ask("why", run_guid))


def test_why__has_one_sentence_and_others_indented(world: World) -> None:
    """The decisive sentence comes first; the JSON names its cause and the time."""
    world.send({"itemGuids": items(3)})
    world.ledger.pause.write(Pause("maintenance", "arn:aws:iam::1:user/x"))
    first, second, *rest = shown("why").splitlines()
    assert first.startswith("Run ")
    assert second.startswith("  Exports are paused until somebody resumes")
    assert rest == []
    why = read("why")
    assert why["reason"]["cause"] == "RunInProgress"
    assert why["reason"]["nextAt"].endswith("Z")
    assert [reason["cause"] for reason in why["also"]] == ["Paused"]


@pytest.mark.parametrize("command", ["why", "find", "run"])
def test_unknown_id__exits_with_3(world: World, command: str) -> None:
    """One line on standard error, nothing on standard output; it says how long things are kept."""
    del world
    line = refused(ask(command, "ECO-000023"))
    assert "ECO-000023" in line
    assert "75 days" in line


def test_find__a_request_by_each_of_its_names(world: World) -> None:
    """Message id, correlation id and item lead to the request, in any case, pending or done."""
    body = {"itemGuids": items(25), "correlationId": "ECO-000023"}
    (request_id,) = world.send(body)
    for name in (request_id, "ECO-000023", items(25)[0], items(25)[24].lower()):
        (request,) = read("find", name)["requests"]
        assert (request["requestId"], request["openCount"]) == (request_id, 25)
        assert request["reasons"][0]["cause"] == "RunInProgress"
    world.settle()
    for name in (request_id, "ECO-000023", items(25)[0]):
        (request,) = read("find", name)["requests"]
        assert (request["itemCount"], request["openCount"]) == (25, 0)
        assert [part["carriedCount"] for part in request["runs"]] == [10, 10, 5]
    text = shown("find", "ECO-000023")
    assert "25 items, 0 of them pending, 0 rejected" in text
    assert "It was exported by run" in text


def test_find__a_run_by_each_of_its_names(world: World) -> None:
    """Run GUID, run number and file GUID lead to the run with its requests and files."""
    (request_id,) = world.send({"itemGuids": items(3), "correlationId": "ECO-000023"})
    world.settle()
    (event,) = world.events("completed")
    data = event["data"]
    for name in (data["runGuid"], data["runGuid"].lower(), str(data["runNumber"])):
        detail = read("run", name)
        assert detail["run"]["runNumber"] == data["runNumber"]
        assert detail["requests"] == [
            {"requestId": request_id, "correlationId": "ECO-000023", "itemCount": 3}
        ]
        assert [file["guid"] for file in detail["files"]] == data["fileGuids"]
        assert read("find", name)["runs"] == [detail]
    (of_file,) = read("find", data["fileGuids"][0])["runs"]
    assert of_file["run"]["runGuid"] == data["runGuid"]
    assert data["fileGuids"][0] in shown("run", data["runGuid"])
    assert "It was exported by run" in shown("why", data["runGuid"])


def test_find__says_that_the_search_was_not_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more pending pages than are searched, the answer is not that the item is unknown."""
    monkeypatch.setattr("arena_exports_operator.answers.find.MAX_PENDING_PAGES", 1)
    world.ledger.pause.write(Pause("maintenance", "arn:aws:iam::1:user/x"))
    world.send(item_guid(1))
    world.send(item_guid(2))
    assert read("find", item_guid(1))["requests"]
    assert "only part of the pending" in refused(ask("find", item_guid(2)))


def test_runs__are_filtered_and_the_newest_come_first(world: World) -> None:
    """By definition, outcome and time; POSTs without a run are shown on request."""
    control.add_faults(world.arena, {**POST, "code": 3144})
    world.send({"itemGuids": items(3)})
    world.settle()
    world.clock.sleep(40 * 86_400)
    control.plan_runs(world.arena, {"status": "FAILED"})
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    world.settle()
    found = read("runs")["runs"]
    assert [run["status"] for run in found] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert [run["itemCount"] for run in found] == [None, None, 3]
    assert [run["status"] for run in read("runs", "--all")["runs"]][-1] == "void"
    assert [run["status"] for run in read("runs", "--outcome", "failed")["runs"]] == ["FAILED"]
    assert len(read("runs", "--export", EXPORT.lower())["runs"]) == 1
    assert len(read("runs", "--since", "2023-12-01")["runs"]) == 2
    assert len(read("runs", "--until", "2023-12-01")["runs"]) == 1
    assert len(read("runs", "--limit", "2")["runs"]) == 2
    assert "criteria" in shown("runs")


def test_runs__that_none_matches_says_so(world: World) -> None:
    """A table without rows would look like an answer that is still to come."""
    del world
    result = ask("runs", "--outcome", "FAILED")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No run matches.\n")


def test_runs__of_an_empty_ledger_read_little(world: World) -> None:
    """To look back over all 75 days takes a dozen queries."""
    world.table.calls.clear()
    assert read("runs") == {"runs": []}
    assert world.table.calls["query"] <= 15


def test_find__of_a_request_with_refused_and_missing_items(world: World) -> None:
    """The number of refused items is shown, and how many Arena found of the others."""
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    control.plan_runs(world.arena, {"criteriaResultsCount": 2, "files": 1})
    (request_id,) = world.send({"itemGuids": items(4)})
    world.settle()
    (request,) = read("find", request_id)["requests"]
    (part,) = request["runs"]
    assert (part["carriedCount"], part["refusedCount"]) == (3, 1)
    assert part["run"]["foundCount"] == 2
    assert (request["openCount"], request["rejectedCount"]) == (0, 1)
    assert {reason["cause"] for reason in request["reasons"]} == {"Exported", "DeadLetter"}
    assert "3, 2 found, 1 refused" in shown("runs")


def test_find__of_a_definition_run(world: World) -> None:
    """A run with the definition's own criteria has no items to count."""
    (request_id,) = world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    (request,) = read("find", request_id)["requests"]
    assert (request["kind"], request["itemCount"], request["openCount"]) == (
        "definition",
        None,
        None,
    )
    assert "its own criteria" in shown("find", request_id)
    world.settle()
    assert "criteria" in shown("find", request_id)


def test_reading__sends_nothing_to_arena_and_writes_nothing(world: World) -> None:
    """Neither a request of the day's budget nor a write."""
    (request_id,) = world.send({"itemGuids": items(3)})
    requests, writes = len(world.arena.request_log.records), world.table.calls["write"]
    for arguments in (["status"], ["why"], ["why", request_id], ["find", item_guid(1)], ["runs"]):
        shown(*arguments)
    assert len(world.arena.request_log.records) == requests
    assert world.table.calls["write"] == writes


def test_reading__of_100_000_pending_requests_is_bounded(world: World) -> None:
    """Every answer takes at most some 40 calls of DynamoDB, whatever is pending."""
    world.ledger.pause.write(Pause("maintenance", "arn:aws:iam::1:user/x"))
    group = Group(Lane.BULK, ExportGuid(EXPORT), Kind.ITEMS)
    requests = (
        ExportRequest(RequestId(f"request-{n}"), group, (item_guid(n),), f"ECO-{n}")
        for n in range(100_000)
    )
    for bundle in pages.transactions(requests):
        world.ledger.requests.record(bundle)
    for arguments in (["status"], ["why"], ["runs"], ["find", "request-99999"]):
        assert calls_of(world, *arguments) <= 30
    for name in (item_guid(99_999), "ECO-99999"):
        assert calls_of(world, "find", name) <= 40
        assert calls_of(world, "why", name) <= 40
    assert read("status")["pending"] == [{"lane": "bulk", "itemCount": 100_000}]


def calls_of(world: World, *arguments: str) -> int:
    """Return how many calls of DynamoDB a command makes, or would make for what it reads."""
    world.table.calls.clear()
    shown(*arguments)
    return sum(world.table.calls.values())


def test_help__has_an_example_for_each_command() -> None:
    """Each page of help ends with a command to copy."""
    text = shown("--help")
    assert "Exit codes: 0 OK, 1 problem found, 2 incorrect usage" in text
    assert "..." not in text.partition("Commands:")[2]  # no description is cut off
    for name in ("status", "why", "find", "runs", "run", "schema"):
        assert f"Example: arena-exports {name}" in shown(name, "--help")
    assert shown("--version").startswith("arena-exports, version 0.")


def test_usage__is_exit_code_2() -> None:
    """An unknown option, or a missing argument."""
    assert ask("find").exit_code == 2
    assert ask("status", "--nonsense").exit_code == 2
