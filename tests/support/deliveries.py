"""A small world that delivers files, what tests ask of it, and what must hold whatever happened."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from infra.simulator import control
from tests.support.world import World, items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.simulator.request_log import Record
    from tests.support.fake_bucket import InMemoryBucket

CONTENT = "*/content"
DEAD_SESSION = 401
MIB = 1024 * 1024
HOUR, DAY = 3600, 86_400
_BUCKET_CALLS = ("keys", "put", "begin", "put_part", "complete", "abort", "abort_all", "read")


class DeliveringWorld(World):
    """A world whose stack delivers files.

    Its deliver function can be met at any moment: before and after each call to bucket, topic and
    ledger.
    """

    def __init__(self, **settings: object) -> None:
        super().__init__(settings={"delivers_files": True, **settings})
        self._watch: Callable[[], None] | None = None
        self._inside = 0
        for name in _BUCKET_CALLS:
            self.bucket.intercept(name, self._around)
        self.topic.intercept("publish", self._around)
        self.table.intercept("write", self._around)

    def call(self, function: str, payload: Any) -> Any:
        if function != "deliver":
            return super().call(function, payload)
        if self._watch == self._refuse:
            self._watch = None  # the next invocation lives
        self._inside += 1
        try:
            return super().call(function, payload)
        finally:
            self._inside -= 1

    def at_moment(self, number: int, action: Callable[[], None]) -> Callable[[], bool]:
        """Do something at deliver's moment of this number; return whether it came to that."""
        passed = 0

        def watch() -> None:
            nonlocal passed
            passed += 1
            if passed == number:
                action()

        self._watch = watch
        return lambda: passed >= number

    def die(self) -> None:
        """Kill the function that is running: nothing that it does from now on has an effect."""
        self._watch = self._refuse
        self._refuse()

    def _refuse(self) -> None:
        raise KilledError

    def _around(self, real: Callable[..., Any], *arguments: Any) -> Any:
        self._moment()
        answer = real(*arguments)
        self._moment()
        return answer

    def _moment(self) -> None:
        if self._inside and self._watch:
            self._watch()


class KilledError(Exception):
    """The function was killed."""


def plan_files(world: World, *contents: dict[str, Any], **run: object) -> None:
    """Plan the next run, with these files."""
    control.plan_runs(world.arena, {"files": len(contents), "contents": [*contents], **run})


def export(world: World, *contents: dict[str, Any], start: int = 0, **run: object) -> str:
    """Have a run with these files exported and settled; return its GUID."""
    known = len(world.events("run.completed"))
    plan_files(world, *contents, **run)
    world.send({"itemGuids": items(2, start)})
    while len(world.events("run.completed")) == known:
        world.run_for(1)
    return str(world.events("run.completed")[-1]["data"]["runGuid"])


@contextmanager
def deliver_held_back(world: World) -> Iterator[None]:
    """Have deliver not started for a while."""
    world.deliver_function.intercept("start", lambda *_: None)
    yield
    world.deliver_function.restore("start")


def fail_downloads(world: World, *, times: int | None = 1, **fault: object) -> None:
    """Have the next downloads, or all of them, go wrong."""
    until = {} if "lastsSeconds" in fault else {"times": times}
    control.add_faults(world.arena, {"path": CONTENT, **until, **fault})


def fail_file(world: World, file_guid: str, **fault: object) -> None:
    """Have each download of one file go wrong."""
    faults = {"path": f"*/{file_guid}/content", "times": None, **fault}
    control.add_faults(world.arena, faults)


def file_guids(world: World) -> list[str]:
    """Return the GUIDs of the files of the last run, in Arena's order."""
    return [file.guid for file in list(world.arena.exports.runs)[-1].files]


def downloads(world: World, file_guid: str | None = None) -> list[Record]:
    """Return the requests for the content of files, or of one of them, in a living session."""
    return [
        record
        for record in world.arena.request_log.records
        if record.purpose == "download"
        and record.code != DEAD_SESSION
        and file_guid in (None, record.file_guid)
    ]


def metadata_requests(world: World) -> int:
    """Count the requests for the metadata of files."""
    return sum(1 for record in world.arena.request_log.records if record.purpose == "file")


def gaps(records: list[Record]) -> list[float]:
    """Return how many seconds lie between requests."""
    return [after.at - before.at for before, after in pairwise(records)]


def manifests(world: World, bucket: InMemoryBucket | None = None) -> list[dict[str, Any]]:
    """Return the manifests in the bucket, in the order of their keys."""
    objects = (bucket or world.bucket).objects
    return [json.loads(objects[key].body) for key in sorted(objects) if "/manifest" in key]


def assert_sound(world: World) -> None:
    """Assert what holds at the end of each day (R12).

    A manifest names only what is there; each event is its manifest's, and each copy of an event is
    the same; nothing is pending and no upload is open.
    """
    objects = world.bucket.objects
    for manifest in manifests(world):
        for file in manifest["files"]:
            stored = objects[file["key"]]
            assert hashlib.sha256(stored.body).hexdigest() == file["sha256"]
            assert (len(stored.body), stored.version_id) == (file["size"], file["versionId"])
    copies: dict[str, str] = {}
    for event in world.topic.events:
        content = json.loads(event.body)
        if content["type"].endswith("delivered"):
            assert copies.setdefault(content["id"], event.body) == event.body
            data = content["data"]
            assert data["bucket"] == world.bucket.name
            digest = hashlib.sha256(objects[data["manifestKey"]].body).hexdigest()
            assert data["manifestSha256"] == digest
    assert not world.bucket.uploads
    assert not world.ledger.deliveries.pending()
