"""Downloads of files from Arena: with the same guards as other requests, but streamed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import HTTPError

from arena_exports.adapters.http import (
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    WHOLE_TIMEOUT_SECONDS,
    GuardedSession,
    Wire,
)
from arena_exports.domain.errors import RequestNotCompletedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from arena_exports.ports import Download, HttpRequest

_ERRORS = (requests.RequestException, HTTPError, OSError, ValueError)


class HttpDownloads:
    """Implements `ports.Downloads` with `requests`: no redirect, no proxy, no .netrc, no retry."""

    def __init__(self, base_url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._base_url = base_url
        self._monotonic = monotonic

    @contextmanager
    def open(self, request: HttpRequest, headers: Mapping[str, str]) -> Iterator[Download]:
        """Send once and return the answer with its body unread, whatever its status."""
        give_up_at = self._monotonic() + WHOLE_TIMEOUT_SECONDS
        wire = Wire(lambda: give_up_at - self._monotonic(), notices_surplus=True)
        with GuardedSession(wire) as session:
            try:
                answer = session.request(
                    request.method,
                    self._base_url + request.path,
                    headers={**request.headers, **headers, "Connection": "close"},
                    timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
                    allow_redirects=False,
                    stream=True,
                )
            except _ERRORS as exc:
                raise _not_completed(request, exc) from None
            # The body may take all of the caller's time, as long as it does not stall.
            wire.seconds_left = lambda: READ_TIMEOUT_SECONDS
            with answer:
                yield _HttpDownload(request, answer, wire)


class _HttpDownload:
    """Implements `ports.Download`."""

    def __init__(self, request: HttpRequest, answer: requests.Response, wire: Wire) -> None:
        self.status = answer.status_code
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in answer.headers.items()
        }
        self._request = request
        self._raw = answer.raw
        self._wire = wire

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end of a complete body."""
        try:
            piece: bytes = self._raw.read1(size, decode_content=False)
        except _ERRORS as exc:
            raise _not_completed(self._request, exc, self.status) from None
        if not piece and self._wire.surplus:
            message = f"{self._request.call}: more bytes than Content-Length"
            raise RequestNotCompletedError(message, self.status)
        return piece


def _not_completed(
    request: HttpRequest, exc: Exception, status: int = 0
) -> RequestNotCompletedError:
    """Return the error without its cause, which carries the request and so the session id."""
    return RequestNotCompletedError(f"{request.call}: {type(exc).__name__}", status)
