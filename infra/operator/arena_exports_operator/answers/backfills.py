"""Turn a file of GUIDs into requests: text, CSV or JSON, checked by intake's own rules."""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena_exports.domain.errors import InvalidMessageError
from arena_exports.domain.messages import IntakeRules, normal_guid, parse_message, read_json
from arena_exports_operator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from arena_exports.domain.model import ExportRequest
    from arena_exports_operator.answers.stack_state import StackState

ITEMS_OF_A_MESSAGE = 1_000
SHOWN_MISTAKES = 10
_COLUMNS = ("guid", "itemguid", "item guid", "item_guid")
_SEPARATORS = re.compile(r"[\s,;]+")
_LISTS = ("itemGuids", "results")


@dataclass(frozen=True, slots=True)
class Line:
    """A GUID, or what should be one, and its line in the file."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a backfill, and the line of its first GUID in the file."""

    first_line: int
    body: str
    request: ExportRequest


@dataclass(frozen=True, slots=True)
class Backfill:
    """The messages that a file leads to, with each GUID once; `last_line` has the last GUID."""

    messages: tuple[Message, ...]
    last_line: int
    items: int
    duplicates: int


def decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 (Excel's "Unicode text").

    Raises:
        UsageError: it is something else, such as a workbook.
    """
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if marked else "utf-8")
    except UnicodeDecodeError as exc:
        raise UsageError(
            "the file is not text in UTF-8 or UTF-16: save it as text, CSV (UTF-8) or JSON"
        ) from exc


def read_backfill(text: str, export_guid: str | None, stack_state: StackState) -> Backfill:
    """Return the messages of a file.

    Raises:
        UsageError: it has no GUIDs, or other content, or no export definition is named.
    """
    lines = list(_lines(text.removeprefix("\ufeff")))
    wrong = [line for line in lines if normal_guid(line.text) is None]
    if wrong:
        shown = ", ".join(f"line {w.number}: {w.text[:40]!r}" for w in wrong[:SHOWN_MISTAKES])
        raise UsageError(f"invalid GUIDs ({len(wrong)}): {shown}{_hint(text)}")
    if not lines:
        raise UsageError("the file has no GUIDs")
    distinct: dict[str, int] = {}
    for line in lines:
        distinct.setdefault(str(normal_guid(line.text)), line.number)
    messages = tuple(_messages(list(distinct.items()), export_guid, stack_state))
    duplicates = len(lines) - len(distinct)
    return Backfill(messages, lines[-1].number, len(distinct), duplicates)


def _lines(text: str) -> Iterator[Line]:
    if _is_json(text):
        return _of_json(text)
    names = _first_row(text)
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    return _of_text(text) if column is None else _of_csv(text, column)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("[", "{"))


def _first_row(text: str) -> list[str]:
    """Return the column names of a CSV file, in lower case."""
    first = text.lstrip().partition("\n")[0]
    return [name.strip().strip('"').lower() for name in re.split("[,;\t]", first)]


def _hint(text: str) -> str:
    """Return a hint if the file has several columns, none of them named guid."""
    names = _first_row(text)
    if _is_json(text) or len(names) == 1 or set(names) & set(_COLUMNS):
        return ""
    return "; in a CSV file, the first line must name the columns, including guid"


def _of_text(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        yield from (Line(number, word.strip("\"'")) for word in _SEPARATORS.split(line) if word)


def _of_csv(text: str, column: int) -> Iterator[Line]:
    header = text.lstrip().partition("\n")[0]
    delimiter = next((letter for letter in ",;\t" if letter in header), ",")
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    header_is_next = True
    for row in rows:
        if row and header_is_next:
            header_is_next = False
        elif row:
            yield Line(rows.line_num, row[column].strip() if column < len(row) else "")


def _of_json(text: str) -> Iterator[Line]:
    """Yield the GUIDs of a list, of `{"results": […]}`, or of objects with a `guid`."""
    try:
        content = read_json(text, "the file")
    except InvalidMessageError as exc:
        raise UsageError(str(exc)) from exc
    if isinstance(content, dict):
        named = [key for key in _LISTS if key in content]
        if len(named) > 1:
            raise UsageError(f"the JSON has several lists: {' and '.join(named)}")
        content = content[named[0]] if named else None
    if not isinstance(content, list):
        raise UsageError(f"the JSON must be a list, or an object with {' or '.join(_LISTS)}")
    position = 0
    for value in content:
        found = _guid_of(value)
        position = max(text.find(found, position), position)
        yield Line(text.count("\n", 0, position) + 1, found)


def _guid_of(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    guid = value.get("guid") if isinstance(value, dict) else value
    return guid if isinstance(guid, str) else json.dumps(guid)


def _messages(
    distinct: Sequence[tuple[str, int]], export_guid: str | None, stack_state: StackState
) -> Iterator[Message]:
    """Yield messages, the same for the same file, so that sending can resume in the middle."""
    guids = [guid for guid, _ in distinct]
    name = hashlib.sha256(" ".join([export_guid or "", *guids]).encode()).hexdigest()[:8]
    for number, start in enumerate(range(0, len(guids), ITEMS_OF_A_MESSAGE), start=1):
        fields = {
            "itemGuids": guids[start : start + ITEMS_OF_A_MESSAGE],
            "correlationId": f"backfill-{name}-{number}",
            "priority": "bulk",
        }
        body = json.dumps(fields | ({"exportGuid": export_guid} if export_guid else {}))
        yield Message(distinct[start][1], body, check(body, stack_state))


def check(body: str, stack_state: StackState) -> ExportRequest:
    """Read a body as intake will.

    Raises:
        UsageError: it would be rejected.
    """
    rules = IntakeRules(stack_state.workspace, stack_state.default_export_guid)
    try:
        request = parse_message("-", body, rules)
    except InvalidMessageError as exc:
        raise UsageError(f"{exc.code}: {exc}") from exc
    if request is None:
        raise UsageError("this is not an export request")
    return request


def accepted(bodies: Iterable[str], stack_state: StackState) -> list[ExportRequest]:
    """Return the bodies that intake accepts, as requests."""
    found = []
    for body in bodies:
        try:
            found.append(check(body, stack_state))
        except UsageError:
            continue
    return found


def messages_from(backfill: Backfill, line: int) -> Sequence[Message]:
    """Return the messages with the GUIDs from a line on; the first may start before it.

    Raises:
        UsageError: the file has no GUIDs from there on.
    """
    if line > backfill.last_line:
        raise UsageError(
            f"--from {line}: the last GUID of the file is in line {backfill.last_line}"
        )
    first = 0
    for number, message in enumerate(backfill.messages):
        if message.first_line <= line:
            first = number
    return backfill.messages[first:]
