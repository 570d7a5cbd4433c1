"""Bugs in delivery, planted on purpose: the simulation must find each of them (see `planted`)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from arena_exports.domain.errors import ObjectConflictError
from arena_exports.domain.events import WrittenManifest
from arena_exports.domain.manifests import manifest_bytes
from arena_exports.ledger import keys
from arena_exports.ports import ALWAYS, Delete, Put
from tests.simulation.delivery import DELIVERED, sha256
from tests.simulation.planted import LEDGER, TOPIC, Bug, each, keep_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports.ports import Write
    from tests.simulation.planted import Soil

CALLS_OF_THE_LEDGER = "tests.simulation.cloud:SimTable.write"
OBJECTS = "tests.support.fake_bucket:InMemoryBucket"
TURN = "arena_exports.services.delivery:_Turn"
REPORT = "arena_exports.services.delivery_report"
STORE = "arena_exports.ledger.deliveries:DeliveryStore"


# ---- what a write is -----------------------------------------------------------------------------


def _is_file(write: Write) -> bool:
    return "#FILE#" in write.key[1]


def _asks_for_a_delivery(write: Write) -> bool:
    return isinstance(write, Put) and write.key[0] == keys.DELIVER


def _closes(writes: Sequence[Write]) -> bool:
    return any(isinstance(w, Delete) and w.key[0] == keys.DELIVER for w in writes)


def _is_manifest(key: str) -> bool:
    return "/manifest" in key


# ---- bugs at the ledger --------------------------------------------------------------------------


def _take_unconditionally(write: Any) -> Any:
    """Change what takes the lease on downloads; what keeps it names its token alone."""
    takes = write.key == keys.DELIVERY_LANE and write.condition.equals.keys() != {"token"}
    return replace(write, condition=ALWAYS) if takes else write


def _unconditional(write: Any) -> Any:
    return replace(write, condition=ALWAYS) if _is_file(write) else write


def _forget_open_counts(write: Any) -> Any:
    return None if "#OPEN#" in write.key[1] else write


def _point_after_settling(soil: Soil) -> None:
    """Write the pointer in a call of its own, right after the transaction."""

    def write(original: Any, table: Any, *writes: Write) -> None:
        pointers = [one for one in writes if _asks_for_a_delivery(one)]
        original(table, *(one for one in writes if one not in pointers))
        for pointer in pointers:
            original(table, pointer)

    soil.method(CALLS_OF_THE_LEDGER, write)


def _forget_destination(soil: Soil) -> None:
    def key(original: Any, store: Any, delivery: Any, _destination: str, guid: str) -> Any:
        return original(store, delivery, "", guid)

    soil.method(f"{STORE}._file_key", key)


# ---- bugs at the bucket --------------------------------------------------------------------------


def _overwrite(applies: Callable[[str], bool]) -> Callable[[Soil], None]:
    """Create objects without a condition."""

    def create(original: Any, bucket: Any, key: str, body: bytes, content_type: str) -> Any:
        if applies(key):
            bucket.objects.pop(key, None)
        return original(bucket, key, body, content_type)

    return lambda soil: soil.method(f"{OBJECTS}._create", create)


def _take_conflict_for_success(soil: Soil) -> None:
    def create(original: Any, bucket: Any, key: str, body: bytes, content_type: str) -> Any:
        try:
            return original(bucket, key, body, content_type)
        except ObjectConflictError:
            if _is_manifest(key):
                raise
            return bucket.objects[key].version_id

    soil.method(f"{OBJECTS}._create", create)


def _store_after_noting(soil: Soil) -> None:
    """Store a file only when its outcome has been written down."""
    held: dict[object, Callable[[], object]] = {}

    def create(original: Any, bucket: Any, key: str, body: bytes, content_type: str) -> Any:
        version = original(bucket, key, body, content_type)
        if not _is_manifest(key):
            stored = bucket.objects.pop(key)
            held[getcurrent()] = lambda: bucket.objects.setdefault(key, stored)
        return version

    def write(original: Any, table: Any, *writes: Write) -> None:
        original(table, *writes)
        if any(map(_is_file, writes)) and getcurrent() in held:
            held.pop(getcurrent())()

    soil.method(f"{OBJECTS}._create", create)
    soil.method(CALLS_OF_THE_LEDGER, write)


# ---- bugs of the report --------------------------------------------------------------------------


def _report_too_soon(soil: Soil) -> None:
    def report(_original: Any, turn: Any, one: Any) -> None:
        files = [record for record in one.records.values() if record.is_final]
        if files:
            turn._report(one, lambda: turn._parts.report.write(one.delivery, files))

    soil.method(f"{TURN}._report_if_done", report)


def _publish_before_the_manifest(soil: Soil) -> None:
    def write(original: Any, report: Any, delivery: Any, files: Any) -> None:
        entries, now = report._entries(delivery), report.clock.now()
        body = manifest_bytes(delivery, files, entries, now)
        key = report.manifest_key(delivery)
        manifest = WrittenManifest(json.loads(body), report.bucket.name, key, sha256(body))
        report.topic.publish(report._events(delivery, manifest))
        original(report, delivery, files)

    soil.method(f"{REPORT}:DeliveryReport.write", write)


def _keep_own_manifest(soil: Soil) -> None:
    """Publish what this copy would have written, also where another manifest is there."""
    own: dict[object, bytes] = {}

    def make(original: Any, *arguments: Any) -> bytes:
        own[getcurrent()] = original(*arguments)
        return own[getcurrent()]

    def read(original: Any, report: Any, key: str) -> bytes:
        return own.pop(getcurrent(), None) or bytes(original(report, key))

    soil.method(f"{REPORT}:manifest_bytes", make)
    soil.method(f"{REPORT}:DeliveryReport._read", read)


def _is_about_a_delivery(events: Sequence[Any]) -> bool:
    return any(json.loads(event.body)["type"] in DELIVERED for event in events)


def _close_before_the_event(soil: Soil) -> None:
    held: dict[object, Callable[[], None]] = {}

    def publish(original: Any, sink: Any, events: Sequence[Any]) -> None:
        if _is_about_a_delivery(events):
            held[getcurrent()] = lambda: original(sink, events)
        else:
            original(sink, events)

    def write(original: Any, table: Any, *writes: Write) -> None:
        original(table, *writes)
        if _closes(writes) and getcurrent() in held:
            held.pop(getcurrent())()

    soil.method(TOPIC, publish)
    soil.method(LEDGER, write)


def _start_deliver_first(soil: Soil) -> None:
    def submit(original: Any, event: Any, seconds_left: float, function: Any) -> Any:
        if "Records" not in event and function.downloads.are_due():
            function.downloads.start(function.clock.now())
        return original(event, seconds_left, function)

    soil.method("tests.support.functions:submit", submit)


BUGS_OF_DELIVERY: Sequence[Bug] = (
    Bug(
        "pointer after settling",
        "the pointer of a delivery is written after the transaction that settles the run",
        _point_after_settling,
    ),
    Bug(
        "open counts forgotten",
        "how many items of a request are open is not written down",
        each(_forget_open_counts),
    ),
    Bug(
        "downloads first",
        "submit starts deliver before it submits the next run",
        _start_deliver_first,
    ),
    Bug(
        "downloads lease taken twice",
        "taking the lease on downloads is not conditional on what was read",
        each(_take_unconditionally),
    ),
    Bug(
        "downloads token kept",
        "taking an expired lease on downloads makes no new token",
        keep_token(f"{STORE}.take_lane"),
        harmless="deliver's time-out (900 s) ends it before its lease (960 s) ends",
    ),
    Bug(
        "bucket not listed",
        "a file that is in the bucket is downloaded again",
        lambda soil: soil.method(f"{TURN}._find", lambda *_: None),
    ),
    Bug(
        "destination forgotten",
        "a file in the bucket before counts as one in this bucket",
        _forget_destination,
    ),
    Bug(
        "length not checked",
        "a body that ended counts as a whole file",
        lambda soil: soil.method(
            "arena_exports.services.transfer:Transfer._check_whole", lambda *_: None
        ),
    ),
    Bug(
        "object overwritten",
        "an object is written over one that is there",
        _overwrite(lambda key: not _is_manifest(key)),
    ),
    Bug(
        "object not read back",
        "where another copy has stored an object, the own hash is kept",
        _take_conflict_for_success,
    ),
    Bug("file noted first", "a file is written down before it is stored", _store_after_noting),
    Bug(
        "first outcome overwritten",
        "a later outcome of a file replaces the first one",
        each(_unconditional),
        harmless="the manifest is written once, and each copy of the event is made from it",
    ),
    Bug(
        "refused once",
        "the first refusal of a file decides",
        lambda soil: soil.constant("arena_exports.domain.deliveries:SECONDS_BETWEEN_REFUSALS", 0),
    ),
    Bug(
        "manifest before files",
        "the manifest is written as soon as one file has an outcome",
        _report_too_soon,
    ),
    Bug("manifest overwritten", "a second manifest replaces the first", _overwrite(_is_manifest)),
    Bug(
        "manifest not read back",
        "where another copy has written the manifest, the event is made from the own one",
        _keep_own_manifest,
    ),
    Bug(
        "event before manifest",
        "run.delivered is published before the manifest is written",
        _publish_before_the_manifest,
    ),
    Bug(
        "event after closing",
        "run.delivered is published after the pointer is deleted",
        _close_before_the_event,
    ),
    Bug(
        "uploads left open",
        "uploads of copies that died stay open",
        lambda soil: soil.method(f"{OBJECTS}.abort_all", lambda *_: None),
    ),
)
