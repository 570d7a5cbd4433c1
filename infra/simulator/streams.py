"""Bodies that are sent piece by piece, and a reader for callers in the same process."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes, and how long the sender waits before it sends them."""

    data: bytes
    wait_seconds: float = 0.0


class Stream:
    """A body while it is sent.

    `framing` says how the receiver learns where it ends: by its `length`, `chunked`, or because
    the connection is closed (`close`). With `cut_off`, the connection breaks after the last chunk.
    Whoever sends the body must call `close`, at the latest when the receiver is gone.
    """

    def __init__(self, chunks: Iterator[Chunk], framing: str, *, cut_off: bool = False) -> None:
        """Send these chunks."""
        self.chunks = chunks
        self.framing = framing
        self.cut_off = cut_off
        self._on_close: list[Callable[[], None]] = []

    def on_close(self, action: Callable[[], None]) -> None:
        """Have an action done when the stream is closed."""
        self._on_close.append(action)

    def whole(self) -> bytes:
        """Send everything at once, without waiting."""
        data = b"".join(chunk.data for chunk in self.chunks)
        self.close()
        return data

    def close(self) -> None:
        """Do once what is to be done at the end."""
        while self._on_close:
            self._on_close.pop()()


class BrokenOffError(Exception):
    """The body was cut off, or nothing arrived for too long."""


class Reader:
    """Reads an answer's body in the same process, as an HTTP client would.

    `sleep` is called for the time that passes between chunks. A wait longer than
    `timeout_seconds` raises BrokenOffError after that time.
    """

    def __init__(
        self,
        stream: Stream,
        headers: Mapping[str, str],
        sleep: Callable[[float], None],
        timeout_seconds: float,
    ) -> None:
        """Read a stream; the header names are in lower case."""
        self._stream = stream
        self._sleep = sleep
        self._timeout_seconds = timeout_seconds
        length = headers.get("content-length", "")
        known = stream.framing != "chunked" and length.isdecimal()
        self._left = int(length) if known else None
        self._buffer = memoryview(b"")

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection, whether or not everything was read."""
        self._stream.close()

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, at least one and at most `max_bytes`, or b"" at the end.

        Raises BrokenOffError if the body is cut off. A body that ends with the connection
        (`close`) never is: the receiver cannot tell.
        """
        if self._left == 0:
            return self._end_by_length()
        while not self._buffer and (chunk := next(self._stream.chunks, None)) is not None:
            self._wait(chunk.wait_seconds)
            self._buffer = memoryview(chunk.data)
        if not self._buffer:
            return self._end()
        limit = max_bytes if self._left is None else min(max_bytes, self._left)
        data, self._buffer = bytes(self._buffer[:limit]), self._buffer[limit:]
        if self._left is not None:
            self._left -= len(data)
        return data

    def _wait(self, seconds: float) -> None:
        self._sleep(min(seconds, self._timeout_seconds))
        if seconds > self._timeout_seconds:
            message = f"nothing arrived for {self._timeout_seconds:g} seconds"
            raise BrokenOffError(message)

    def _end_by_length(self) -> bytes:
        if self._buffer or next(self._stream.chunks, None) is not None:
            message = "more bytes arrived than the headers announce"
            raise BrokenOffError(message)
        return b""

    def _end(self) -> bytes:
        if self._left is not None or (self._stream.cut_off and self._stream.framing == "chunked"):
            message = "the connection closed before the end of the body"
            raise BrokenOffError(message)
        return b""
