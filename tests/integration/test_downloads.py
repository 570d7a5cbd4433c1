"""Downloads of files, against a server that sends exactly the bytes that a test gives it."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from arena_exports.adapters import http
from arena_exports.adapters.downloads import HttpDownloads
from arena_exports.domain.errors import RequestNotCompletedError
from arena_exports.ports import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports.ports import Download

pytestmark = pytest.mark.integration

REQUEST = HttpRequest("download a file", "GET", "/exports/E/content", session_id="secret|id")


class Server:
    """Sends some bytes to the first caller; keeps what it was asked."""

    def __init__(self, answer: bytes, *, stays_open: bool = False) -> None:
        self.asked = b""
        self._answer = answer
        self._stays_open = stays_open
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            while b"\r\n\r\n" not in self.asked:
                self.asked += connection.recv(65_536)
            connection.sendall(self._answer)
            if self._stays_open:
                connection.recv(1)  # until the caller has gone

    def close(self) -> None:
        self._thread.join()
        self._socket.close()


@contextmanager
def download(answer: bytes, *, stays_open: bool = False) -> Iterator[tuple[Download, Server]]:
    """Open a download that is answered by these bytes."""
    server = Server(answer, stays_open=stays_open)
    downloads = HttpDownloads(f"http://127.0.0.1:{server.port}/v1")
    try:
        with downloads.open(REQUEST, {"Accept-Encoding": "identity"}) as opened:
            yield opened, server
    finally:
        server.close()


def read_all(opened: Download, size: int = 65_536) -> bytes:
    """Read a body to its end."""
    return b"".join(iter(lambda: opened.read(size), b""))


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer as it is on the wire."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Length: 5"], b"whole"),
        (["Transfer-Encoding: chunked"], b"2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"),
        (["Connection: close"], b"whole"),
    ],
)
def test_download__ends_as_http_says(headers: list[str], body: bytes) -> None:
    """The three ways to end a body are read alike, and the request asks for no compression."""
    with download(answer(body, *headers)) as (opened, server):
        assert (opened.status, read_all(opened)) == (200, b"whole")
        assert b"accept-encoding: identity" in server.asked.lower()
        assert b"connection: close" in server.asked.lower()
        assert b"arena_session_id: secret|id" in server.asked


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Length: 9"], b"part"),
        (["Transfer-Encoding: chunked"], b"4\r\npart\r\n"),
        (["Transfer-Encoding: chunked"], b"9\r\npart"),
        (["Content-Length: 4"], b"part and more"),
    ],
)
def test_download__body_that_is_cut_off_or_too_long_is_not_completed(
    headers: list[str], body: bytes
) -> None:
    """The error says so at the end of what came, with the status, and holds no secret."""
    with download(answer(body, *headers)) as (opened, _server):
        with pytest.raises(RequestNotCompletedError) as caught:
            read_all(opened)
        assert caught.value.status == 200
        assert "secret" not in repr(caught.value.__cause__) + str(caught.value)


def test_download__of_a_server_that_keeps_the_connection_open_ends() -> None:
    """A server that ignores `Connection: close` costs half a second, and the body is whole."""
    began = time.monotonic()
    with download(answer(b"whole", "Content-Length: 5"), stays_open=True) as (opened, _server):
        assert read_all(opened) == b"whole"
    assert time.monotonic() - began < http.READ_TIMEOUT_SECONDS / 2


def test_download__of_a_body_that_stalls_is_not_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes for as long as one read may take."""
    monkeypatch.setattr("arena_exports.adapters.downloads.READ_TIMEOUT_SECONDS", 0.1)
    stalled = answer(b"part", "Content-Length: 9")
    with (
        download(stalled, stays_open=True) as (opened, _server),
        pytest.raises(RequestNotCompletedError),
    ):
        read_all(opened)


def test_download__follows_no_redirect() -> None:
    """The redirect is the answer; its target is never asked, and so never gets the session id."""
    target = Server(b"")
    location = f"Location: http://127.0.0.1:{target.port}/"
    moved = answer(b"", location, "Content-Length: 0", status="302 Found")
    with download(moved) as (opened, _server):
        assert (opened.status, opened.headers["location"][:4]) == (302, "http")
    assert target.asked == b""
    with socket.create_connection(("127.0.0.1", target.port)) as connection:
        connection.sendall(b"\r\n\r\n")
    target.close()


def test_download__without_an_answer_is_not_completed() -> None:
    """A server that is not there, or hangs up, is no answer."""
    with pytest.raises(RequestNotCompletedError) as caught, download(b""):
        pass
    assert caught.value.status == 0
    assert caught.value.__cause__ is None
