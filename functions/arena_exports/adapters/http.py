"""One request to Arena over HTTP, with time and size limits (R9, R10)."""

from __future__ import annotations

import http.client
import io
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from arena_exports.domain.errors import RequestNotCompletedError
from arena_exports.ports import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 25
WHOLE_TIMEOUT_SECONDS = 30
SURPLUS_SECONDS = 0.5  # servers close the connection at once, as a download asks them to
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class HttpTransport:
    """Implements `ports.Transport` with `requests`.

    It follows no redirect, uses no proxy and no .netrc, does not retry, and limits the answer's
    size and time.

    Each request has its own connection: one that was kept alive while Lambda froze the function is
    dead, and the outcome of a POST on it would be unknown.
    """

    def __init__(self, base_url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._base_url = base_url
        self._monotonic = monotonic

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once and return the answer, whatever its status.

        Raises:
            RequestNotCompletedError: no answer came in time, or it was too large. The message has
                no header and no body.
        """
        give_up_at = self._monotonic() + WHOLE_TIMEOUT_SECONDS
        try:
            with GuardedSession(Wire(lambda: give_up_at - self._monotonic())) as session:
                return self._send(session, request)
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            # Not `from exc`: these exceptions carry the request, and with it the session id.
            message = f"{request.call}: {type(exc).__name__}"
            raise RequestNotCompletedError(message) from None

    def _send(self, session: requests.Session, request: HttpRequest) -> HttpAnswer:
        with session.request(
            request.method,
            self._base_url + request.path,
            data=request.body or None,
            headers=request.headers,
            timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = bytearray()
            # read1 returns what has arrived; read and iter_content wait for a full chunk, however
            # slowly it fills. Compressed content is also decompressed a chunk at a time.
            while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    message = f"{request.call}: the answer is too large ({len(body)} bytes)"
                    raise RequestNotCompletedError(message)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return HttpAnswer(answer.status_code, headers, bytes(body), request.secrets)


@dataclass
class Wire:
    """The limits of a request's connection, and what it has noticed.

    `seconds_left` returns how long the answer may still take. `surplus` is whether bytes arrived
    after Content-Length; it is checked only if `notices_surplus` is set.
    """

    seconds_left: Callable[[], float]
    notices_surplus: bool = False
    surplus: bool = False


class GuardedSession(requests.Session):
    """A session for one request: no environment, no redirect, a time limit on the wire."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.trust_env = False
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(wire))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return none: to follow a redirect, `requests` reads the whole body, without a limit."""


class _Adapter(HTTPAdapter):
    """Makes connections that read an answer within its time."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._pool: Any = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as inherited
        """Return the pool of a request's one connection."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(self._connection, pool.ConnectionCls)
        self._pool = pool
        return pool

    def close(self) -> None:
        """Close the connection too; urllib3 leaves that to the garbage collector."""
        super().close()
        if self._pool is not None:
            self._pool.close()

    def _connection(self, make: Callable[..., Any], **kwargs: Any) -> Any:  # noqa: ANN401 - urllib3's
        connection = make(**kwargs)
        connection.response_class = partial(_Answer, self._wire)
        return connection


class _Answer(http.client.HTTPResponse):
    """An answer that skips interim ones and must arrive in time, headers included."""

    def __init__(self, wire: Wire, sock: Any, method: str) -> None:  # noqa: ANN401 - a socket
        super().__init__(cast("Any", _Reader(sock, wire)), method=method)
        self._wire = wire

    def _read_status(self) -> tuple[str, int, str]:
        """Return every 1xx as "100 Continue", which `begin` skips with its headers."""
        version, status, reason = super()._read_status()  # type: ignore[misc] # not in the stubs
        interim = http.client.CONTINUE <= status < http.client.OK
        return version, http.client.CONTINUE if interim else status, reason

    def _close_conn(self) -> None:
        """Check whether anything follows the body, then close the connection."""
        if self._wire.notices_surplus and self.length == 0:
            self._wire.seconds_left = lambda: SURPLUS_SECONDS
            with suppress(OSError):
                self._wire.surplus = bool(self.fp.peek(1))
        super()._close_conn()  # type: ignore[misc] # not in the stubs


class _Reader(io.RawIOBase):
    """Reads a socket until the time is up, however slowly data arrives."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self._sock = sock
        self._wire = wire
        self._inner = sock.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the file that http.client reads an answer from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        """Read some bytes.

        Raises:
            TimeoutError: no bytes came in time.
        """
        seconds = min(self._wire.seconds_left(), READ_TIMEOUT_SECONDS)
        if seconds <= 0:
            raise TimeoutError
        self._sock.settimeout(seconds)
        return self._inner.readinto(buffer)

    def close(self) -> None:
        """Close the socket's file."""
        self._inner.close()
        super().close()
