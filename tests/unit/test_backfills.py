"""A file of GUIDs becomes requests: text, CSV or JSON, checked, each GUID once."""

from __future__ import annotations

import json

import pytest

from arena_exports_operator.answers.backfills import decoded, messages_from, read_backfill
from arena_exports_operator.answers.stack_state import StackState
from arena_exports_operator.errors import UsageError
from tests.support.world import EXPORT, items

STACK = StackState({"DefaultExportGuid": EXPORT})
FORMS = {
    "lines": "\n".join(items(3)),
    "windows": "\ufeff" + "\r\n".join(items(3)) + "\r\n",
    "words": ", ".join(items(3)),
    "quoted": "\n".join(f'"{guid}"' for guid in items(3)),
    "lower case": "\n".join(items(3)).lower(),
    "csv": "number,guid,name\n" + "\n".join(f'1,{guid},"a, b"' for guid in items(3)),
    "csv with semicolons": "Item GUID;name\n" + "\n".join(f"{guid};a" for guid in items(3)),
    "csv of one column": "guid\n" + "\n".join(items(3)),
    "json list": json.dumps(items(3)),
    "json of Arena": json.dumps({"count": 3, "results": items(3)}),
    "json of objects": json.dumps([{"guid": guid, "number": "900-1"} for guid in items(3)]),
    "json request": json.dumps({"itemGuids": items(3)}, indent=2),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_backfill__reads_each_form(text: str) -> None:
    """The same three GUIDs, in upper case, lead to one bulk request of them."""
    (message,) = read_backfill(text, None, STACK).messages
    body = json.loads(message.body)
    assert body["itemGuids"] == items(3)
    assert body["priority"] == "bulk"
    assert message.request.group.export_guid == EXPORT
    assert message.request.group.lane == "bulk"


def test_backfill__sends_each_guid_once() -> None:
    """Duplicates are left out and counted."""
    found = read_backfill("\n".join([*items(3), *items(2)]), None, STACK)
    assert (found.items, found.duplicates) == (3, 2)


def test_backfill__has_the_same_correlation_ids_for_the_same_file() -> None:
    """They name the file and the number of the message, so that a second sending can be seen."""
    first, again = (read_backfill("\n".join(items(2500)), None, STACK) for _ in range(2))
    assert first == again
    names = [json.loads(message.body)["correlationId"] for message in first.messages]
    assert [name.rpartition("-")[2] for name in names] == ["1", "2", "3"]
    assert {name.rpartition("-")[0] for name in names} == {names[0].rpartition("-")[0]}
    assert names[0].startswith("backfill-")
    other = read_backfill("\n".join(items(2499)), None, STACK)
    assert json.loads(other.messages[0].body)["correlationId"] != names[0]


def test_backfill__goes_on_from_a_line() -> None:
    """With the message that holds the line: a few GUIDs may be sent twice, and none is left out."""
    found = read_backfill("\n".join(items(2500)), None, STACK)
    assert [message.first_line for message in found.messages] == [1, 1001, 2001]
    assert messages_from(found, 1) == found.messages
    assert messages_from(found, 1000) == found.messages
    assert messages_from(found, 1001) == found.messages[1:]
    assert messages_from(found, 2500) == found.messages[2:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file has no GUIDs"),
        ("[]", "the file has no GUIDs"),
        (f"{items(1)[0]}\nno-guid", "invalid GUIDs (1): line 2: 'no-guid'"),
        (f'[\n"{items(1)[0]}",\n7]', "invalid GUIDs (1): line 3: '7'"),
        ('["x', "the file is neither a GUID nor JSON"),
        ('{"itemGuids": ["A"], "itemGuids": ["B"]}', 'key "itemGuids" occurs more than once'),
        ('{"results": ["A"], "itemGuids": ["B"]}', "the JSON has several lists: itemGuids"),
        ('{"items": []}', "the JSON must be a list, or an object with itemGuids or results"),
        (
            f"{items(1)[0]},-\n{items(2)[1]},-",
            "invalid GUIDs (2): line 1: '-', line 2: '-'; in a CSV file, the first",
        ),
        (f"number,guid\n1,{items(1)[0]}\n2", "invalid GUIDs (1): line 3: ''"),
    ],
)
def test_backfill__refuses_what_the_intake_would_reject(text: str, message: str) -> None:
    """Nothing is sent of a file with a mistake; the line is named."""
    with pytest.raises(UsageError) as refused:
        read_backfill(text, None, STACK)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_backfill__decodes_what_excel_writes(encoding: str) -> None:
    """UTF-8 with and without a byte order mark, and UTF-16 with one ("Unicode text")."""
    text = f"guid\tname\r\n{items(1)[0]}\tMüller\r\n"
    (message,) = read_backfill(decoded(text.encode(encoding)), None, STACK).messages
    assert json.loads(message.body)["itemGuids"] == items(1)


@pytest.mark.parametrize("content", [b"PK\x03\x04\xff\xfe", "Müller".encode("latin-1")])
def test_backfill__refuses_a_file_that_is_no_text(content: bytes) -> None:
    """A workbook, or text of an older encoding."""
    with pytest.raises(UsageError, match="not text in UTF-8 or UTF-16"):
        decoded(content)


def test_backfill__needs_an_export_definition() -> None:
    """As the intake does, where the stack has no default."""
    with pytest.raises(UsageError, match="NoExportDefinition"):
        read_backfill(items(1)[0], None, StackState())
    (message,) = read_backfill(items(1)[0], EXPORT, StackState()).messages
    assert message.request.group.export_guid == EXPORT
