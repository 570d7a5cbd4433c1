"""`deliver`: the files of a run that are not in the bucket yet."""

from __future__ import annotations

import json

import pytest

from infra.simulator import control
from tests.support.operator import CALLER, ask, sit_at_desk
from tests.support.world import World, items

DOWNLOAD = {"method": "GET", "path": "*/content"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that delivers files."""
    world = World(settings={"delivers_files": True})
    sit_at_desk(monkeypatch, world)
    return world


def run_guid(world: World) -> str:
    """Have a run succeed and its delivery end; return the run's GUID."""
    world.send({"itemGuids": items(3)})
    world.settle()
    world.run_for(86_400)
    (event,) = world.events("run.completed")
    return str(event["data"]["runGuid"])


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
    assert "is pending already" in ask("deliver", guid, "--yes").stderr
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
    assert f"Every file of run {guid} is in the bucket already." in result.stderr
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
    assert "only a run that has completed" in ask("deliver", current, "--yes").stderr
    world.clock.sleep(61 * 86_400)
    assert "Arena deleted the files of this run at" in ask("deliver", guid, "--yes").stderr
    world.redeploy(delivers_files=False)
    off = ask("deliver", guid, "--yes")
    assert (off.exit_code, "does not deliver files" in off.stderr) == (1, True)


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
