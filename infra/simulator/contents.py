"""The bytes of a file, generated while they are sent: the same for the same seed, of any size."""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from random import Random
from types import MappingProxyType

_BLOCK_BYTES = 192 * 1024
_GZIP_PIECE_BYTES = 65_535
"""The longest stored block of deflate, which has five more bytes in front."""
_GZIP_FRAME_BYTES = 23
_SMALL_ZIP_BYTES = 0xFFFF_0000
"""Above this, a zip needs the fields of zip64."""
_LARGE = 0xFFFF_FFFF
_ZIP_END_BYTES = 22
_GZIP_END_BYTES = 8
_BINARY_BYTES = 2048
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are never held in memory as a whole.

    `chunks` starts again from the first byte at each call. The last `end_length` bytes are what
    tells a reader that the file is whole: the end record of a zip, the bracket of JSON.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]
    end_length: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """What a content is made of.

    `rows` are in the file if its `size` leaves room for them; `size` is None for a file of the
    rows alone. The filler depends on the `seed`.
    """

    rows: tuple[Mapping[str, str], ...]
    seed: str
    size: int | None = None
    entry_name: str = "export.csv"
    byte_order_mark: bool = False


def limited(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Yield the first `length` bytes."""
    for chunk in chunks:
        if length <= 0:
            return
        yield chunk[:length]
        length -= len(chunk)


def skipped(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Yield everything after the first `length` bytes."""
    for chunk in chunks:
        if length < len(chunk):
            yield chunk[length:]
        length = max(length - len(chunk), 0)


def pieces_of(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of `length`; only the last can be shorter."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % length
        for start in range(0, whole, length):
            yield rest[start : start + length]
        rest = rest[whole:]
    if rest:
        yield rest


def csv_content(source: Source) -> Content:
    """Return a table, with lines of filler up to the size."""
    columns = source.rows[0].keys() if source.rows else ("guid", "number", "name")
    lines = [",".join(columns), *(",".join(row.values()) for row in source.rows)]
    head = _mark(source) + "".join(f"{line}\r\n" for line in lines).encode()
    return _filled(source, head, base64.encodebytes)


def json_content(source: Source) -> Content:
    """Return an array with an object for each row, and a text of filler up to the size."""
    whole = _mark(source) + json.dumps(source.rows).encode()
    if source.size is None:
        return Content(len(whole), lambda: iter([whole]), end_length=1)
    head, end = whole[:-1] + (b', "' if source.rows else b'"'), b'"]'
    if len(head) + len(end) > source.size:
        head = _mark(source) + b'["'
    filler_length = max(source.size - len(head) - len(end), 0)

    def chunks() -> Iterator[bytes]:
        filler = limited(_filler(source.seed, base64.b64encode), filler_length)
        return chain([head], filler, [end])

    return Content(len(head) + filler_length + len(end), chunks, end_length=1)


def binary_content(source: Source) -> Content:
    """Return bytes that are no text and no known format."""
    size = _BINARY_BYTES if source.size is None else source.size

    def chunks() -> Iterator[bytes]:
        return limited(chain([b"\x00\xff"], _filler(source.seed, bytes)), size)

    return Content(size, chunks)


def gzip_content(source: Source) -> Content:
    """Return a gzip of a table, stored; it can be up to five bytes shorter than the size."""
    if source.size is None:
        table = csv_content(source)
    else:
        room = max(source.size - _GZIP_FRAME_BYTES, 0)
        blocks = -(-room // (_GZIP_PIECE_BYTES + 5))
        table = csv_content(replace(source, size=max(room - 5 * blocks, 0)))
    blocks = -(-table.length // _GZIP_PIECE_BYTES)
    length = _GZIP_FRAME_BYTES + 5 * blocks + table.length
    return Content(length, lambda: _gzip_chunks(table), _GZIP_END_BYTES)


def _gzip_chunks(table: Content) -> Iterator[bytes]:
    yield b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    checksum = 0
    for piece in pieces_of(table.chunks(), _GZIP_PIECE_BYTES):
        checksum = zlib.crc32(piece, checksum)
        yield struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF) + piece
    yield struct.pack("<BHH", 1, 0, 0xFFFF)
    yield struct.pack("<II", checksum, table.length & _LARGE)


def zip_content(source: Source) -> Content:
    """Return a zip with one table, stored: its headers are known before its bytes."""
    if source.size is None:
        table = csv_content(source)
    else:
        frame = _Zip(source.entry_name, length=source.size)
        table = csv_content(replace(source, size=max(source.size - frame.overhead, 0)))
    frame = _Zip(source.entry_name, table.length)
    return Content(table.length + frame.overhead, lambda: frame.chunks(table), _ZIP_END_BYTES)


class _Zip:
    """The parts of a zip around its only entry.

    The checksum follows the entry, as in a zip that is written while it is sent.
    """

    def __init__(self, entry_name: str, length: int) -> None:
        self._name = entry_name.encode()
        self._length = length
        self._large = length > _SMALL_ZIP_BYTES
        self._version = 45 if self._large else 20

    @property
    def overhead(self) -> int:
        """The number of bytes around the entry."""
        return len(self._head()) + len(self._tail(0))

    def chunks(self, table: Content) -> Iterator[bytes]:
        """Yield the zip."""
        yield self._head()
        checksum = 0
        for chunk in table.chunks():
            checksum = zlib.crc32(chunk, checksum)
            yield chunk
        yield self._tail(checksum)

    def _head(self) -> bytes:
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) if self._large else b""
        sizes = (_LARGE, _LARGE) if self._large else (0, 0)
        fields = (self._version, 8, 0, 0, 0x21, 0, *sizes, len(self._name), len(extra))
        return struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + self._name + extra

    def _tail(self, checksum: int) -> bytes:
        sizes = (self._length, self._length)
        form = "<4sIQQ" if self._large else "<4sIII"
        descriptor = struct.pack(form, b"PK\x07\x08", checksum, *sizes)
        directory = self._directory(checksum)
        at = len(self._head()) + self._length + len(descriptor)
        return descriptor + directory + self._end(at, len(directory))

    def _directory(self, checksum: int) -> bytes:
        sizes = (self._length, self._length)
        extra = struct.pack("<HHQQ", 1, 16, *sizes) if self._large else b""
        shown = (_LARGE, _LARGE) if self._large else sizes
        version = self._version
        fields = (version, version, 8, 0, 0, 0x21, checksum, *shown, len(self._name), len(extra))
        form = struct.pack("<4s6H3I2H", b"PK\x01\x02", *fields)
        return form + struct.pack("<3H2I", 0, 0, 0, 0, 0) + self._name + extra

    def _end(self, at: int, length: int) -> bytes:
        if not self._large:
            return struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, length, at, 0)
        record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, length, at)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at + length, 1)
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, length, _LARGE, 0)
        return record + locator + end


def _filled(source: Source, head: bytes, write: Callable[[bytes], bytes]) -> Content:
    length = len(head) if source.size is None else source.size

    def chunks() -> Iterator[bytes]:
        return limited(chain([head], _filler(source.seed, write)), length)

    return Content(length, chunks)


def _filler(seed: str, write: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield blocks without end; each begins with its number, so that no two are equal."""
    block = write(Random(seed).randbytes(_BLOCK_BYTES))  # noqa: S311 - not a secret
    for number in count():
        yield b"%012d" % number + block


def _mark(source: Source) -> bytes:
    return _BYTE_ORDER_MARK if source.byte_order_mark else b""


CONTENTS: Mapping[str, Callable[[Source], Content]] = MappingProxyType(
    {
        "zip": zip_content,
        "json": json_content,
        "csv": csv_content,
        "gz": gzip_content,
        "bin": binary_content,
    }
)
"""The content of each kind of file."""
