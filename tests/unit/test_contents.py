"""What a downloaded file is by its bytes, and whether it is whole."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arena_exports.arena.content import Content
from arena_exports.domain import contents
from arena_exports.domain.contents import HEAD_BYTES, TAIL_BYTES, Edges
from arena_exports.domain.errors import RequestNotCompletedError

if TYPE_CHECKING:
    from collections.abc import Mapping

BOM = b"\xef\xbb\xbf"


def edges(body: bytes) -> Edges:
    """Return the first and last bytes of a body."""
    return Edges(body[:HEAD_BYTES], body[-TAIL_BYTES:])


def zipped(body: bytes, comment: bytes = b"") -> bytes:
    """Return a zip of one entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("export.csv", body)
        archive.comment = comment
    return file.getvalue()


@pytest.mark.parametrize(
    ("head", "content_type", "expected"),
    [
        (b"PK\x03\x04", "application/json", "zip"),
        (b"\x1f\x8b\x08", "text/csv", "gz"),
        (b'{"a": 1}', "application/zip", "json"),
        (b"[]", "", "json"),
        (BOM + b"[]", "text/csv", "json"),
        (b"a,b\r\n", "text/csv", "csv"),
        (b"a,b\r\n", "Text/CSV; charset=utf-8", "csv"),
        (BOM + b"a,b", "application/csv", "csv"),
        (b"a,b\r\n", "text/plain", "bin"),
        (b"a,\x00b", "text/csv", "bin"),
        (b"\xff\xfea", "text/csv", "bin"),
        (b" {}", "", "bin"),
        (b"", "", "bin"),
    ],
)
def test_extension__follows_from_the_first_bytes(
    head: bytes, content_type: str, expected: str
) -> None:
    """Arena's content type only tells CSV from other text."""
    assert contents.extension(head, content_type) == expected
    assert expected in contents.CONTENT_TYPES


@pytest.mark.parametrize(
    ("head", "content_type", "doubtful"),
    [
        (b"a,b\r\n", "text/plain", True),
        (b"a,b\r\n", "", True),
        (b"a,b\r\n", "text/csv", False),
        (b"a,\x00b", "", False),
        (b"PK\x03\x04", "", False),
        (b"{}", "", False),
        (b"", "", False),
    ],
)
def test_format__of_the_definition_decides_about_text_alone(
    head: bytes, content_type: str, *, doubtful: bool
) -> None:
    """Only text whose content type does not say CSV depends on it."""
    assert contents.depends_on_format(head, content_type) is doubtful
    assert contents.extension(head, "", "JSON") != "csv"


@given(st.text(alphabet=st.characters(blacklist_characters="\x00", codec="utf-8"), min_size=1))
def test_extension__text_that_is_cut_within_a_character_is_text(text: str) -> None:
    """The first bytes may end in the middle of a character."""
    body = b"a," + text.encode() * (HEAD_BYTES // len(text.encode()) + 1)
    assert contents.extension(body[:HEAD_BYTES], "text/csv") == "csv"


@example(b"", b"PK\x05\x06", 1)
@given(st.binary(max_size=300), st.binary(max_size=200), st.integers(1, 400))
def test_defect__part_of_a_zip_is_never_whole(body: bytes, comment: bytes, cut: int) -> None:
    """A zip is whole with its end record and all of its comment."""
    whole = zipped(body, comment)
    assert not contents.defect(edges(whole), "zip")
    part = whole[: max(len(whole) - cut, 0)]
    inner = len(body) + 80 > len(part)  # a body may hold an end record of its own
    if b"PK\x05\x06" not in body + comment or inner:
        assert contents.defect(edges(part), "zip")


@given(
    st.recursive(
        st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ).filter(lambda value: isinstance(value, (list, dict))),
    st.sampled_from([b"", BOM]),
    st.sampled_from([b"", b"\n", b" \r\n\t"]),
)
def test_defect__json_needs_its_closing_bracket(value: object, mark: bytes, space: bytes) -> None:
    """Space behind it does not matter."""
    body = mark + json.dumps(value).encode()
    assert not contents.defect(edges(body + space), "json")
    assert contents.defect(edges(body[:-1] + b"1" + space), "json")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status": 400, "errors": [{"code": 3011}]}', True),
        (b'{"errors": []}', True),
        (b'{"errors": 3}', False),
        (b'{"results": []}', False),
        (b'[{"errors": []}]', False),
        (b"[" * 60_000, False),
        (b"\xff{", False),
        (b'{"errors": [' + b"1," * 40_000 + b"1]}", False),
    ],
)
def test_is_error__is_a_small_object_with_errors(body: bytes, expected: bool) -> None:  # noqa: FBT001 - a table
    """An export is never taken for an error because of its size or depth."""
    assert contents.is_error(body) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('attachment; filename="Model 300.zip"', "Model 300.zip"),
        ("attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.zip", "Größe.zip"),
        ("attachment; filename*=UTF-8''two%0Alines.zip", "twolines.zip"),
        ("attachment; filename*=UTF-8''%E2%80%AEpiz.zip", "piz.zip"),
        ("attachment; filename*=unknown''%FF.zip", None),
        ('attachment; filename="' + "x" * 300 + '"', "x" * 255),
        ("attachment", None),
        ("attachment; filename=", None),
        ('\r\n; filename="a', None),
        ("", None),
    ],
)
def test_file_name__is_printable_and_short(header: str, expected: str | None) -> None:
    """A name is for people; what cannot be printed is left out."""
    name = contents.file_name({"content-disposition": header})
    assert name == expected or (expected is None and (name or "").isprintable())


@given(st.text())
def test_file_name__takes_any_header(header: str) -> None:
    """Whatever the header is, the name is none or can be printed."""
    name = contents.file_name({"content-disposition": f"attachment; filename={header}"})
    assert name is None or (name.isprintable() and 0 < len(name) <= 255)


class _Download:
    """Fulfils `ports.Download`: a body in pieces of some size."""

    status = 200

    def __init__(self, body: bytes, piece: int) -> None:
        self.headers: Mapping[str, str] = {"content-encoding": "gzip"}
        self._body, self._piece = body, piece

    def read(self, size: int) -> bytes:
        size = min(size, self._piece)
        piece, self._body = self._body[:size], self._body[size:]
        return piece


def _all(body: bytes, piece: int, size: int) -> bytes:
    content = Content(_Download(body, piece), lambda: None)
    found = b""
    while part := content.read(size):
        assert len(part) <= size
        found += part
    return found


@given(
    st.binary(max_size=20) | st.integers(0, 20_000).map(lambda count: b"a" * count),
    st.integers(1, 9),
    st.integers(1, 3000),
)
def test_content__undoes_gzip_in_any_pieces(body: bytes, piece: int, size: int) -> None:
    """However the bytes arrive and are asked for, all of them come out, and no part of them."""
    coded = gzip.compress(body)
    assert _all(coded, piece * 50, size) == body
    for broken in (coded[:-1], coded + b"x", coded + coded):
        with pytest.raises(RequestNotCompletedError):
            _all(broken, piece * 50, size)


def test_content__is_stopped_while_it_begins() -> None:
    """A body that trickles in is checked from its first byte on."""
    checks: list[int] = []
    Content(_Download(gzip.compress(b"a" * 5000), 1), lambda: checks.append(1))
    assert len(checks) > 1
