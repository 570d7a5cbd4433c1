"""How a file is sent: its headers, the range that was asked for, and the faults on the way."""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain, repeat
from types import MappingProxyType

from infra.simulator.contents import Content, limited, pieces_of, skipped
from infra.simulator.settings import Settings
from infra.simulator.streams import Chunk, Stream

Headers = tuple[tuple[str, str], ...]
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PACES_PER_SECOND = 4
_EXTRA_BYTES = 65_536
_ETAGS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "strong": lambda tag: f'"{tag}"',
        "weak": lambda tag: f'W/"{tag}"',
        "changed": lambda tag: f'"{tag}-changed"',
        "none": lambda _tag: None,
    }
)
ETAG_FORMS = tuple(_ETAGS)
FRAMINGS = ("length", "chunked", "close")
RANGE_FORMS = ("checked", "unchecked", "none")


@dataclass(frozen=True, slots=True)
class DownloadFault:
    """What happens to the body of a download.

    `framing`, `etag` and `ranges` replace the settings. `regenerate` gives the file other bytes
    before they are sent. `without_end` leaves out the last bytes, by which a reader recognises
    that the file is whole; the headers agree with what is sent. The body is `compressed` although
    nobody asked, or `extra_bytes` follow what the headers announce. The connection closes after
    `cut_after_bytes` (negative: so many before the end), pauses for `stall_seconds` after
    `stall_after_bytes`, and carries `bytes_per_second`.
    """

    framing: str | None = None
    etag: str | None = None
    ranges: str | None = None
    regenerate: bool = False
    without_end: bool = False
    compressed: bool = False
    extra_bytes: int = 0
    cut_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    stall_seconds: float = 600.0
    bytes_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The answer to a download."""

    status: int
    headers: Headers
    stream: Stream


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes that are sent, from `first` on, of a file of `total` bytes."""

    status: int
    first: int
    length: int
    total: int

    @property
    def headers(self) -> Headers:
        if self.status == HTTPStatus.OK:
            return ()
        sent = f"{self.first}-{self.first + self.length - 1}" if self.length else "*"
        return (("Content-Range", f"bytes {sent}/{self.total}"),)


def deliver(
    content: Content,
    tag: str,
    asked: Mapping[str, str],
    settings: Settings,
    fault: DownloadFault,
) -> Delivery:
    """Return the answer to a request with the headers `asked`; `tag` is the ETag's text."""
    total = content.length - (content.end_length if fault.without_end else 0)
    etag = _ETAGS[fault.etag or settings.file_etag](tag)
    ranges = fault.ranges or settings.file_ranges
    span = _span(asked, total, etag, ranges)
    framing = _framing(settings, fault)
    headers = (
        *((("ETag", etag),) if etag else ()),
        *((("Accept-Ranges", "bytes"),) if ranges != "none" else ()),
        *((("Content-Length", str(span.length)),) if framing == "length" else ()),
        *((("Content-Encoding", "gzip"),) if fault.compressed else ()),
        *span.headers,
    )
    return Delivery(span.status, headers, _stream(content, span, framing, fault))


def _framing(settings: Settings, fault: DownloadFault) -> str:
    """Return the framing; the length of a body that is compressed on the way is not known."""
    framing = fault.framing or settings.file_framing
    return "chunked" if fault.compressed and framing == "length" else framing


def _span(asked: Mapping[str, str], total: int, etag: str | None, ranges: str) -> _Span:
    """Return the requested range, or the whole file if the range cannot be honoured."""
    hit = _RANGE.fullmatch(asked.get("range", ""))
    changed = "if-range" in asked and (
        etag is None or asked["if-range"] != etag or etag.startswith("W/")
    )
    if hit is None or ranges == "none" or (ranges == "checked" and changed):
        return _Span(HTTPStatus.OK, 0, total, total)
    first = int(hit[1])
    if first >= total:
        return _Span(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0, total)
    last = min(int(hit[2] or total), total - 1)
    return _Span(HTTPStatus.PARTIAL_CONTENT, first, max(last + 1 - first, 0), total)


def _stream(content: Content, span: _Span, framing: str, fault: DownloadFault) -> Stream:
    body = limited(skipped(content.chunks(), span.first), span.length)
    if fault.compressed:
        body = _compressed(body)
    body, length = chain(body, _extra(fault.extra_bytes)), span.length + fault.extra_bytes
    cut = fault.cut_after_bytes
    if cut is not None:
        body = limited(body, cut if cut >= 0 else length + cut)
    return Stream(_timed(body, fault), framing, cut_off=cut is not None)


def _extra(length: int) -> Iterator[bytes]:
    return limited(repeat(bytes(_EXTRA_BYTES)), length)


def _compressed(body: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=31)
    for chunk in body:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _timed(body: Iterable[bytes], fault: DownloadFault) -> Iterator[Chunk]:
    """Yield the body at the fault's pace, with its pause."""
    rate, sent = fault.bytes_per_second, 0
    for data in chain(_divided(body, fault), [b""]):
        if sent == fault.stall_after_bytes:
            yield Chunk(b"", fault.stall_seconds)
        if data:
            yield Chunk(data, len(data) / rate if rate else 0.0)
        sent += len(data)


def _divided(body: Iterable[bytes], fault: DownloadFault) -> Iterator[bytes]:
    """Yield pieces that are short enough for the pace, with a boundary at the pause."""
    rate, pause = fault.bytes_per_second, fault.stall_after_bytes
    if rate is not None:
        body = pieces_of(body, max(rate // _PACES_PER_SECOND, 1))
    sent = 0
    for piece in filter(None, body):
        border = max(0 if pause is None else pause - sent, 0)
        yield from filter(None, (piece[:border], piece[border:]))
        sent += len(piece)
