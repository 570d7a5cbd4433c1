"""`deliver`: the files of a run that are not in the bucket yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import BucketError, MessagingError
from infra.simulator import control
from tests.support.fakes import failing
from tests.support.operator import CALLER, ask, install_context
from tests.support.world import World, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Event

DOWNLOAD = {"method": "GET", "path": "*/content"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that delivers files."""
    world = World(settings={"delivers_files": True})
    install_context(monkeypatch, world)
    return world


def run_guid(world: World, *, settled: bool = True) -> str:
    """Have a run succeed, and its delivery end unless it is not `settled`; return its GUID."""
    known = len(world.events("run.completed"))
    world.send({"itemGuids": items(3)})
    if settled:
        world.settle()
        world.run_for(86_400)
    while len(world.events("run.completed")) == known:
        world.run_for(1)
    return str(world.events("run.completed")[-1]["data"]["runGuid"])


def test_fault_66__an_undelivered_run_is_delivered_again(world: World) -> None:
    """The second delivery has a manifest and an event of its own, and needs the missing file."""
    control.add_faults(world.arena, {**DOWNLOAD, "code": 3028, "lastsSeconds": 40_000})
    guid = run_guid(world)
    assert world.events("run.undelivered")
    assert not world.events("run.delivered")
    result = ask("deliver", guid, "--yes", "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"outcome": "requested"})
    assert "at most 1 Arena request" in result.stderr
    logged = [
        fields for line, fields in world.telemetry.lines if line == "operator asks to reconcile"
    ]
    assert logged == [{"command": "deliver", "sentBy": CALLER}]
    again = ask("deliver", guid, "--yes", "--dry-run")
    assert "is already pending" in again.stderr
    assert "at most 1 Arena request" in again.stderr
    world.run_for(86_400)
    (event,) = world.events("run.delivered")
    assert event["id"] == f"{guid}/delivered/2/1"
    assert any(key.endswith("/manifest-2.json") for key in world.bucket.objects)


def test_fault_66__a_delivered_run_is_only_reported(world: World) -> None:
    """No Arena request, and no second event."""
    guid = run_guid(world)
    requests = len(world.arena.request_log.records)
    result = ask("deliver", guid, "--yes")
    assert result.exit_code == 0
    assert f"Every file of run {guid} is already in the bucket." in result.stderr
    world.run_for(3600)
    assert len(world.arena.request_log.records) == requests
    assert len(world.events("run.delivered")) == 1


def test_deliver__refuses_what_cannot_be_delivered(world: World) -> None:
    """An unknown run, one that is in progress, one whose files are gone, and where it is off."""
    assert ask("deliver", "NOSUCHRUN00000000001", "--yes").exit_code == 3
    control.add_faults(world.arena, {**DOWNLOAD, "code": 3028, "lastsSeconds": 40_000})
    guid = run_guid(world)
    world.send({"itemGuids": items(3)})
    current = str(world.ledger.attempts.get(world.ledger.lease.read().attempt_id or "").run_guid)  # type: ignore[arg-type] # it is held
    assert "only a completed and published run" in ask("deliver", current, "--yes").stderr
    world.clock.sleep(61 * 86_400)
    assert "Arena deleted the files of this run at" in ask("deliver", guid, "--yes").stderr
    world.redeploy(delivers_files=False)
    off = ask("deliver", guid, "--yes")
    assert (off.exit_code, "does not deliver files" in off.stderr) == (1, True)


@pytest.mark.parametrize("who", ["run", "--pending"])
def test_deliver__tries_now_what_waits(world: World, who: str) -> None:
    """After a repair, a delivery waits for no back-off: neither its own nor that of all files."""
    world.bucket.intercept("put", failing(10**5, BucketError("put: AccessDenied")))
    guid = run_guid(world, settled=False)
    world.run_for(86_400)
    world.bucket.restore("put")
    world.clock.sleep(60)
    assert world.ledger.deliveries.lane().not_before > world.clock.now() + 3600
    result = ask("deliver", guid if who == "run" else who, "--yes", "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"outcome": "retried"})
    assert "at most 1 Arena request." in result.stderr
    world.run_for(60)
    assert len(world.events("run.delivered")) == 1
    assert not world.ledger.deliveries.pending()


def test_deliver__waits_again_where_the_cause_remains(world: World) -> None:
    """One try, and no more: the waits are as long as before."""
    world.bucket.intercept("put", failing(10**5, BucketError("put: AccessDenied")))
    guid = run_guid(world, settled=False)
    world.run_for(86_400)
    before = world.telemetry.metrics["DeliveryBlocked"]
    ask("deliver", guid, "--yes")
    world.run_for(3600)
    assert world.telemetry.metrics["DeliveryBlocked"] == before + 1
    assert not any(delivery.try_now for delivery in world.ledger.deliveries.pending())


def test_deliver__tries_a_report_now(world: World) -> None:
    """The topic refused for a day; the event follows within a minute, for no Arena request."""
    world.topic.intercept("publish", _refuse_reports)
    guid = run_guid(world, settled=False)
    world.run_for(86_400)
    world.topic.restore("publish")
    assert "at most 0 Arena requests." in ask("deliver", guid, "--yes").stderr
    world.run_for(60)
    assert len(world.events("run.delivered")) == 1


def test_deliver__tries_a_file_now_and_leaves_others_alone(world: World) -> None:
    """The file of one run is asked for at once; that of the other one keeps its wait."""
    control.add_faults(world.arena, {**DOWNLOAD, "code": 3017, "times": None})
    first = run_guid(world, settled=False)
    second = run_guid(world, settled=False)
    world.run_for(86_400)
    control.clear_faults(world.arena)
    ask("deliver", second, "--yes")
    world.run_for(30)
    assert [event["subject"] for event in world.events("run.delivered")] == [second]
    world.settle()
    assert {event["subject"] for event in world.events("run.delivered")} == {first, second}


def test_deliver__needs_a_run_or_pending(world: World) -> None:
    """Neither and both are usage errors; nothing pending is said."""
    assert ask("deliver").exit_code == 2
    assert ask("deliver", "RUN", "--pending").exit_code == 2
    result = ask("deliver", "--pending", "--yes")
    assert (result.exit_code, "No delivery is pending." in result.stderr) == (0, True)
    world.redeploy(delivers_files=False)
    assert "does not deliver files" in ask("deliver", "--pending").stderr


def _refuse_reports(real: Callable[[list[Event]], None], events: list[Event]) -> None:
    if events[0].attributes["type"].endswith("delivered"):
        raise MessagingError("publish: AuthorizationError")
    real(events)


def test_fault_37__file_without_a_guid_stays_undeliverable(world: World) -> None:
    """Another delivery of the run reports the file again: nobody can ask for it."""
    plan = {"files": 2, "fileEntries": "withoutGuid", "fileEntriesSeconds": 200_000}
    control.plan_runs(world.arena, plan)
    guid = run_guid(world)
    assert ask("deliver", guid, "--yes").exit_code == 0
    world.run_for(3600)
    codes = [
        [file["error"]["code"] for file in event["data"]["undeliverable"]]
        for event in world.events("run.undelivered")
    ]
    assert codes == [["FileWithoutGuid"]] * 2
