"""The HTTP transport to Arena, against a server with canned answers."""

from __future__ import annotations

import gzip
import random
import socket
import ssl
import tracemalloc
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain, count, repeat
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from arena_exports.adapters.http import WHOLE_TIMEOUT_SECONDS, HttpTransport
from arena_exports.arena import protocol
from arena_exports.domain.errors import RequestNotCompletedError
from arena_exports.domain.model import ExportGuid, RunGuid
from arena_exports.ports import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from arena_exports.ports import HttpAnswer

pytestmark = pytest.mark.integration


class Stand(BaseHTTPRequestHandler):
    """A server with canned answers that keeps the requests."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, dict[str, str], bytes]]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, dict(self.headers), body))
        status, headers, content = self.answers.pop(0)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        if len(content) < int(headers.get("Content-Length", 0)):
            self.rfile.read(1)  # the rest does not come, until the client has gone

    do_GET = do_POST = _serve  # noqa: N815 - the base class looks for these names

    def log_message(self, *_args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def stand() -> Iterator[tuple[type[Stand], HttpTransport]]:
    """Return a server that answers as it is told."""
    kept = type("Kept", (Stand,), {"answers": [], "asked": []})
    server = HTTPServer(("127.0.0.1", 0), kept)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield kept, HttpTransport(f"http://127.0.0.1:{server.server_port}/v1")
    server.shutdown()
    server.server_close()
    thread.join()


def test_http__sends_the_headers_that_arena_requires(
    stand: tuple[type[Stand], HttpTransport],
) -> None:
    """Session and content type are sent, even with a GET; answers' header names are lower case."""
    kept, transport = stand
    kept.answers.append((200, {"X-Arena-Requests-Remaining": "7", "Content-Length": "2"}, b"{}"))
    request = protocol.read_run(ExportGuid("E" * 20), RunGuid("R" * 20))
    answer = transport.send(
        HttpRequest(request.call, request.method, request.path, session_id="a|b")
    )
    assert (answer.status, answer.headers["x-arena-requests-remaining"], answer.body) == (
        200,
        "7",
        b"{}",
    )
    method, path, headers, _ = kept.asked[0]
    assert (method, path) == ("GET", f"/v1/exports/{'E' * 20}/runs/{'R' * 20}")
    assert headers["arena_session_id"] == "a|b"
    assert headers["Content-Type"] == "application/json"
    assert headers["Arena-Usage-Reason"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_http__follows_no_redirect(
    stand: tuple[type[Stand], HttpTransport], method: str, status: int
) -> None:
    """FAULT 43: a redirect is returned, and no other host sees the session id."""
    kept, transport = stand
    elsewhere = transport._base_url.replace("127.0.0.1", "localhost") + "/elsewhere"
    kept.answers.append((status, {"Location": elsewhere, "Content-Length": "0"}, b""))
    answer = transport.send(HttpRequest("poll", method, "/x", session_id="secret"))
    assert answer.status == status
    assert len(kept.asked) == 1


def test_http__ignores_proxies_and_netrc(
    stand: tuple[type[Stand], HttpTransport], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The environment's proxies and passwords are ignored."""
    kept, transport = stand
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password y")
    monkeypatch.setenv("NETRC", str(netrc))
    kept.answers.append((200, {"Content-Length": "2"}, b"{}"))
    transport.send(HttpRequest("poll", "GET", "/x"))
    assert "Authorization" not in kept.asked[0][2]


def test_http__error_of_a_dropped_connection_shows_no_secret(
    stand: tuple[type[Stand], HttpTransport],
) -> None:
    """R9: the error names the call and the kind of error, never a header or a body."""
    kept, transport = stand
    kept.answers.append((0, {}, b""))
    with pytest.raises(RequestNotCompletedError) as caught:
        transport.send(
            HttpRequest("start", "POST", "/x", b'{"password":"hunter2"}', "session-canary")
        )
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert "start" in str(caught.value)
    assert "hunter2" not in shown
    assert "session-canary" not in str(caught.value)


def test_http__bad_session_id_is_not_sent_nor_shown(
    stand: tuple[type[Stand], HttpTransport],
) -> None:
    """A session id that is no valid header is refused without being quoted."""
    kept, transport = stand
    with pytest.raises(RequestNotCompletedError) as caught:
        transport.send(HttpRequest("poll", "GET", "/x", session_id="a\r\nb: canary"))
    assert "canary" not in str(caught.value)
    assert kept.asked == []


def test_http__reads_a_bounded_answer(
    stand: tuple[type[Stand], HttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer above the limit is not read to its end."""
    kept, transport = stand
    monkeypatch.setattr("arena_exports.adapters.http.MAX_ANSWER_BYTES", 1000)
    kept.answers.append((200, {"Content-Length": "5000"}, b"x" * 5000))
    with pytest.raises(RequestNotCompletedError, match="too large"):
        transport.send(HttpRequest("poll", "GET", "/x"))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
def test_http__unpacks_a_bounded_answer(
    stand: tuple[type[Stand], HttpTransport], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A small answer that unpacks to 64 MiB takes little more memory than the limit."""
    kept, transport = stand
    monkeypatch.setattr("arena_exports.adapters.http.MAX_ANSWER_BYTES", 1_000_000)
    bomb = packed(bytes(64 * 1024 * 1024), encoding)
    headers = {"Content-Length": str(len(bomb)), "Content-Encoding": encoding}
    kept.answers.append((200, headers, bomb))
    tracemalloc.start()
    try:
        with pytest.raises(RequestNotCompletedError, match="too large"):
            transport.send(HttpRequest("poll", "GET", "/x"))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_http__unpacks_an_answer(stand: tuple[type[Stand], HttpTransport], encoding: str) -> None:
    """A compressed answer is unpacked completely, although it arrives in many chunks."""
    kept, transport = stand
    text = random.Random(7).randbytes(300_000).hex().encode()
    body = packed(text, encoding)
    headers = {"Content-Length": str(len(body)), "Content-Encoding": encoding}
    kept.answers.append((200, headers, body))
    assert transport.send(HttpRequest("poll", "GET", "/x")).body == text


def test_http__puts_chunks_together(stand: tuple[type[Stand], HttpTransport]) -> None:
    """An answer without a length arrives in chunks of any size."""
    kept, transport = stand
    pieces = [b"[", b"1," * 50_000, b"2]"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    kept.answers.append((200, {"Transfer-Encoding": "chunked"}, chunks))
    assert transport.send(HttpRequest("poll", "GET", "/x")).body == b"".join(pieces)


def packed(content: bytes, encoding: str) -> bytes:
    """Return content as a Content-Encoding says."""
    for each in encoding.split(", "):
        content = gzip.compress(content) if each == "gzip" else zlib.compress(content)
    return content


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Length": "2", "Content-Encoding": "gzip"}, b"{}"),
        ({"Transfer-Encoding": "chunked"}, b"zz\r\n{}\r\n"),
    ],
)
def test_http__garbled_answer_is_no_answer(
    stand: tuple[type[Stand], HttpTransport], headers: dict[str, str], content: bytes
) -> None:
    """An answer that cannot be unpacked or joined leaves the outcome unknown."""
    kept, transport = stand
    kept.answers.append((200, headers, content))
    with pytest.raises(RequestNotCompletedError, match="start"):
        transport.send(HttpRequest("start", "POST", "/x", b"{}"))


class Proxy:
    """Answers one request with raw bytes, and hangs up; over TLS where it has a certificate."""

    tls: ssl.SSLContext | None = None

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def answers(self, *pieces: bytes, ends: bool = True) -> None:
        """Answer the next request with the pieces; without an end, with the last one for ever."""
        Thread(target=self._serve, args=(pieces, ends), daemon=True).start()

    def _serve(self, pieces: tuple[bytes, ...], ends: bool) -> None:  # noqa: FBT001 - of a thread
        peer, _ = self._listener.accept()
        if self.tls:
            peer = self.tls.wrap_socket(peer, server_side=True)
        with peer, suppress(OSError):
            asked = b""
            while not asked.endswith(b"{}" if asked.startswith(b"POST") else b"\r\n\r\n"):
                asked += peer.recv(65536)  # unread bytes would turn the end into a reset
            for piece in pieces:
                peer.sendall(piece)
            while not ends:
                peer.sendall(pieces[-1])
            peer.shutdown(socket.SHUT_WR)
            peer.recv(1)

    def close(self) -> None:
        """Stop the server."""
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy between us and Arena that sends arbitrary answers."""
    proxy = Proxy()
    yield proxy
    proxy.close()


def ask(proxy: Proxy) -> HttpAnswer:
    """Send a POST through the proxy."""
    return HttpTransport(proxy.url).send(HttpRequest("start", "POST", "/x", b"{}"))


REAL = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "interim",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [b"HTTP/1.1 102 Processing\r\n\r\n"],
        [HINTS],
        [b"HTTP/1.1 199 \r\nContent-Length: 7\r\n\r\n"],
        [b"HTTP/1.1 102 Processing\r\n\r\n"] * 300 + [HINTS, b"HTTP/1.1 100 Continue\r\n\r\n"],
    ],
    ids=["100", "102", "103", "199", "many"],
)
def test_fault_93__interim_answers_are_skipped(proxy: Proxy, interim: list[bytes]) -> None:
    """The real answer is read after any number of interim answers with any headers."""
    proxy.answers(*interim, REAL)
    answer = ask(proxy)
    assert (answer.status, answer.body) == (201, b"{}")
    assert "link" not in answer.headers


def test_fault_93__interim_answers_without_end_are_given_up(proxy: Proxy) -> None:
    """An answer that never comes is given up, whatever arrives instead."""
    proxy.answers(HINTS, ends=False)
    give_up(proxy)


def test_fault_93__interim_answers_are_skipped_over_tls(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Arena is reached over TLS, and an answer of many TLS records arrives whole."""
    proxy.tls = certified(tmp_path / "localhost.pem")
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "localhost.pem"))
    proxy.url = proxy.url.replace("http://127.0.0.1", "https://localhost")
    proxy.answers(HINTS, b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", b"x" * 200_000)
    assert ask(proxy).body == b"x" * 200_000


def certified(path: Path) -> ssl.SSLContext:
    """Return TLS for localhost, with a certificate of its own that is written to a file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.DNSName("localhost")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_http__headers_without_end_are_given_up(proxy: Proxy) -> None:
    """Headers that arrive letter by letter are given up as soon as a body would be."""
    proxy.answers(b"HTTP/1.1 200 OK\r\nX: ", b"x", ends=False)
    give_up(proxy)


def give_up(proxy: Proxy) -> None:
    """Wait for an answer; each reading of the clock takes a second."""
    seconds = count()
    transport = HttpTransport(proxy.url, lambda: float(next(seconds)))
    with pytest.raises(RequestNotCompletedError, match="poll: ReadTimeout"):
        transport.send(HttpRequest("poll", "GET", "/x"))
    assert next(seconds) <= WHOLE_TIMEOUT_SECONDS + 2


OK = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b'{"guid": "R"}' * 50)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (OK + b"Connection: close\r\n\r\n{}", b"{}"),
        (OK + b"\r\n{}", b"{}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: 2, 2\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: x\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", None),
        (OK + b"Content-Length: -1\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: 9\r\n\r\n{}", None),
        (
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"{}",
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}\r\n0\r\n\r\n", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", None),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + b"x" * 40, None),
        (OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n{}", None),
        (OK + b"".join(b"X-%d: x\r\n" % n for n in range(101)) + b"\r\n{}", None),
        (OK + b"\xff\xfe: \xe9\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (OK + b"no colon\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (OK + b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 " + b"x" * 70_000, None),
        (b"HTTP/1.1 abc OK\r\n\r\n", None),
        (b"HTTP/1.1 99 Odd\r\n\r\n", None),
        (b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}", None),
        (b"<html>hello</html>", None),
        (b"HTTP/1.1 200 OK\r\nContent-Len", b""),  # no JSON: unknown for `answer_json`
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\x01\x02", None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 302 Found\r\nLocation: \xe2\x98\x83://\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"", None),
    ],
)
@pytest.mark.filterwarnings("error")
def test_http__whatever_a_proxy_sends_is_an_answer_or_none(
    proxy: Proxy, raw: bytes, body: bytes | None
) -> None:
    """The result is an answer with the bytes that arrived, or an unknown outcome."""
    proxy.answers(raw)
    if body is None:
        with pytest.raises(RequestNotCompletedError, match="start"):
            ask(proxy)
    else:
        assert ask(proxy).body == body


def test_http__packed_answer_that_is_cut_short_is_no_answer_of_arena(proxy: Proxy) -> None:
    """Even if a proxy corrected its length, the rest of the answer is not JSON."""
    cut = PACKED[:-20]
    proxy.answers(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(cut), cut)
    request = HttpRequest("start", "POST", "/x", b"{}")
    with pytest.raises(RequestNotCompletedError):
        protocol.answer_json(request, ask(proxy))


def test_http__reads_a_redirects_body_within_its_bounds(
    stand: tuple[type[Stand], HttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`requests` would read all of it to prepare for the next request."""
    kept, transport = stand
    monkeypatch.setattr("arena_exports.adapters.http.MAX_ANSWER_BYTES", 1000)
    kept.answers.append((302, {"Location": "/x", "Content-Length": "5000"}, b"x" * 5000))
    with pytest.raises(RequestNotCompletedError, match="too large"):
        transport.send(HttpRequest("poll", "GET", "/x"))


def test_http__waits_a_bounded_time(stand: tuple[type[Stand], HttpTransport]) -> None:
    """An answer that arrives byte by byte is given up, although each byte is in time."""
    kept, transport = stand
    seconds = chain([0, 0], repeat(WHOLE_TIMEOUT_SECONDS + 1))
    transport = HttpTransport(transport._base_url, lambda: next(seconds))
    kept.answers.append((200, {"Content-Length": "100"}, b"x"))
    with pytest.raises(RequestNotCompletedError, match="poll: ReadTimeout"):
        transport.send(HttpRequest("poll", "GET", "/x"))
