"""The CloudEvents: their form, and how they are split into parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_exports.domain.attempts import AttemptOutcome, RunResult
from arena_exports.domain.events import (
    MAX_EVENT_BYTES,
    CarriedRequest,
    EndedRun,
    Rejection,
    rejection_events,
    run_events,
)
from arena_exports.domain.runs import RunFile
from tests.support.world import EXPORT, item_guid

if TYPE_CHECKING:
    from arena_exports.ports import Event

COMPLETE = RunResult(
    AttemptOutcome.COMPLETE,
    status="COMPLETE",
    criteria_results_count=1,
    creation_date_time="2023-03-08T09:32:25Z",
    completion_date_time="2023-03-08T09:40:00Z",
)


def outcome(
    items: int = 2, requests: int = 1, files: int = 1, result: RunResult = COMPLETE
) -> EndedRun:
    """Return an ended run of these sizes."""
    return EndedRun(
        workspace="default",
        export_guid=EXPORT,
        run_guid="Z8SPLFQS3K0DTYB56MW",
        run_number=12,
        result=result,
        item_guids=[item_guid(n) for n in range(items)],
        requests=[CarriedRequest(f"request-{n:06d}", "ÄÖÜ" * 40, 1, 0) for n in range(requests)],
        files=[RunFile(f"FILE{n:016d}", None) for n in range(files)],
        time=1678268400.0,
    )


def parsed(event: Event) -> Any:
    """Return the event's JSON after a CloudEvents library has validated it."""
    assert JSONFormat().read(CloudEvent, event.body).get_specversion() == "1.0"
    return json.loads(event.body)


def size(event: Event) -> int:
    """Return the bytes that SNS counts."""
    attributes = sum(
        len(name) + len("String") + len(value) for name, value in event.attributes.items()
    )
    return len(event.body.encode()) + attributes


def test_run_completed__names_the_files() -> None:
    """The event is exactly as the contract says."""
    (event,) = run_events(outcome())
    body = parsed(event)
    assert body["source"] == f"/arena/default/exports/{EXPORT}"
    assert body["id"] == "Z8SPLFQS3K0DTYB56MW/1"
    assert body["type"] == "arena.export.run.completed"
    assert body["subject"] == "Z8SPLFQS3K0DTYB56MW"
    assert body["datacontenttype"] == "application/json"
    path = f"/exports/{EXPORT}/runs/Z8SPLFQS3K0DTYB56MW/files/FILE0000000000000000/content"
    assert body["data"] == {
        "workspace": "default",
        "exportGuid": EXPORT,
        "runGuid": "Z8SPLFQS3K0DTYB56MW",
        "runNumber": 12,
        "status": "COMPLETE",
        "fileGuids": ["FILE0000000000000000"],
        "files": [{"guid": "FILE0000000000000000", "title": None, "contentPath": path}],
        "itemGuids": [item_guid(0), item_guid(1)],
        "requests": [
            {
                "requestId": "request-000000",
                "correlationId": "ÄÖÜ" * 40,
                "itemCount": 1,
                "openCount": 0,
            }
        ],
        "criteriaResultsCount": 1,
        "creationDateTime": "2023-03-08T09:32:25Z",
        "completionDateTime": "2023-03-08T09:40:00Z",
        "expirationDateTime": "2023-05-07T09:40:00Z",
        "part": 1,
        "parts": 1,
    }
    assert event.attributes == {
        "type": "arena.export.run.completed",
        "workspace": "default",
        "exportGuid": EXPORT,
        "status": "COMPLETE",
    }


def test_run_failed__has_an_error_and_no_files() -> None:
    """The event of a run that was given up says why."""
    failed = RunResult(
        AttemptOutcome.ABORTED, status="ABORTED", error_code="RunAborted", error_message="stopped"
    )
    (event,) = run_events(outcome(result=failed))
    body = parsed(event)
    assert body["type"] == "arena.export.run.failed"
    assert body["data"]["error"] == {"code": "RunAborted", "message": "stopped"}
    assert not {"files", "fileGuids"} & body["data"].keys()
    assert body["data"]["expirationDateTime"] is None
    assert event.attributes["status"] == "ABORTED"


def test_rejection__of_a_message_without_a_definition_names_none() -> None:
    """Neither source nor attributes name a definition."""
    rejection = Rejection(
        "default", None, "id-1", None, (), "InvalidMessage", "body is odd", 1678268400.0
    )
    (event,) = rejection_events(rejection)
    body = parsed(event)
    assert body["source"] == "/arena/default"
    assert body["subject"] == "id-1"
    assert body["data"]["status"] == "REJECTED"
    assert event.attributes == {
        "type": "arena.export.request.rejected",
        "workspace": "default",
        "status": "REJECTED",
    }


def test_rejection__ids_differ_by_what_is_rejected() -> None:
    """Two rejections of a request are two events; a repeated rejection has the same id."""
    ids = [
        json.loads(
            rejection_events(Rejection("w", EXPORT, "id-1", None, items, "3011", text, time))[
                0
            ].body
        )["id"]
        for items, text, time in [
            ((item_guid(1),), "a", 1.0),
            ((item_guid(2),), "a", 1.0),
            ((item_guid(1),), "other words", 2.0),
        ]
    ]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("items", "requests", "files"),
    [(20_000, 20_000, 1), (20_000, 3, 1), (1, 1, 5_000), (3, 1, 300), (5, 2, 0)],
)
def test_parts__cover_everything_exactly(items: int, requests: int, files: int) -> None:
    """FAULT 41: no part exceeds 256 KiB, and each item and request is in exactly one part."""
    whole = outcome(items, requests, files)
    events = run_events(whole)
    assert all(size(event) <= MAX_EVENT_BYTES for event in events)
    bodies = [parsed(event) for event in events]
    assert [body["data"]["part"] for body in bodies] == list(range(1, len(bodies) + 1))
    assert {body["data"]["parts"] for body in bodies} == {len(bodies)}
    assert [body["id"] for body in bodies] == [
        f"{whole.run_guid}/{n}" for n in range(1, len(bodies) + 1)
    ]
    assert [g for body in bodies for g in body["data"]["itemGuids"]] == whole.item_guids
    assert [r["requestId"] for body in bodies for r in body["data"]["requests"]] == [
        r.request_id for r in whole.requests
    ]
    expected = [file.guid for file in whole.files]
    for name in ("fileGuids", "files"):
        lists = [
            [f if isinstance(f, str) else f["guid"] for f in body["data"][name]] for body in bodies
        ]
        assert all(part == expected for part in lists) or sum(lists, []) == expected  # noqa: RUF017 - few


@pytest.mark.parametrize("letter", ["x", "ü", "部", "\U0001f600", '"', "\\"])
def test_parts__fit_for_a_rejection_with_the_longest_texts(letter: str) -> None:
    """FAULT 41: this holds however JSON escapes the correlation id, message and workspace."""
    items = tuple(item_guid(n) for n in range(30_000))
    rejection = Rejection(
        "w" * 64, EXPORT, "r" * 36, letter * 128, items, "3011", letter * 500, 1678268400.0
    )
    events = rejection_events(rejection)
    assert all(size(event) <= MAX_EVENT_BYTES for event in events)
    bodies = [json.loads(event.body) for event in events]
    assert [g for body in bodies for g in body["data"]["itemGuids"]] == list(items)


@settings(max_examples=50)
@given(st.integers(0, 12_000), st.integers(0, 6_000), st.integers(0, 4_000))
def test_parts__property_any_size(items: int, requests: int, files: int) -> None:
    """Whatever the sizes, each part fits and the items are covered exactly."""
    whole = outcome(items, requests, files)
    events = run_events(whole)
    assert all(size(event) <= MAX_EVENT_BYTES for event in events)
    assert sum(len(json.loads(event.body)["data"]["itemGuids"]) for event in events) == items
    assert sum(len(json.loads(event.body)["data"]["requests"]) for event in events) == requests
