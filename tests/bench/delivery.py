"""What a delivery costs: throughput beside a bare loop, memory, Arena requests, cents.

The transfer is measured in fresh processes, with the real adapters: Arena is a socket that sends
what it has, S3 a client that accepts everything. Both sides of a ratio read the same socket.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from arena_exports.adapters.background import in_background
from arena_exports.adapters.bucket import S3Bucket
from arena_exports.adapters.downloads import HttpDownloads
from arena_exports.arena.content import Content
from arena_exports.domain.deliveries import FileRecord
from arena_exports.ports import HttpRequest
from arena_exports.services.transfer import PART_BYTES, Transfer
from tests.bench import prices
from tests.support.world import World, items

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BLOCK = 1024 * 1024
SMALL, LARGE = 16_000_000, 2_000_000_000
THROUGHPUT_BYTES = 2_000_000_000
BUCKET_CALLS = ("keys", "put", "begin", "put_part", "complete", "abort_all", "read")


def throughput_ratio(rounds: int, size: int = THROUGHPUT_BYTES) -> float:
    """Return how fast a transfer is beside the bare loop: the best of interleaved rounds each."""
    seconds: dict[str, list[float]] = {"bare": [], "transfer": []}
    for _ in range(rounds):
        for what, taken in seconds.items():
            taken.append(_measured(what, size)["seconds"])
    return min(seconds["bare"]) / min(seconds["transfer"])


def peak_megabytes(size: int) -> float:
    """Return the peak memory of a process that transfers one file of so many bytes."""
    return _measured("transfer", size)["megabytes"]


def requests_per_file(runs: int) -> float:
    """Return how many Arena requests each delivered file costs where nothing fails."""
    world = _delivered(runs)
    purposes = Counter(record.purpose for record in world.arena.request_log.records)
    return (purposes["download"] + purposes["file"]) / len(world.events("run.delivered"))


def cents_per_gigabyte() -> float:
    """Return the price of one large file's bytes: the function's time, and S3's requests."""
    parts = -(-1_000_000_000 // PART_BYTES)
    seconds = 1_000_000_000 / prices.ASSUMED_DOWNLOAD_BYTES_PER_SECOND
    compute = prices.PRICES["Lambda GB-seconds"] * seconds * prices.DELIVER_MEMORY_GB
    return 100 * (compute + prices.S3_WRITE * (parts + 2))


def cents_per_thousand_files(runs: int = 100) -> float:
    """Return the price of small files, each of a run of its own, with its manifest and event."""
    world = _delivered(runs)
    files = len(world.events("run.delivered"))
    calls = world.bucket_calls
    reads = calls.pop("read")
    s3 = prices.S3_READ * reads + prices.S3_WRITE * calls.total()
    waits = prices.ASSUMED_SECONDS["arena"] + 6 * prices.ASSUMED_S3_SECONDS
    waits += 10 * prices.ASSUMED_SECONDS["ledger"] + prices.ASSUMED_SECONDS["topic"]
    counts = {
        "Lambda requests": files,
        "Lambda GB-seconds": files * waits * prices.DELIVER_MEMORY_GB,
        "SNS requests": files,
        "DynamoDB write units": world.units,
    }
    return 100 * (s3 + sum(prices.bill(counts).values())) * 1000 / files


class _Counting(World):
    """A world that counts the calls of the bucket, and the write units that deliver takes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bucket_calls: Counter[str] = Counter()
        self.units = 0
        for name in BUCKET_CALLS:
            self.bucket.intercept(name, self._count(name))

    def _count(self, name: str) -> Any:
        def call(real: Any, *arguments: Any) -> Any:
            self.bucket_calls[name] += 1
            return real(*arguments)

        return call

    def call(self, function: str, payload: Any) -> Any:
        before = self.table.write_units
        try:
            return super().call(function, payload)
        finally:
            self.units += self.table.write_units - before if function == "deliver" else 0


def _delivered(runs: int) -> _Counting:
    """Return a world in which so many runs were delivered, one file each."""
    world = _Counting(settings={"delivers_files": True})
    world.prove()
    for number in range(runs):
        world.send({"itemGuids": items(3, start=3 * number)})
        world.settle()
    assert len(world.events("run.delivered")) == runs
    return world


# ---- in fresh processes ----------------------------------------------------------------------


def _measured(what: str, size: int) -> dict[str, float]:
    """Run one side against a socket that sends so many bytes."""
    with _arena(size) as port:
        done = subprocess.run(
            [sys.executable, "-m", __name__, what, str(port)],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
            check=True,
            capture_output=True,
        )
    return cast("dict[str, float]", json.loads(done.stdout))


@contextmanager
def _arena(size: int) -> Iterator[int]:
    """Serve a body of so many bytes to one caller; yield the port."""
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, "serve", str(size)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _serve(size: int) -> None:
    block = bytes(range(256)) * (BLOCK // 256)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            for start in range(0, size, BLOCK):
                connection.sendall(block[: size - start])


def _bare(port: int) -> int:
    """Read everything from the socket into one buffer, and hash it."""
    digest, buffer, size = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while read := connection.recv_into(buffer):
            digest.update(buffer[:read])
            size += read
    return size


def _transfer(port: int) -> int:
    """Transfer one file, as deliver does."""
    downloads = HttpDownloads(f"http://127.0.0.1:{port}")

    class Files:
        @contextmanager
        def open(self, *_: object) -> Iterator[Content]:
            with downloads.open(HttpRequest("download a file", "GET", "/"), {}) as download:
                yield Content(download, lambda: None)

    class Client:
        def __getattr__(self, _operation: str) -> Any:
            return lambda **_: {"UploadId": "upload", "ETag": "etag"}

    transfer = Transfer(
        files=cast("Any", Files()),
        formats=cast("Any", None),  # the bytes decide
        bucket=S3Bucket(Client(), "bucket", "arena", "000000000000", ""),
        in_background=in_background,
        telemetry=cast("Any", None),
    )
    delivery = cast("Any", SimpleNamespace(folder="v1/"))
    return transfer.fetch(delivery, FileRecord("FILE", None), lambda: None).size


def _main(what: str, argument: int) -> None:
    if what == "serve":
        _serve(argument)
        return
    began = time.perf_counter()
    {"bare": _bare, "transfer": _transfer}[what](argument)
    seconds = time.perf_counter() - began
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    sys.stdout.write(json.dumps({"seconds": seconds, "megabytes": int(peak) / 1024}))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
