"""Faults 51, 52, 53 and 63 of the table in tests/README.md: crashes, late copies and conflicts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.errors import BucketError, MessagingError, ObjectConflictError
from arena_exports.ledger.deliveries import LANE_SECONDS
from arena_exports.services import transfer
from tests.support.deliveries import (
    HOUR,
    DeliveringWorld,
    assert_sound,
    deliver_held_back,
    downloads,
    export,
    fail_downloads,
    file_guids,
    gaps,
    manifests,
    plan_files,
)
from tests.support.fake_bucket import MIN_PART_BYTES, StoredObject
from tests.support.fakes import failing
from tests.support.world import items

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL, LARGE = {"kind": "zip", "size": 2000}, {"kind": "json", "size": MIN_PART_BYTES + 1000}
FILES = (SMALL, LARGE)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file of 5 MiB uploaded in parts: the smallest that S3 takes."""
    monkeypatch.setattr(transfer, "PART_BYTES", MIN_PART_BYTES)


def _world() -> DeliveringWorld:
    """Return a world in which each download has other bytes than the one before."""
    world = DeliveringWorld()
    fail_downloads(world, times=None, download={"regenerate": True})
    return world


def _at_each_moment(act: Callable[[DeliveringWorld], None], errors: int) -> int:
    """Deliver a run, and do something at a moment of it: at each in turn; return how many."""
    number = 0
    while True:
        number += 1
        world = _world()
        plan_files(world, *FILES)
        came = world.at_moment(number, partial(act, world))
        world.send({"itemGuids": items(2)})
        world.run_for(3 * HOUR)
        if not came():
            return number
        assert len(world.errors) == errors, world.errors
        world.settle(errors=errors)
        assert_sound(world)
        (manifest,) = manifests(world)
        assert manifest["complete"]
        assert [file["guid"] for file in manifest["files"]] == file_guids(world)
        ids = {event["id"] for event in world.events("run.delivered")}
        assert ids == {f"{manifest['runGuid']}/delivered/1/1"}


def test_fault_51_53__death_at_any_moment_leads_to_one_manifest() -> None:
    """Deliver is killed before and after each of its calls; what it stored is never changed."""
    assert _at_each_moment(DeliveringWorld.die, errors=1) > 30


def test_fault_52__overlap_at_any_moment_leads_to_one_manifest() -> None:
    """A copy is thought dead, and a second one does all its work at each moment of the first."""

    def overlap(world: DeliveringWorld) -> None:
        world.clock.sleep(LANE_SECONDS + 1)
        world.call("deliver", {})

    assert _at_each_moment(overlap, errors=0) > 30


def test_fault_51__object_that_is_there_is_read_back() -> None:
    """Deliver dies after the object was stored: there is no second download."""
    world = _world()

    def store_and_die(real: Any, *arguments: Any) -> None:
        real(*arguments)
        world.bucket.restore("put")
        world.die()

    world.bucket.intercept("put", store_and_die)
    export(world, SMALL)
    world.settle(errors=1)
    (manifest,) = manifests(world)
    assert len(downloads(world)) == 1
    assert manifest["files"][0]["name"] is None, "only the download tells it"
    assert_sound(world)


def test_fault_52__late_copy_reports_the_outcome_that_is_recorded() -> None:
    """A late copy holds a file for expired that another copy has stored: the manifest names it."""
    world = _world()

    def overtake(real: Any, *arguments: Any) -> Any:
        answer = real(*arguments)
        world.bucket.restore("keys")
        world.clock.sleep(LANE_SECONDS + 1)
        world.topic.intercept("publish", failing(1, MessagingError("throttled")))
        world.bucket.intercept("put", failing_on_manifests(1))
        world.call("deliver", {})
        world.clock.sleep(61 * 86_400)
        return answer

    world.bucket.intercept("keys", overtake)
    export(world, SMALL)
    world.settle()
    (manifest,) = manifests(world)
    assert manifest["complete"]
    assert not manifest["undeliverable"]
    assert_sound(world)


def failing_on_manifests(times: int) -> Callable[..., object]:
    """Return an interception of `put` that refuses so many manifests."""
    refuse = failing(times, BucketError("put_object: SlowDown"))

    def put(real: Callable[..., object], key: str, *arguments: object) -> object:
        return refuse(real, key, *arguments) if "manifest" in key else real(key, *arguments)

    return put


CALLS = {"keys": 1, "put": 2, "begin": 1, "put_part": 2, "complete": 1, "read": 1}


@pytest.mark.parametrize(
    ("name", "skip"), [(name, skip) for name, count in CALLS.items() for skip in range(count)]
)
@pytest.mark.parametrize("error", [ObjectConflictError("409"), BucketError("SlowDown")])
def test_fault_63__failure_of_any_call_heals(name: str, error: Exception, skip: int) -> None:
    """Each S3 call is refused once, before it has an effect."""
    world = _world()
    calls = 0

    def refuse(real: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == skip + 1:
            raise error
        return real(*arguments)

    world.bucket.intercept(name, refuse)
    export(world, *FILES)
    world.settle()
    assert calls > skip
    assert len(downloads(world)) <= len(FILES) + 1
    assert_sound(world)


@pytest.mark.parametrize("name", ["put", "complete"])
def test_fault_63__lost_answer_is_read_back(name: str) -> None:
    """The object was stored and the answer lost: there is no second download."""
    world = _world()
    refuse = failing(1, ObjectConflictError("ReadTimeoutError"))

    def lose(real: Callable[..., object], *arguments: object) -> object:
        answer = real(*arguments)
        refuse(lambda: None)
        return answer

    world.bucket.intercept(name, lose)
    export(world, *FILES)
    world.settle()
    assert len(downloads(world)) == len(FILES)
    assert_sound(world)


@pytest.mark.parametrize("name", ["put", "put_part", "complete"])
def test_fault_63__conflict_that_lasts_backs_off(name: str) -> None:
    """An upload that never succeeds is no reason to download the file each minute for a day."""
    world = _world()
    world.bucket.intercept(name, failing(10**5, ObjectConflictError("ReadTimeoutError")))
    export(world, LARGE if name != "put" else SMALL)
    world.run_for(24 * HOUR)
    asked = downloads(world)
    assert 5 < len(asked) < 20
    assert gaps(asked)[0] < gaps(asked)[-1]
    world.bucket.restore(name)
    world.settle()
    assert manifests(world)[0]["complete"]
    assert_sound(world)


def test_fault_63__upload_that_cannot_be_listed_keeps_nothing_back() -> None:
    """The bucket's policy forbids to list uploads: the event is published once all the same."""
    world = _world()
    world.bucket.intercept("abort_all", failing(10**5, BucketError("AccessDenied")))
    export(world, SMALL)
    world.settle()
    assert len(world.events("run.delivered")) == 1
    assert_sound(world)


def test_fault_63__open_upload_of_a_dead_copy_is_aborted() -> None:
    """Deliver dies while it uploads a file; the upload is gone once the run is delivered."""
    world = _world()
    world.bucket.intercept("put_part", lambda *_: world.die())
    export(world, LARGE)
    world.run_for(60)
    assert world.bucket.uploads
    world.bucket.restore("put_part")
    world.settle(errors=1)
    assert_sound(world)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": 1, "files": 3, "requests": [], "undeliverable": []}',
        b"[" * 100_000,
    ],
)
def test_fault_53__manifest_of_somebody_else_holds_up_its_own_run_alone(body: bytes) -> None:
    """What lies at a manifest's key cannot be read: an alarm, and other runs are delivered."""
    world = _world()
    run_guid = _run_with_odd_manifest(world, body)
    other = export(world, SMALL, start=10)
    world.run_for(HOUR)
    assert not world.errors
    assert {event["subject"] for event in world.events("run.delivered")} == {other}
    assert [d.run_guid for d in world.ledger.deliveries.pending()] == [run_guid]
    assert world.telemetry.metrics["DeliveryBlocked"] > 1


def test_fault_53__manifest_of_another_run_is_not_published() -> None:
    """A copy of another run's manifest says nothing of this one."""
    world = _world()
    export(world, SMALL)
    world.settle()
    (body,) = [stored.body for key, stored in world.bucket.objects.items() if "manifest" in key]
    _run_with_odd_manifest(world, body, start=10)
    world.run_for(HOUR)
    assert len(world.events("run.delivered")) == 1


def _run_with_odd_manifest(world: DeliveringWorld, body: bytes, start: int = 0) -> str:
    """Export a run in whose folder something lies where its manifest belongs."""
    with deliver_held_back(world):
        run_guid = export(world, SMALL, start=start)
    (delivery,) = world.ledger.deliveries.pending()
    stored = StoredObject(body, "application/json", "version-0")
    world.bucket.objects[f"arena/{delivery.folder}manifest.json"] = stored
    return run_guid


@pytest.mark.parametrize("which", ["manifest", "zip"])
def test_fault_63__object_that_cannot_be_read_holds_up_its_own_run_alone(which: str) -> None:
    """One object is archived or lost its key: an alarm, and other runs are delivered."""
    world = _world()
    with deliver_held_back(world):
        run_guid = export(world, SMALL)
    (delivery,) = world.ledger.deliveries.pending()
    name = "manifest.json" if which == "manifest" else f"{file_guids(world)[0]}.zip"
    key = f"arena/{delivery.folder}{name}"
    world.bucket.objects[key] = StoredObject(b"archived", "application/zip", "version-0")
    real = world.bucket.read

    def read(_: object, wanted: str) -> object:
        if wanted == key:
            raise BucketError("get_object: InvalidObjectState")
        return real(wanted)

    world.bucket.intercept("read", read)
    other = export(world, SMALL, start=10)
    world.run_for(HOUR)
    assert {event["subject"] for event in world.events("run.delivered")} == {other}
    assert [d.run_guid for d in world.ledger.deliveries.pending()] == [run_guid]
    assert len(downloads(world)) == 1, "what is in the bucket is not asked for"
    assert world.telemetry.metrics["DeliveryBlocked"]
