"""The type of a downloaded file, by its bytes, and whether it is whole (CONTRACT §6).

The vendor's documentation contradicts itself about the form of a file, so the first bytes decide.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES = 4096
TAIL_BYTES = 65_557  # a zip's end record has 22 bytes and a comment of up to 65,535

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_MAX_NAME = 255
_MAX_ERROR_BYTES = 64 * 1024

CONTENT_TYPES = {
    "zip": "application/zip",
    "gz": "application/gzip",
    "json": "application/json",
    "csv": "text/csv",
    "bin": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Edges:
    """The first and last bytes of a file, at most `HEAD_BYTES` and `TAIL_BYTES`."""

    head: bytes
    tail: bytes


def extension(head: bytes, content_type: str, form: str = "") -> str:
    """Return the type of a file: `zip`, `gz`, `json`, `csv` or `bin`; a key of `CONTENT_TYPES`.

    `content_type` is Arena's header, and `form` the format of the export definition. They only tell
    a CSV from other text; the header also tells it from a zip.
    """
    is_csv = _is_text(head[:HEAD_BYTES]) and "csv" in content_type.lower()
    if head.startswith(b"PK") and not is_csv:  # a column's name may also start with PK
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gz"
    if head.removeprefix(_BYTE_ORDER_MARK).startswith((b"{", b"[")):
        return "json"
    says_csv = is_csv or "csv" in form.lower()
    return "csv" if says_csv and _is_text(head[:HEAD_BYTES]) else "bin"


def depends_on_format(head: bytes, content_type: str) -> bool:
    """Return whether the format of the export definition decides the type of a file."""
    return bool(head) and extension(head, content_type) != extension(head, content_type, "csv")


def is_page(head: bytes, content_type: str) -> bool:
    """Return whether the bytes are a page for a browser, such as a firewall's or a login page."""
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    return text.startswith(b"<") or "html" in content_type.lower()


def is_error(body: bytes | bytearray) -> bool:
    """Return whether a whole body is an Arena error: `{"status": 400, "errors": [...]}`."""
    if len(body) > _MAX_ERROR_BYTES:
        return False
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("errors"), list)


def defect(edges: Edges, kind: str) -> str:
    """Return why a file with this extension cannot be whole; "" if nothing is wrong."""
    if kind == "zip" and not _has_zip_end(edges.tail):
        return "the zip has no end record"
    if kind == "json":
        opening = edges.head.removeprefix(_BYTE_ORDER_MARK)[:1]
        closing = edges.tail.rstrip()[-1:]
        if closing != {b"{": b"}", b"[": b"]"}[opening]:
            return "the JSON has no closing bracket"
    return ""


def file_name(headers: Mapping[str, str]) -> str | None:
    """Return the file name that Arena gave in `Content-Disposition`, at most 255 characters."""
    message = Message()
    message["Content-Disposition"] = "".join(
        letter for letter in headers.get("content-disposition", "") if letter.isprintable()
    )
    return printable(message.get_filename() or "", _MAX_NAME) or None


def printable(text: str, length: int) -> str:
    """Return a text without unprintable characters, cut to a length."""
    whole = text.encode(errors="replace").decode()
    return "".join(letter for letter in whole if letter.isprintable())[:length]


def _has_zip_end(tail: bytes) -> bool:
    """Return whether there is an end record whose comment ends with the file."""
    start = tail.rfind(_ZIP_END)
    while start >= 0:
        comment = int.from_bytes(tail[start + 20 : start + 22], "little")
        if len(tail) - start == _ZIP_END_BYTES + comment:
            return True
        start = tail.rfind(_ZIP_END, 0, start)  # that one was part of the comment
    return False


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\x00" not in head
