"""How files are sent, through the gateway in the same process, and the faults on the way."""

import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from infra.simulator import control, names
from infra.simulator.gateway import Answer, Gateway, Request
from infra.simulator.state import state_view
from infra.simulator.streams import BrokenOffError, Reader
from infra.simulator.workspace import Workspace
from tests.unit.simulator.driver import ITEM, RUNS, Clock

SIZE = 100_000
TIMEOUT_SECONDS = 30.0


@dataclass
class Desk:
    """A client in the process of the simulator, with a run of one file that is ready."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.arena = Workspace(self.clock, Random(7))
        self.gateway = Gateway(self.arena)
        self.session_id = self.log_in()
        self.content = self.start({"kind": "zip", "size": SIZE})

    def log_in(self) -> str:
        """Log in as the machine user."""
        body = json.dumps({"email": names.MACHINE_EMAIL, "password": names.PASSWORD}).encode()
        headers = {"content-type": "application/json"}
        answer = self.gateway.answer(Request("POST", "/v1/login", headers, {}, body))
        return str(json.loads(answer.body())["arenaSessionId"])

    def start(self, *files: Mapping[str, object]) -> str:
        """Start a run with these files, and return the address of the first one's content."""
        control.plan_runs(self.arena, {"contents": list(files)})
        criterion = {"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}
        body = {"criteria": [[criterion]]}
        user = self.arena.accounts.machine
        guid = self.arena.submit_run(user, names.DEFAULT_EXPORT_GUID, body)["guid"]
        self.clock.move(60)
        run = self.arena.exports.any_run(str(guid))
        assert run is not None
        return f"{RUNS}/{guid}/files/{run.file_guids[0]}/content"

    def get(self, path: str = "", **headers: str) -> Answer:
        """Send a GET, by default of the file's content."""
        usual = {"content-type": "application/json", "arena_session_id": self.session_id}
        asked = {name.replace("_", "-"): text for name, text in headers.items()}
        request = Request("GET", path or self.content, usual | asked, {})
        return self.gateway.answer(request, self.gateway.take_fault(request))

    def open(self, **headers: str) -> Reader:
        """Begin to read the content."""
        return self.get(**headers).open(self.clock.move, TIMEOUT_SECONDS)

    def fault(self, **download: object) -> None:
        """Queue a fault of the next download."""
        control.add_faults(self.arena, {"download": download})

    def settings(self, **settings: object) -> None:
        """Change settings."""
        control.set_settings(self.arena, settings)

    def run_status(self) -> str:
        """Return the status of the run."""
        return str(json.loads(self.get(self.content.partition("/files/")[0]).body())["status"])

    @property
    def downloading(self) -> int:
        """The number of downloads that have not ended."""
        return int(state_view(self.arena)["downloading"])


@pytest.fixture
def desk() -> Desk:
    """Return a fresh client."""
    return Desk()


def read(reader: Reader, max_bytes: int = 10_000) -> bytes:
    """Read a body to its proper end."""
    with reader:
        return b"".join(iter(lambda: reader.read(max_bytes), b""))


def broken(reader: Reader) -> bytes:
    """Read a body that breaks off, and return what arrived before."""
    arrived = []
    with reader, suppress(BrokenOffError):
        while data := reader.read(1000):
            arrived.append(data)
        pytest.fail("the body has ended properly")
    return b"".join(arrived)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_download__is_read_in_pieces(desk: Desk, framing: str) -> None:
    """Each framing carries the same bytes; only one tells their number."""
    whole = read(desk.open())
    desk.settings(fileFraming=framing)
    answer = desk.get()
    assert answer.all_headers.get("content-length") == ("100000" if framing == "length" else None)
    assert answer.all_headers["content-type"] == "application/zip"
    assert read(answer.open(desk.clock.move, TIMEOUT_SECONDS), 7) == whole
    assert len(whole) == SIZE
    assert desk.run_status() == "DOWNLOADED"


def test_download__of_an_error_is_read_the_same_way(desk: Desk) -> None:
    """An error can be read like a file."""
    control.add_faults(desk.arena, {"code": 3017, "times": 2})
    assert json.loads(read(desk.open()))["errors"][0]["code"] == 3017
    assert desk.get().status == 400


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ({"status": 200, "body": "<html>"}, 200, b"<html>"),
        ({"status": 503, "body": "<html>"}, 503, b"<html>"),
        ({"code": 3017, "status": 200}, 200, b'{"status": 200, "errors"'),
        ({"code": 4084}, 429, b'{"status": 429, "errors"'),
        ({"status": 400, "body": ""}, 400, b""),
        ({"status": 404, "body": "<h1>Not found</h1>"}, 404, b"<h1>"),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example.com"}}, 302, b""),
    ],
    ids=["page", "unavailable", "error in 200", "budget", "empty", "gateway's 404", "redirect"],
)
def test_download__answered_by_a_fault(
    desk: Desk, fault: Mapping[str, Any], status: int, start: bytes
) -> None:
    """Each answer of a fault takes the place of the content; the run stays COMPLETE."""
    control.add_faults(desk.arena, {"path": "*/content", **fault})
    answer = desk.get()
    assert answer.status == status
    assert answer.body().startswith(start)
    assert desk.run_status() == "COMPLETE"
    assert len(read(desk.open())) == SIZE


def test_download__dropped(desk: Desk) -> None:
    """A dropped answer cannot be opened, and no download is left open."""
    control.add_faults(desk.arena, {"path": "*/content", "drop": True, "work": True})
    with pytest.raises(BrokenOffError):
        desk.open()
    assert desk.run_status() == "DOWNLOADED"
    assert desk.downloading == 0


def test_download__faults_of_one_file(desk: Desk) -> None:
    """A path limits a fault to one file, and a number to the next downloads."""
    other = desk.start({"size": 500})
    fault = {"path": desk.content, "times": 2, "download": {"cutAfterBytes": 10}}
    control.add_faults(desk.arena, fault)
    assert len(read(desk.get(other).open(desk.clock.move, TIMEOUT_SECONDS))) == 500
    assert [len(broken(desk.open())) for _ in range(2)] == [10, 10]
    assert len(read(desk.open())) == SIZE


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("cut", "arrived"), [(0, 0), (70_001, 70_001), (-1, SIZE - 1)])
def test_download__cut_off(desk: Desk, framing: str, cut: int, arrived: int) -> None:
    """A body is cut off after a number of bytes, or that many before its end."""
    whole = read(desk.open())
    desk.fault(framing=framing, cutAfterBytes=cut)
    assert broken(desk.open()) == whole[:arrived]


def test_download__cut_off_without_a_length_looks_whole(desk: Desk) -> None:
    """If only the connection's end says where a body ends, nobody sees that it was cut off."""
    desk.fault(framing="close", cutAfterBytes=1000)
    assert len(read(desk.open())) == 1000


def test_download__stalls(desk: Desk) -> None:
    """Nothing arrives after some bytes, until the reader gives up or the body goes on."""
    started_at = desk.clock.at
    desk.fault(stallAfterBytes=5000)
    assert len(broken(desk.open())) == 5000
    assert desk.clock.at == started_at + TIMEOUT_SECONDS
    desk.fault(stallAfterBytes=5000, stallSeconds=20)
    assert len(read(desk.open())) == SIZE
    assert desk.clock.at == started_at + TIMEOUT_SECONDS + 20


@pytest.mark.parametrize("after", [0, SIZE])
def test_download__stalls_at_the_border(desk: Desk, after: int) -> None:
    """A body can stall before its first byte, or after its last one where no length is known."""
    desk.fault(stallAfterBytes=after, framing="chunked")
    assert len(broken(desk.open())) == after


def test_download__slow(desk: Desk) -> None:
    """A slow body takes its time, in steps that are shorter than a second."""
    started_at = desk.clock.at
    desk.fault(bytesPerSecond=10_000)
    with desk.open() as reader:
        assert len(reader.read(SIZE)) == 2500
        assert desk.clock.at == started_at + 0.25
        read(reader)
    assert desk.clock.at == pytest.approx(started_at + 10)


def test_download__without_its_end(desk: Desk) -> None:
    """A zip lacks its end record, or JSON its bracket, though the headers agree with the body."""
    desk.fault(withoutEnd=True)
    zipped = desk.get()
    assert zipped.all_headers["content-length"] == str(SIZE - 22)
    assert b"PK\x05\x06" not in zipped.body()
    desk.content = desk.start({"kind": "json"})
    desk.fault(withoutEnd=True)
    body = read(desk.open())
    assert json.loads(body + b"]")[0]["guid"] == ITEM


def test_download__half(desk: Desk) -> None:
    """A truncated file is a proper answer with the first half."""
    control.add_faults(desk.arena, {"path": "*/content", "truncate": True})
    assert len(read(desk.open())) == SIZE // 2


@pytest.mark.parametrize(
    ("framing", "arrives", "read_bytes"),
    [("length", broken, SIZE), ("chunked", read, SIZE + 5)],
)
def test_download__over_long(
    desk: Desk, framing: str, arrives: Callable[[Reader], bytes], read_bytes: int
) -> None:
    """Extra bytes follow; where the headers told the end, the reader notices them."""
    whole = read(desk.open())
    desk.fault(framing=framing, extraBytes=5)
    body = arrives(desk.open())
    assert len(body) == read_bytes
    assert body[:SIZE] == whole
    desk.fault(framing=framing, extraBytes=5)
    assert len(desk.get().body()) == SIZE + 5


def test_download__headers_that_are_wrong(desk: Desk) -> None:
    """Headers of a fault replace those of a download; a length that is no number is ignored."""
    for text, arrives, length in (("500", broken, 500), ("1, 2", read, SIZE)):
        fault = {"path": "*/content", "headers": {"Content-Length": text}}
        control.add_faults(desk.arena, fault)
        assert len(arrives(desk.open())) == length
    control.add_faults(desk.arena, {"path": "*/content", "headers": {"Content-Length": "100001"}})
    assert len(broken(desk.open())) == SIZE


def test_download__compressed_without_being_asked(desk: Desk) -> None:
    """A compressed body says so, and its length is not known."""
    whole = read(desk.open())
    desk.fault(compressed=True)
    answer = desk.get(accept_encoding="identity")
    assert answer.all_headers["content-encoding"] == "gzip"
    assert "content-length" not in answer.all_headers
    assert gzip.decompress(answer.body()) == whole


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, SIZE),
        ("bytes=70000-", 70_000, SIZE),
        ("bytes=5-999999", 5, SIZE),
        ("bytes=70000-70001", 70_000, 70_002),
    ],
)
def test_range__is_a_part(desk: Desk, asked: str, first: int, last: int) -> None:
    """A range is answered with 206 and its bytes."""
    whole = read(desk.open())
    etag = desk.get().all_headers["etag"]
    answer = desk.get(range=asked, if_range=etag)
    assert answer.status == 206
    assert answer.all_headers["content-range"] == f"bytes {first}-{last - 1}/{SIZE}"
    assert answer.all_headers["content-length"] == str(last - first)
    assert answer.body() == whole[first:last]


def test_range__beyond_the_end(desk: Desk) -> None:
    """A range behind the last byte is 416."""
    answer = desk.get(range=f"bytes={SIZE}-")
    assert (answer.status, answer.body()) == (416, b"")
    assert answer.all_headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(("form", "starts"), [("weak", 'W/"'), ("none", ""), ("changed", '"')])
@pytest.mark.parametrize(("ranges", "status"), [("checked", 200), ("unchecked", 206)])
def test_range__of_a_file_that_may_have_changed(
    desk: Desk, form: str, starts: str, ranges: str, status: int
) -> None:
    """Without the same strong ETag, the whole file comes, or a part of it all the same."""
    etag = desk.get().all_headers["etag"]
    desk.settings(fileEtag=form, fileRanges=ranges)
    again = desk.get(range="bytes=5-", if_range=etag)
    assert again.status == status
    assert again.all_headers.get("etag", "").startswith(starts)
    assert again.all_headers.get("etag") != etag
    shown = again.all_headers.get("etag", etag)
    assert desk.get(range="bytes=5-", if_range=shown).status == (
        206 if form == "changed" else status
    )


def test_range__not_supported(desk: Desk) -> None:
    """Where ranges are off, the whole file comes."""
    desk.settings(fileRanges="none")
    answer = desk.get(range="bytes=5-")
    assert answer.status == 200
    assert "accept-ranges" not in answer.all_headers
    assert len(answer.body()) == SIZE


def test_range__of_another_generation(desk: Desk) -> None:
    """The bytes of the file change between two requests; a careless server sends a part of them."""
    old = read(desk.open())
    etag = desk.get().all_headers["etag"]
    desk.fault(regenerate=True, ranges="unchecked")
    part = desk.get(range="bytes=500-", if_range=etag)
    assert part.status == 206
    assert part.body() != old[500:]
    new = read(desk.open())
    assert new != old
    assert desk.get().all_headers["etag"] == part.all_headers["etag"] != etag


def test_download__locks_the_session(desk: Desk) -> None:
    """While a session downloads, its other requests get no answer, if Arena is set so."""
    desk.settings(downloadsLockSession=True)
    run = desk.content.partition("/files/")[0]
    with desk.open() as reader:
        reader.read(10)
        used = desk.arena.budget.used
        assert desk.get(run).dropped
        assert desk.arena.budget.used == used + 1
        assert desk.downloading == 1
    assert desk.get(run).status == 200
    assert desk.downloading == 0
    assert desk.arena.request_log.records[-2].dropped


def test_download__locks_only_its_own_session(desk: Desk) -> None:
    """Another session's requests are answered, and by default the same session's too."""
    with desk.open():
        assert desk.run_status() == "DOWNLOADED"
        desk.settings(downloadsLockSession=True)
        desk.session_id = desk.log_in()
        assert desk.run_status() == "DOWNLOADED"


@pytest.mark.parametrize(
    ("download", "field"),
    [
        ({"framing": "odd"}, "download.framing"),
        ({"cutAfter": 1}, "download.cutAfter"),
        ({"bytesPerSecond": 0}, "download.bytesPerSecond"),
    ],
)
def test_fault__of_a_download_that_cannot_be_followed(
    desk: Desk, download: Mapping[str, object], field: str
) -> None:
    """Each field is checked, and nothing is queued."""
    with pytest.raises(control.ControlError) as refused:
        desk.fault(**download)
    assert refused.value.field == field
    assert desk.arena.faults.queued == []


def test_fault__of_a_download_is_shown(desk: Desk) -> None:
    """The state shows a queued fault with the fields of its command."""
    desk.fault(cutAfterBytes=10)
    [fault] = state_view(desk.arena)["faults"]
    assert (fault["path"], fault["download"]["cutAfterBytes"]) == ("*/content", 10)
