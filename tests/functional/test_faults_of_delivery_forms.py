"""Faults 65 to 70 of the table in tests/README.md: what is delivered, where to, and when."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.errors import MessagingError
from infra.simulator import control, names
from tests.support.deliveries import (
    DAY,
    HOUR,
    DeliveringWorld,
    assert_sound,
    deliver_held_back,
    downloads,
    export,
    fail_downloads,
    fail_file,
    file_guids,
    manifests,
    plan_files,
)
from tests.support.fake_bucket import InMemoryBucket
from tests.support.fakes import failing
from tests.support.world import EXPORT, World, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.domain.deliveries import Delivery

ZIP = {"kind": "zip", "size": 2000}


def _pending(world: DeliveringWorld) -> Delivery:
    (delivery,) = world.ledger.deliveries.pending()
    return delivery


def test_manifest__says_what_the_contract_says() -> None:
    """The manifest has each field of the contract and no other; the event agrees with it."""
    world = DeliveringWorld()
    plan_files(world, {**ZIP, "title": "Parts", "name": "Model 300 Export Results.zip"})
    body = {"itemGuids": items(2), "correlationId": "ECO-23"}
    (request_id,) = world.send(body)
    world.settle()
    (completed,) = world.events("run.completed")
    (event,) = world.events("run.delivered")
    (manifest,) = manifests(world)
    run = completed["data"]
    same = ("workspace", "exportGuid", "runGuid", "runNumber", "status", "criteriaResultsCount")
    times = ("creationDateTime", "completionDateTime", "expirationDateTime")
    (file,) = manifest.pop("files")
    assert {name: manifest.pop(name) for name in (*same, *times)} == {
        name: run[name] for name in (*same, *times)
    }
    assert manifest.pop("deliveredAt") == event["time"]
    assert manifest == {
        "schemaVersion": 1,
        "delivery": 1,
        "kind": "items",
        "complete": True,
        "undeliverable": [],
        "requests": [{"requestId": request_id, "correlationId": "ECO-23", "itemGuids": items(2)}],
    }
    folder = f"arena/v1/default/{EXPORT}/2023/11/14/00000001-{run['runGuid']}"
    (guid,) = file_guids(world)
    stored = world.bucket.objects[f"{folder}/{guid}.zip"]
    digest = hashlib.sha256(stored.body).hexdigest()
    assert file == {
        "guid": guid,
        "title": "Parts",
        "name": "Model 300 Export Results.zip",
        "key": f"{folder}/{guid}.zip",
        "versionId": stored.version_id,
        "size": 2000,
        "sha256": digest,
        "contentType": "application/zip",
    }
    key = f"{folder}/manifest.json"
    assert event["data"] == {
        **{name: run[name] for name in same[:-1]},
        "delivery": 1,
        "bucket": "bucket",
        "manifestKey": key,
        "manifestSha256": hashlib.sha256(world.bucket.objects[key].body).hexdigest(),
        "files": [{name: file[name] for name in ("guid", "title", "key", "size", "sha256")}],
        "undeliverable": [],
        "requests": [
            {"requestId": request_id, "correlationId": "ECO-23", "itemCount": 2, "openCount": 0}
        ],
        "part": 1,
        "parts": 1,
    }
    assert event["id"] == f"{run['runGuid']}/delivered/1/1"
    assert (event["source"], event["subject"]) == (completed["source"], run["runGuid"])
    attributes = world.topic.events[-1].attributes
    assert attributes == {**world.topic.events[0].attributes, "type": event["type"]}


def test_pending_delivery__can_be_read_in_the_ledger() -> None:
    """The partition DELIVER has one item for each pending run, with plain attributes."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        run_guid = export(world, ZIP)
    ((name, item),) = world.table.items["DELIVER"].items()
    assert name == f"20231114221325#{item['attemptId']}"
    assert (item["v"], item["runGuid"], item["fileCount"]) == (1, run_guid, 1)
    assert not any(isinstance(value, bytes) for value in item.values())


def test_delivery__that_is_off_costs_no_call() -> None:
    """Neither the ledger nor Arena is called for deliveries, whatever the runs do."""
    world = World()
    called: list[Any] = []

    def read(original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        called.append(arguments)
        return original(*arguments, **options)

    for name in ("get", "get_many", "query", "write"):
        world.table.intercept(name, read)
    control.plan_runs(world.arena, {"status": "FAILED"})
    world.send(*items(3))
    world.settle()
    assert world.events("run.completed")
    assert "'SLOT'" in str(called)
    delivers = ("'LANE'", "'DELIVER'", "'DELIVERED'", "FORMAT", "#OPEN#", "#NOGUID")
    assert not [name for name in delivers if name in str(called)]


def test_fault_65__off_and_on_again() -> None:
    """While delivery is off, what is pending waits and new runs are not delivered."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        first = export(world, ZIP)
    world.redeploy(delivers_files=False)
    export(world, ZIP, start=10)
    world.run_for(DAY)
    assert not world.bucket.objects
    world.redeploy(delivers_files=True)
    world.settle()
    assert [event["subject"] for event in world.events("run.delivered")] == [first]
    assert_sound(world)


@pytest.mark.parametrize("place", [{"name": "another"}, {"prefix": "elsewhere"}], ids=str)
def test_fault_65__another_bucket_half_way_through_a_run(place: dict[str, str]) -> None:
    """What is not finished is delivered whole to the new place; no manifest names the old one."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP, ZIP)
    fail_file(world, file_guids(world)[1], code=3017)
    world.run_for(70)
    old = world.bucket
    assert len(old.objects) == 1
    world.bucket = InMemoryBucket(**place)  # type: ignore[arg-type] # both are texts
    world.redeploy()
    control.clear_faults(world.arena)
    world.settle()
    assert not manifests(world, old)
    (manifest,) = manifests(world)
    assert manifest["complete"]
    assert all(file["key"].startswith(f"{world.bucket.prefix}/v1/") for file in manifest["files"])
    assert_sound(world)


@pytest.mark.parametrize("contents", [(ZIP, ZIP), ()], ids=["files", "no files"])
def test_fault_65__another_bucket_after_the_event(contents: tuple[dict[str, Any], ...]) -> None:
    """Deliver dies after its event, and the bucket changes: no id has two contents."""
    world = DeliveringWorld()
    world.topic.intercept("publish", _then_die(world))
    run_guid = export(world, *contents, criteriaResultsCount=len(contents))
    world.run_for(60)
    (first,) = world.events("run.delivered")
    old, world.bucket = world.bucket, InMemoryBucket(name="another")
    world.redeploy()
    world.settle(errors=1)
    assert len(world.events("run.delivered")) > 1
    bodies = {event["id"]: event for event in world.events("run.delivered")}
    assert [event for event in world.events("run.delivered") if event not in bodies.values()] == []
    assert bodies[f"{run_guid}/delivered/1/1"] == first
    second = bodies[f"{run_guid}/delivered/2/1"]
    assert (first["data"]["bucket"], second["data"]["bucket"]) == ("bucket", "another")
    assert [manifest["delivery"] for manifest in manifests(world)] == [2]
    assert [manifest["delivery"] for manifest in manifests(world, old)] == [1]
    assert len(downloads(world)) == 2 * len(contents)


def _then_die(world: DeliveringWorld) -> Callable[..., None]:
    """Return an interception of the topic: deliver is killed after each of its events."""

    def publish(real: Callable[..., None], events: Any) -> None:
        real(events)
        if events[0].attributes["type"].endswith("delivered") and world.bucket.name == "bucket":
            world.die()

    return publish


def test_fault_65__back_to_the_first_bucket() -> None:
    """The file that is there already is not downloaded again."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP, ZIP)
    first, second = file_guids(world)
    fail_file(world, second, code=3017)
    world.run_for(70)
    old, world.bucket = world.bucket, InMemoryBucket(name="another")
    world.redeploy()
    fail_downloads(world, times=None, code=3017)
    world.run_for(HOUR)
    world.bucket = old
    world.redeploy()
    control.clear_faults(world.arena)
    tried = len(downloads(world, first))
    world.settle()
    assert len(downloads(world, first)) == tried
    assert_sound(world)


def test_fault_65__on_while_a_run_is_in_progress() -> None:
    """A run that was submitted before is delivered: it is settled while delivery is on."""
    world = DeliveringWorld(delivers_files=False)
    plan_files(world, ZIP, runningSeconds=120)
    world.send({"itemGuids": items(2)})
    world.run_for(60)
    world.redeploy(delivers_files=True)
    world.settle()
    assert manifests(world)[0]["complete"]


def test_fault_66__another_delivery_has_its_own_manifest_and_event() -> None:
    """What is there is listed and not downloaded again; what was undeliverable is asked for."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP, ZIP)
    delivery, (kept, refused) = _pending(world), file_guids(world)
    fail_file(world, refused, code=3028)
    world.settle()
    control.clear_faults(world.arena)
    again = replace(delivery, number=2, settled_at=int(world.clock.now()))
    assert world.ledger.deliveries.request(again)
    assert not world.ledger.deliveries.request(again), "it is pending"
    world.settle()
    second, first = manifests(world)
    assert (first["delivery"], second["delivery"]) == (1, 2)
    assert (first["complete"], second["complete"]) == (False, True)
    assert len(downloads(world, kept)) == 1
    (event,) = world.events("run.delivered")
    assert event["id"] == f"{delivery.run_guid}/delivered/2/1"
    assert event["data"]["manifestKey"].endswith("/manifest-2.json")
    assert event["data"]["delivery"] == 2
    outcomes = [item["outcome"] for item in world.ledger.deliveries.history(delivery.attempt_id)]
    assert outcomes == ["undelivered", "delivered"]
    assert_sound(world)


@pytest.mark.parametrize("title", ["two\nlines\r\n", "\u202eright to left", "x" * 10_000, "\ud800"])
def test_fault_67__odd_titles_and_names(title: str) -> None:
    """Whatever Arena calls a file, keys are plain, and the manifest can be read."""
    world = DeliveringWorld()
    plan_files(world, {**ZIP, "title": title.encode(errors="replace").decode()})
    name = title.encode(errors="replace").decode() + ".zip"
    with deliver_held_back(world):
        world.send({"itemGuids": items(2)})
        world.run_for(60)
    control.set_file(world.arena, file_guids(world)[0], {"name": name})
    world.settle()
    ((file,),) = [manifest["files"] for manifest in manifests(world)]
    assert file["key"].isascii()
    assert file["name"].isprintable()
    assert len(file["name"]) <= 255
    assert len(file["title"]) <= 255
    assert_sound(world)


def test_fault_67__run_without_number_and_completion_time() -> None:
    """The key has zeros for the number and the day of submission; the manifest has nulls."""
    world = DeliveringWorld()
    run_guid = export(world, ZIP, nullFields=["number", "completionDateTime"])
    world.settle()
    (manifest,) = manifests(world)
    (file,) = manifest["files"]
    assert file["key"].split("/")[4:8] == ["2023", "11", "14", f"00000000-{run_guid}"]
    nulls = ("runNumber", "completionDateTime", "expirationDateTime")
    assert [manifest[name] for name in nulls] == [None] * 3


@pytest.mark.parametrize(
    ("workspace", "segment"), [("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b"), ("...", "%2E%2E%2E")]
)
def test_fault_67__workspace_of_dots_is_encoded_in_keys(workspace: str, segment: str) -> None:
    """Tools resolve a part of a path that is made of dots alone."""
    world = DeliveringWorld(workspace=workspace)
    export(world, ZIP)
    world.settle()
    (manifest,) = manifests(world)
    assert {key.split("/")[2] for key in world.bucket.objects} == {segment}
    assert manifest["workspace"] == workspace


def test_fault_37__file_without_a_guid_is_undeliverable() -> None:
    """The manifest lists the entry without a GUID; the other file is there."""
    world = DeliveringWorld()
    export(world, ZIP, ZIP, fileEntries="withoutGuid", fileEntriesSeconds=DAY)
    world.settle()
    (event,), (manifest,) = world.events("run.undelivered"), manifests(world)
    assert event["data"]["undeliverable"] == manifest["undeliverable"]
    ((guid, error),) = [(f["guid"], f["error"]) for f in manifest["undeliverable"]]
    assert (guid, error["code"]) == (None, "FileWithoutGuid")
    assert [file["guid"] for file in manifest["files"]] == file_guids(world)[:1]
    assert not manifest["complete"]
    assert world.telemetry.metrics["FilesUndeliverable"] == 1
    assert_sound(world)


@pytest.mark.parametrize("files", [0, 1])
def test_fault_68__definition_run(files: int) -> None:
    """A run without results has a manifest and an event, and no file is asked for."""
    world = DeliveringWorld()
    plan_files(world, *[ZIP] * files, criteriaResultsCount=files)
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    world.settle()
    (manifest,) = manifests(world)
    (event,) = world.events("run.delivered")
    assert (manifest["kind"], manifest["complete"]) == ("definition", True)
    assert len(manifest["files"]) == len(downloads(world)) == files
    (request,) = manifest["requests"]
    assert request["itemGuids"] == []
    assert event["data"]["requests"][0]["itemCount"] == 0


def test_fault_69__open_counts_are_those_of_run_completed() -> None:
    """Two runs carry one request, and the second one is delivered first, also twice."""
    world = DeliveringWorld(max_items_per_run=3)
    control.plan_runs(world.arena, {"files": 1, "contents": [ZIP], "count": 2})
    with deliver_held_back(world):
        world.send({"itemGuids": items(5)})
        world.run_for(120)
    first = world.ledger.deliveries.pending()[0]
    world.ledger.deliveries.change(first, replace(first, not_before=int(world.clock.now()) + HOUR))
    world.run_for(120)
    world.topic.intercept("publish", _twice)
    world.settle()
    completed = {e["subject"]: e["data"]["requests"] for e in world.events("run.completed")}
    delivered = {e["subject"]: e["data"]["requests"] for e in world.events("run.delivered")}
    assert next(e["subject"] for e in world.events("run.delivered")) != first.run_guid
    assert delivered == completed
    assert sorted(r["openCount"] for (r,) in delivered.values()) == [0, 2]
    assert_sound(world)


def _twice(real: Callable[..., None], events: Any) -> None:
    real(events)
    real(events)


def _with_polls_during_downloads(world: DeliveringWorld) -> None:
    """Let what is due happen while deliver waits for bytes."""

    def sleep(real: Callable[[float], None], seconds: float) -> None:
        real(seconds)
        world.happen_meanwhile()

    world.clock.intercept("sleep", sleep)


def test_fault_70__download_is_aborted_for_polls() -> None:
    """Arena answers no poll during a download: the end of the run is detected all the same."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"downloadsLockSession": True})
    with deliver_held_back(world):
        export(world, {"kind": "bin", "size": 40_000})
    fail_downloads(world, times=1, download={"bytesPerSecond": 50})
    plan_files(world, ZIP, runningSeconds=60)
    world.send({"itemGuids": items(2, 10)})
    _with_polls_during_downloads(world)
    began = world.clock.now()
    world.run_for(10 * 60)
    assert world.telemetry.metrics["DownloadsAborted"] == 1
    assert len(world.events("run.completed")) == 2
    assert world.clock.now() - began < 12 * 60
    world.settle()
    assert len(world.events("run.delivered")) == 2
    assert_sound(world)


def test_fault_70__downloads_and_runs_take_turns_then() -> None:
    """After an abort, no file is asked for during a run, and a run waits for one download."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        for start in (10, 20, 30):
            export(world, ZIP, start=start)
    lane = world.ledger.deliveries.take_lane(world.ledger.deliveries.lane())
    taken = replace(lane.take_turns(world.clock.now()), held_until=0)
    world.ledger.deliveries.keep_lane(taken)
    control.set_settings(world.arena, {"runningSeconds": 100})
    for start in (40, 50, 60):
        world.send({"itemGuids": items(1, start)})
        world.run_for(150)
    world.settle()
    purposes = [record.purpose for record in world.arena.request_log.records]
    turns = [purpose for purpose in purposes if purpose in {"submit", "download"}]
    assert turns[3:7] == ["download", "submit", "download", "submit"]
    runs = [(run.created_at, run.ended_at(world.clock.now())) for run in world.arena.exports.runs]
    for record in downloads(world):
        assert not any(created < record.at < (ended or 0) for created, ended in runs)


def test_fault_70__runs_go_on_where_deliver_does_not_start() -> None:
    """Downloads and runs take turns, and deliver cannot be invoked: runs wait minutes, not days."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP)
    lane = world.ledger.deliveries.take_lane(world.ledger.deliveries.lane())
    taken = replace(lane.take_turns(world.clock.now()), held_until=0)
    world.ledger.deliveries.keep_lane(taken)
    world.deliver_function.intercept("start", failing(10**5, MessagingError("throttled")))
    world.send({"itemGuids": items(1, 10)})
    world.run_for(6 * 60)
    assert world.posts() == 2
    assert len(world.events("run.completed")) == 2


def test_fault_70__polls_from_before_the_download_do_not_count() -> None:
    """Two polls must be unanswered while the download runs, not one before and one during it."""
    world = DeliveringWorld()
    store = world.ledger.deliveries
    store.take_lane(store.lane())
    store.count_unanswered_polls(7)
    assert store.lane().unanswered_polls == 1
    store.count_unanswered_polls(8)
    assert store.lane().unanswered_polls == 2
