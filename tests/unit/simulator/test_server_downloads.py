"""Downloads over HTTP, from the simulator as a separate process."""

import gzip
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, RUNS

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
SIZE = 1_000_000
pytestmark = pytest.mark.enable_socket


@dataclass
class Server:
    """A simulator in a process of its own, as it is at its start, and a session."""

    address: str
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.control("POST", "reset", {})
        self.headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        login = {"email": names.MACHINE_EMAIL, "password": names.PASSWORD}
        answer = requests.post(f"{self.address}/v1/login", json=login, timeout=10)
        self.headers["arena_session_id"] = answer.json()["arenaSessionId"]

    def control(self, method: str, command: str, body: object) -> None:
        """Give a command."""
        address = f"{self.address}/_simulator/{command}"
        requests.request(method, address, json=body, timeout=10).raise_for_status()

    def fault(self, **download: object) -> None:
        """Queue a fault of the next download."""
        self.control("POST", "faults", {"download": download})

    def get(self, path: str, **headers: str) -> requests.Response:
        """Send a GET; the body is read later."""
        asked = self.headers | headers
        return requests.get(
            f"{self.address}{path}", headers=asked, stream=True, allow_redirects=False, timeout=20
        )

    def start(self, **file: object) -> str:
        """Start a run with one file, and return the address of its content."""
        self.control("POST", "next-runs", {"contents": [file]})
        body = {"criteria": [[{"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}]]}
        address = f"{self.address}{RUNS}"
        guid = requests.post(address, json=body, headers=self.headers, timeout=10).json()["guid"]
        [entry] = self.get(f"{RUNS}/{guid}").json()["files"]
        return f"{RUNS}/{guid}/files/{entry['guid']}/content"

    def memory(self) -> int:
        """Return the memory of the process, in bytes."""
        command = ["ps", "-o", "rss=", "-p", str(self.pid)]
        return 1024 * int(subprocess.check_output(command, text=True))


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[str, int]]:
    """Start a simulator on a free port, and stop it after the tests; it logs nothing."""
    command = [sys.executable, "-W", "error", "-m", "infra.simulator", "--port", "0"]
    with subprocess.Popen(
        [*command, "--created-seconds", "0", "--run-seconds", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline().strip(), process.pid
        process.terminate()
        assert process.stderr.read() == ""


@pytest.fixture
def server(process: tuple[str, int]) -> Server:
    """Return the simulator at its start."""
    return Server(*process)


def receive(answer: requests.Response, received: bytearray) -> None:
    """Add to `received` what arrives of a body."""
    for chunk in answer.iter_content(1000):
        received += chunk


def test_server__streams_300_mb_in_constant_memory(server: Server) -> None:
    """A large file is neither held by the server nor compressed, and arrives whole."""
    content = server.start(kind="zip", size=300 * MIB)
    before, peak, length = server.memory(), 0, 0
    with server.get(content) as answer:
        for number, chunk in enumerate(answer.iter_content(4 * MIB)):
            length += len(chunk)
            if number % 8 == 0:
                peak = max(peak, server.memory())
    assert answer.headers["Content-Length"] == str(300 * MIB)
    assert length == 300 * MIB
    assert peak - before < 40 * MIB


@pytest.mark.parametrize(
    ("framing", "version", "encoding"),
    [("length", 11, None), ("chunked", 11, "chunked"), ("close", 10, None)],
)
def test_server__framings(server: Server, framing: str, version: int, encoding: str | None) -> None:
    """A download has a length, is chunked, or ends with the connection; its bytes are the same."""
    content = server.start(kind="zip", size=SIZE)
    whole = server.get(content).content
    server.control("PATCH", "settings", {"fileFraming": framing})
    answer = server.get(content)
    assert (answer.raw.version, answer.headers.get("Transfer-Encoding")) == (version, encoding)
    assert ("Content-Length" in answer.headers) == (framing == "length")
    assert answer.content == whole
    assert len(whole) == SIZE


def test_server__sends_a_range(server: Server) -> None:
    """A part of a file is sent with 206; nothing of the bytes before it."""
    content = server.start(kind="json", size=SIZE)
    whole = server.get(content)
    part = server.get(content, Range="bytes=900000-", **{"If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, whole.content[900_000:])
    assert part.headers["Content-Range"] == "bytes 900000-999999/1000000"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_server__cuts_a_body_off(server: Server, framing: str) -> None:
    """The connection closes in the middle; the server goes on."""
    content = server.start(size=SIZE)
    server.fault(framing=framing, cutAfterBytes=700_000)
    answer, received = server.get(content), bytearray()
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        receive(answer, received)
    assert 690_000 < len(received) <= 700_000
    assert len(server.get(content).content) == SIZE


def test_server__sends_too_much_in_chunks(server: Server) -> None:
    """Extra bytes are part of a chunked body."""
    content = server.start(size=SIZE)
    server.fault(framing="chunked", extraBytes=5)
    assert len(server.get(content).content) == SIZE + 5


def test_server__sends_more_than_it_announces(server: Server) -> None:
    """Extra bytes follow the announced ones on the connection, which then closes."""
    content = server.start(size=SIZE)
    server.fault(extraBytes=5)
    host, port = server.address.removeprefix("http://").split(":")
    lines = [f"GET {content} HTTP/1.1", "Host: arena"]
    lines += [f"{name}: {text}" for name, text in server.headers.items()]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b"".join(iter(lambda: connection.recv(MIB), b""))
    headers, _, body = received.partition(b"\r\n\r\n")
    assert f"Content-Length: {SIZE}".encode() in headers
    assert len(body) == SIZE + 5


def test_server__announces_too_much(server: Server) -> None:
    """With fewer bytes than its header says, a body ends with the connection."""
    content = server.start(size=SIZE)
    fault = {"path": "*/content", "headers": {"Content-Length": str(SIZE + 1)}}
    server.control("POST", "faults", fault)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        assert server.get(content).content


def test_server__compresses_unasked(server: Server) -> None:
    """A compressed body is chunked, and says that it is compressed."""
    content = server.start(kind="csv", size=SIZE)
    whole = server.get(content).content
    server.fault(compressed=True)
    answer = server.get(content)
    assert (answer.headers["Content-Encoding"], answer.headers["Transfer-Encoding"]) == (
        "gzip",
        "chunked",
    )
    assert gzip.decompress(answer.raw.read(decode_content=False)) == whole


def test_server__redirects_a_download(server: Server) -> None:
    """A download can be answered with a redirect."""
    content = server.start()
    location = "https://elsewhere.example.com/file"
    fault = {"path": "*/content", "status": 302, "headers": {"Location": location}}
    server.control("POST", "faults", fault)
    answer = server.get(content)
    assert (answer.status_code, answer.headers["Location"]) == (302, location)
    assert server.get(content).status_code == 200


def test_server__stalls_until_the_reader_leaves(server: Server) -> None:
    """A stalled download locks its session; when its reader leaves, a waiting poll is answered."""
    content = server.start(size=SIZE)
    run = content.partition("/files/")[0]
    server.control("PATCH", "settings", {"downloadsLockSession": True})
    server.fault(stallAfterBytes=500_000)
    answer = server.get(content)
    assert len(answer.raw.read(500_000)) == 500_000
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(server.get, run)
        with pytest.raises(TimeoutError):
            poll.result(1)
        answer.close()
        assert poll.result(10).json()["status"] == "DOWNLOADED"
