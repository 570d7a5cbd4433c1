"""The thin half of the Arena client: one request over HTTP, with every guard (R9, R10)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import HTTPError

from arena_exports.arena_protocol import HttpAnswer, HttpRequest
from arena_exports.errors import RequestNotCompletedError

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 25
WHOLE_TIMEOUT_SECONDS = 30
MOST_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class HttpTransport:
    """Fulfils `ports.Transport` with `requests`.

    It follows no redirect, uses no proxy and no .netrc, retries nothing, and bounds the answer.

    Each request has a connection of its own: one that was kept alive while Lambda froze the
    function is dead, and a POST that dies on it is a POST whose outcome nobody knows.
    """

    def __init__(self, base_url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._base_url = base_url
        self._monotonic = monotonic

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once and return the answer, whatever its status.

        Raises:
            RequestNotCompletedError: none came in time, or it was too large. The text holds no
                header and no body.
        """
        try:
            with requests.Session() as session:
                session.trust_env = False
                return self._send(session, request)
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            # Not `from exc`: these exceptions carry the request, and with it the session id.
            message = f"{request.call}: {type(exc).__name__}"
            raise RequestNotCompletedError(message) from None

    def _send(self, session: requests.Session, request: HttpRequest) -> HttpAnswer:
        give_up_at = self._monotonic() + WHOLE_TIMEOUT_SECONDS
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
            # read1 gives what has come; read and iter_content wait until a chunk is full, however
            # slowly it fills. Compressed content is unpacked no further than a chunk either.
            while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > MOST_ANSWER_BYTES or self._monotonic() > give_up_at:
                    message = (
                        f"{request.call}: the answer is too large or too slow ({len(body)} bytes)"
                    )
                    raise RequestNotCompletedError(message)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return HttpAnswer(answer.status_code, headers, bytes(body), request.secrets)
