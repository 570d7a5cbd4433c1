"""Faults 54, 55, 56, 57 and 61 of the table in tests/README.md: what Arena sends for a file."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from arena_exports.services.transfer import PART_BYTES
from infra.simulator import control
from infra.simulator.gateway import Answer
from tests.support.deliveries import (
    MIB,
    DeliveringWorld,
    assert_sound,
    deliver_held_back,
    downloads,
    export,
    fail_downloads,
    fail_file,
    file_guids,
    manifests,
    metadata_requests,
)
from tests.support.world import EXPORT

ZIP = {"kind": "zip", "size": 3000}
JSON = {"kind": "json", "size": 3000}
LARGE = {"kind": "zip", "size": PART_BYTES + 5 * MIB}
ERROR = json.dumps({"status": 400, "errors": [{"code": 3017, "message": "Not ready"}]})


PLAIN = {"contentType": "text/plain", "headers": {"Content-Length": "26"}}


def _original(world: DeliveringWorld) -> bytes:
    """Return the only file of the last run as Arena has it."""
    (file,) = list(world.arena.exports.runs)[-1].files
    return b"".join(file.content().chunks())


def _stored(world: DeliveringWorld) -> bytes:
    """Return the only file in the bucket."""
    ((file,),) = [manifest["files"] for manifest in manifests(world)]
    return world.bucket.objects[file["key"]].body


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 200, "body": "<h1>Blocked</h1>"},
        {"status": 403, "body": "<h1>Forbidden</h1>"},
        {"status": 404, "body": "<h1>Not found</h1>"},
        {"status": 503, "body": "<h1>Maintenance</h1>"},
        {"status": 200, "body": "\ufeff \n<!DOCTYPE html><p>Hi", "contentType": "text/plain"},
        {"status": 200, "body": "Log in", "contentType": "text/html; charset=utf-8"},
        {"status": 200, "body": ERROR, "contentType": "application/json"},
        {"status": 200, "body": ""},
        {"status": 202, "body": '{"status": "in progress" }', **PLAIN},
        {"status": 206, "body": "number,name\n1,part of all\n", **PLAIN},
        {"status": 400, "body": "", "contentType": "application/json"},
        {"code": 3017},
        {"code": 4077},
        {"code": 3000},
        {"drop": True},
        {"truncate": True},
        {"download": {"withoutEnd": True}},
        {"download": {"withoutEnd": True, "framing": "chunked"}},
        {"download": {"cutAfterBytes": 0}},
        {"download": {"cutAfterBytes": 100}},
        {"download": {"cutAfterBytes": -1, "framing": "chunked"}},
        {"download": {"cutAfterBytes": -1, "framing": "close"}},
        {"download": {"stallAfterBytes": 100}},
        {"download": {"extraBytes": 3}},
        {"headers": {"Content-Encoding": "br"}},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("content", [ZIP, JSON], ids=["zip", "json"])
def test_fault_54__what_is_not_the_file_is_never_stored(
    content: dict[str, Any], fault: dict[str, Any]
) -> None:
    """The body is an error, a page or a part of the file: it is asked for again a minute later."""
    world = DeliveringWorld()
    fail_downloads(world, times=2, **fault)
    export(world, content)
    world.run_for(50)
    assert not world.bucket.objects
    assert len(downloads(world)) == 1
    world.settle()
    assert len(downloads(world)) == 3
    assert _stored(world) == _original(world)
    assert manifests(world)[0]["complete"]
    assert_sound(world)


@pytest.mark.parametrize("cut", [10 * MIB, PART_BYTES + MIB, -1])
def test_fault_54__part_of_a_large_file_is_never_stored(cut: int) -> None:
    """A transfer that is cut off and cannot be continued leaves no object and no open upload."""
    world = DeliveringWorld()
    fail_downloads(world, times=1, download={"cutAfterBytes": cut, "etag": "none"})
    export(world, LARGE)
    world.run_for(50)
    assert not world.bucket.objects
    assert not world.bucket.uploads
    world.settle()
    assert _stored(world) == _original(world)
    assert_sound(world)


@pytest.mark.parametrize("content", [ZIP, LARGE, {"kind": "csv"}, {"kind": "bin", "size": 9}])
def test_fault_55__chunked_body_costs_one_request(content: dict[str, Any]) -> None:
    """A chunked body says itself where it ends, also where the metadata say another size."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": "chunked"})
    export(world, {**content, "metadataSize": 7})
    world.settle()
    assert (len(downloads(world)), metadata_requests(world)) == (1, 0)
    assert _stored(world) == _original(world)


def test_fault_55__body_without_length_is_compared_with_the_metadata() -> None:
    """The connection's end may be a cut: one more request shows the size."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": "close"})
    export(world, ZIP)
    world.settle()
    assert (len(downloads(world)), metadata_requests(world)) == (1, 1)
    assert _stored(world) == _original(world)


def test_fault_55__two_equal_downloads_win_over_the_metadata() -> None:
    """The size is asked for once; two downloads of one length are the file, with a warning."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": "close"})
    export(world, {**ZIP, "metadataSize": 7})
    world.settle()
    assert (len(downloads(world)), metadata_requests(world)) == (2, 1)
    assert _stored(world) == _original(world)
    assert "file length differs from its metadata" in dict(world.telemetry.lines)


def test_fault_55__two_different_lengths_do_not_win() -> None:
    """A body that is cut off elsewhere each time is not the file."""
    world = DeliveringWorld()
    export(world, {"kind": "bin", "size": 5000})
    world.settle()
    world = DeliveringWorld()
    for cut in (100, 200, 300):
        fail_downloads(world, download={"cutAfterBytes": cut, "framing": "close"})
    export(world, {"kind": "bin", "size": 5000})
    world.settle()
    assert len(_stored(world)) == 5000


@pytest.mark.parametrize("code", [3011, 3012, 404, 3024, 3017])
def test_fault_55__refused_metadata_say_nothing_of_the_file(code: int) -> None:
    """Arena gives the file and refuses its metadata: two equal downloads suffice."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": "close"})
    control.add_faults(world.arena, {"path": "*/files/*[!t]", "code": code, "times": None})
    export(world, ZIP)
    world.settle()
    assert len(downloads(world)) == 2
    assert manifests(world)[0]["complete"]
    assert not world.telemetry.metrics["DeliveryBlocked"]


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retryAfterSeconds": 30}])
def test_fault_55__metadata_that_get_no_answer_are_asked_for_again(fault: dict[str, Any]) -> None:
    """The length of the download is kept; the next one is compared with the size."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": "close"})
    control.add_faults(world.arena, {"path": "*/files/*[!t]", "times": 1, **fault})
    export(world, ZIP)
    world.settle()
    assert (len(downloads(world)), metadata_requests(world)) == (2, 2)
    assert manifests(world)[0]["complete"]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("kind", ["zip", "json", "csv", "gz", "bin"])
def test_fault_56__gzip_coding_is_undone(kind: str, framing: str) -> None:
    """A gateway compresses what was asked for uncompressed; the file itself is stored."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileFraming": framing})
    fail_downloads(world, times=None, download={"compressed": True})
    export(world, {"kind": kind, "size": 200_000})
    world.settle()
    assert _stored(world) == _original(world)
    assert_sound(world)


def test_fault_56__bytes_behind_the_gzip_coding_are_not_lost_silently() -> None:
    """A body in two gzip members is not stored as its first one."""
    world = DeliveringWorld()
    body = gzip.compress(b"a,b\nthe first half\n") + gzip.compress(b"the second half\n")
    real = world.transport.gateway.answer
    left = [1]

    def answer(request: Any, fault: Any = None) -> Answer:
        given = real(request, fault)
        if not request.path.endswith("/content") or not left:
            return given
        left.pop()
        headers = (("Content-Encoding", "gzip"), ("Content-Length", str(len(body))))
        return Answer(200, content=body, content_type="text/csv", headers=headers)

    world.transport.gateway.answer = answer  # type: ignore[method-assign] # what no fault can send
    export(world, {"kind": "csv"})
    world.settle()
    assert len(downloads(world)) == 2
    assert _stored(world) == _original(world)


def test_fault_56__csv_that_begins_like_a_zip_is_a_csv() -> None:
    """The name of the first column begins with PK."""
    world = DeliveringWorld()
    body = "PKG number,name\n1,Bolt\n"
    headers = {"Content-Length": "23"}
    fail_downloads(world, status=200, body=body, contentType="text/csv", headers=headers)
    export(world, {"kind": "csv"})
    world.settle()
    assert _stored(world) == body.encode()
    assert manifests(world)[0]["files"][0]["key"].endswith(".csv")


@pytest.mark.parametrize(
    ("content", "extension", "content_type"),
    [
        ({"kind": "zip"}, "zip", "application/zip"),
        ({"kind": "gz"}, "gz", "application/gzip"),
        ({"kind": "json"}, "json", "application/json"),
        ({"kind": "json", "byteOrderMark": True}, "json", "application/json"),
        ({"kind": "csv"}, "csv", "text/csv"),
        ({"kind": "csv", "byteOrderMark": True}, "csv", "text/csv"),
        ({"kind": "csv", "contentType": "text/plain"}, "csv", "text/csv"),
        ({"kind": "bin", "contentType": "text/csv"}, "bin", "application/octet-stream"),
        ({"kind": "zip", "contentType": "application/json"}, "zip", "application/zip"),
        ({"kind": "json", "contentType": "application/zip"}, "json", "application/json"),
    ],
    ids=str,
)
def test_fault_56__first_bytes_decide_the_extension(
    content: dict[str, Any], extension: str, content_type: str
) -> None:
    """Arena's content type and the definition's format, CSV, only tell CSV from other text."""
    world = DeliveringWorld()
    export(world, content)
    world.settle()
    ((file,),) = [manifest["files"] for manifest in manifests(world)]
    assert file["key"].endswith(f"/{file['guid']}.{extension}")
    assert file["contentType"] == content_type
    assert world.bucket.objects[file["key"]].content_type == content_type
    assert _stored(world) == _original(world)


PLAIN_TEXT = {"kind": "csv", "contentType": "text/plain"}
LARGE_TEXT = {**PLAIN_TEXT, "size": PART_BYTES + 3}


def _definition_requests(world: DeliveringWorld) -> int:
    return sum(1 for record in world.arena.request_log.records if record.purpose == "definition")


@pytest.mark.parametrize(("form", "expected"), [("CSV", "csv"), ("JSON", "bin")])
@pytest.mark.parametrize("content", [PLAIN_TEXT, LARGE_TEXT], ids=["small", "large"])
def test_fault_56__format_of_the_definition_is_asked_for_once(
    content: dict[str, Any], form: str, expected: str
) -> None:
    """Text without a telling Content-Type: one request for all files and runs of a definition."""
    world = DeliveringWorld()
    control.put_definition(world.arena, EXPORT, {"format": form})
    control.set_settings(world.arena, {"downloadsLockSession": True})
    export(world, content, content)
    export(world, content, start=10)
    world.settle()
    assert _definition_requests(world) == 1
    assert len(downloads(world)) == (4 if content is LARGE_TEXT else 3)
    keys = [file["key"] for manifest in manifests(world) for file in manifest["files"]]
    assert [key.rpartition(".")[2] for key in keys] == [expected] * 3
    assert_sound(world)


def test_fault_56__format_is_not_asked_for_where_the_bytes_decide() -> None:
    """Zip, JSON, other binary files, and text whose Content-Type says CSV cost one request each."""
    world = DeliveringWorld()
    export(world, ZIP, {"kind": "json"}, {"kind": "bin"}, {"kind": "csv"})
    world.settle()
    assert (_definition_requests(world), len(downloads(world))) == (0, 4)


@pytest.mark.parametrize(
    ("fault", "requests", "expected"),
    [
        ({"status": 503, "body": "<h1>Maintenance</h1>", "times": 1}, 2, "csv"),
        ({"status": 503, "body": "<h1>Maintenance</h1>", "times": None}, 2, "bin"),
        ({"code": 3024, "times": None}, 1, "bin"),
    ],
)
def test_fault_56__format_that_arena_does_not_tell_holds_up_no_file(
    fault: dict[str, Any], requests: int, expected: str
) -> None:
    """Without an answer it is asked for a second time; then, or if refused, the text is bin."""
    world = DeliveringWorld()
    control.add_faults(world.arena, {"path": f"*/exports/{EXPORT}", **fault})
    export(world, PLAIN_TEXT)
    world.settle()
    assert _definition_requests(world) == requests
    (file,) = manifests(world)[0]["files"]
    assert file["key"].endswith(f".{expected}")
    export(world, PLAIN_TEXT, start=10)
    world.settle()
    assert _definition_requests(world) == requests, "it is remembered"


def test_fault_56__format_is_asked_for_again_after_a_day() -> None:
    """A definition that could not be read for an hour does not make all later text bin."""
    world = DeliveringWorld()
    fault = {"path": f"*/exports/{EXPORT}", "code": 3012, "lastsSeconds": 3600}
    control.add_faults(world.arena, fault)
    export(world, PLAIN_TEXT)
    world.run_for(25 * 3600)
    export(world, PLAIN_TEXT, start=10)
    world.settle()
    extensions = [m["files"][0]["key"].rpartition(".")[2] for m in manifests(world)]
    assert extensions == ["bin", "csv"]


def test_fault_57__strong_etag_continues_a_transfer() -> None:
    """A large transfer that is cut off goes on where it stopped, in the same invocation."""
    world = DeliveringWorld()
    fail_downloads(world, download={"cutAfterBytes": PART_BYTES + MIB})
    export(world, LARGE)
    world.settle()
    assert [record.status for record in downloads(world)] == [200, 206]
    assert downloads(world)[0].at == downloads(world)[1].at
    assert _stored(world) == _original(world)
    assert manifests(world)[0]["files"][0]["name"]


@pytest.mark.parametrize(
    "second",
    [
        {"download": {"regenerate": True}},
        {"download": {"regenerate": True, "ranges": "unchecked"}},
        {"download": {"regenerate": True, "ranges": "none"}},
        {"download": {"etag": "weak"}},
        {"download": {"etag": "none", "ranges": "unchecked"}},
        {"download": {"etag": "changed", "ranges": "unchecked"}},
        {"download": {"compressed": True}},
        {"headers": {"Content-Range": "bytes 0-9/10"}},
        {"status": 416, "body": ""},
        {"code": 3012},
        {"code": 3024},
        {"status": 302, "headers": {"Location": "https://example.com/"}},
        {"drop": True},
    ],
    ids=str,
)
def test_fault_57__other_content_is_never_joined(second: dict[str, Any]) -> None:
    """The rest that Arena offers may be another file's: the transfer starts again."""
    world = DeliveringWorld()
    fail_downloads(world, download={"cutAfterBytes": PART_BYTES + MIB})
    fail_downloads(world, **second)
    export(world, LARGE)
    world.run_for(50)
    assert not world.bucket.objects
    world.settle()
    assert _stored(world) == _original(world)
    assert not world.telemetry.metrics["DeliveryBlocked"]
    assert_sound(world)


@pytest.mark.parametrize("etag", ["weak", "none"])
def test_fault_57__weak_etag_is_never_continued(etag: str) -> None:
    """Without a strong ETag, no range is asked for."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"fileEtag": etag, "fileRanges": "unchecked"})
    fail_downloads(world, download={"cutAfterBytes": PART_BYTES + MIB, "regenerate": True})
    export(world, LARGE)
    world.settle()
    assert [record.status for record in downloads(world)] == [200, 200]
    assert _stored(world) == _original(world)


def test_fault_57__transfer_is_not_continued_at_the_reserve() -> None:
    """More requests for one file are as late in line as its retries."""
    world = DeliveringWorld()
    fail_downloads(world, times=None, download={"cutAfterBytes": PART_BYTES + MIB})
    control.plan_runs(world.arena, {"files": 1, "contents": [LARGE]})
    world.send({"itemGuids": ["ITEM0000000000000001"]})
    control.set_budget(world.arena, {"remaining": 80})
    world.run_for(60)
    assert [record.status for record in downloads(world)] == [200]


REDIRECT = {"status": 302, "headers": {"Location": "https://example.com/"}}


def test_fault_61__redirect_is_not_followed_and_final_after_the_second() -> None:
    """The file is undeliverable, the other one is delivered, and runs go on."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP, JSON)
    first, second = file_guids(world)
    fail_file(world, first, **REDIRECT)
    world.settle()
    (manifest,) = manifests(world)
    (event,) = world.events("run.undelivered")
    assert not manifest["complete"]
    assert [file["guid"] for file in manifest["files"]] == [second]
    (missing,) = manifest["undeliverable"]
    assert (missing["guid"], missing["error"]["code"]) == (first, "Redirected")
    assert event["data"]["undeliverable"] == [missing]
    assert len(downloads(world, first)) == 2
    assert len(world.events("run.completed")) == 1


@pytest.mark.parametrize("form", ["redirect", "page"])
def test_fault_61__redirect_of_a_dead_session_makes_no_file_undeliverable(form: str) -> None:
    """Each answer leads to a login page, until the session is renewed: the file is delivered."""
    world = DeliveringWorld()
    control.set_settings(world.arena, {"deadSessionForm": form})
    with deliver_held_back(world):
        export(world, ZIP)
    control.kill_sessions(world.arena)
    world.settle()
    assert manifests(world)[0]["complete"]
    assert world.logins() == 2
