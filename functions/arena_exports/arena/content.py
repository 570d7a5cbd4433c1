"""The content of a file as Arena sends it, decoded, with its length if Arena gives it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from arena_exports.domain.contents import HEAD_BYTES
from arena_exports.domain.errors import RequestNotCompletedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from arena_exports.ports import Download

MAX_ERROR_BYTES = 256 * 1024
_GZIP = zlib.MAX_WBITS | 16
_IDENTITY = ("", "identity")


class Content:
    """A body that is read piece by piece.

    Some gateways compress answers although `identity` was requested: `read` decompresses them.
    """

    def __init__(self, download: Download, check: Callable[[], object]) -> None:
        """Read the beginning. `check` is called before each read; an exception from it stops it.

        Raises:
            RequestNotCompletedError: it was cut off, or has an unknown coding.
        """
        coding = download.headers.get("content-encoding", "").strip().lower()
        if coding not in (*_IDENTITY, "gzip", "x-gzip"):
            message = f"download a file: content encoding {coding[:40]!r}"
            raise RequestNotCompletedError(message, download.status)
        self._download = download
        self._check = check
        self._inflate = None if coding in _IDENTITY else zlib.decompressobj(_GZIP)
        self.head = b""
        while len(self.head) < HEAD_BYTES and (piece := self._read(HEAD_BYTES - len(self.head))):
            self.head += piece
        self._pushed_back = self.head

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers; names in lower case."""
        return self._download.headers

    @property
    def status(self) -> int:
        """Return the HTTP status: 200, or 206 for the rest of a file."""
        return self._download.status

    @property
    def is_success(self) -> bool:
        """Return whether Arena sends a file, or a part of one."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the range of success

    @property
    def is_delimited(self) -> bool:
        """Return whether the body itself says where it ends."""
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return chunked or self.headers.get("content-length", "").strip().isdecimal()

    @property
    def is_coded(self) -> bool:
        """Return whether the bytes that are read differ from those that were sent."""
        return self._inflate is not None

    def error_body(self) -> bytes:
        """Return the body of an error, up to `MAX_ERROR_BYTES`."""
        body = self.head
        while len(body) < MAX_ERROR_BYTES and (piece := self._read(MAX_ERROR_BYTES - len(body))):
            body += piece
        return body

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end of a complete body.

        Raises:
            RequestNotCompletedError: the body was cut off.
        """
        if self._pushed_back:
            piece, self._pushed_back = self._pushed_back[:size], self._pushed_back[size:]
            return piece
        return self._read(size)

    def _read(self, size: int) -> bytes:
        self._check()
        if self._inflate is None:
            return self._download.read(size)
        while not self._inflate.eof:
            piece = self._inflate.unconsumed_tail or self._download.read(size)
            try:
                plain = self._inflate.decompress(piece, size)
            except zlib.error:
                message = "download a file: invalid gzip"
                raise RequestNotCompletedError(message, self.status) from None
            if plain:
                return plain
            if not piece:
                break
        if not self._inflate.eof or self._inflate.unused_data or self._download.read(1):
            message = "download a file: gzip without an end, or with bytes after it"
            raise RequestNotCompletedError(message, self.status)
        return b""
