"""How a file's tries, the lease on downloads, and the keys of a run's folder follow from facts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.domain import deliveries
from arena_exports.domain.attempts import Attempt, AttemptOutcome, AttemptState, RunResult
from arena_exports.domain.deliveries import (
    Delivery,
    DeliveryLane,
    FileCounts,
    FileRecord,
    StoredFile,
    delivery_of,
)
from arena_exports.domain.events import MAX_EVENT_BYTES, WrittenManifest, delivery_events
from arena_exports.domain.manifests import manifest_bytes, read_manifest
from arena_exports.domain.model import (
    AttemptId,
    Entry,
    ExportGuid,
    Group,
    ItemGuid,
    Kind,
    Lane,
    RequestId,
    RunGuid,
    SetHistory,
)
from arena_exports.domain.poll_state import PollState

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_700_000_000
HOUR, DAY = 3600, 86_400
FILE = FileRecord("FILE", None)
DELIVERY = Delivery(
    attempt_id=AttemptId("a"),
    number=1,
    folder="v1/default/EXPORT/2023/11/14/00000001-RUN/",
    workspace="default",
    export_guid="EXPORT",
    run_guid="RUN",
    run_number=1,
    status="COMPLETE",
    kind=Kind.ITEMS,
    creation_date_time="2023-11-14T22:13:20Z",
    completion_date_time="2023-11-14T22:14:20Z",
    criteria_results_count=2,
    ended_at=NOW + 60,
    settled_at=NOW + 70,
    file_count=1,
)


def _attempt(number: int | None, completed: str | None) -> Attempt:
    """Return the attempt of a run that completed."""
    return Attempt(
        attempt_id=AttemptId("018bcfe56fd0eb1167b367a9"),
        group=Group(Lane.NORMAL, ExportGuid("EXPORT"), Kind.ITEMS),
        slices=(),
        history=SetHistory(),
        item_count=1,
        state=AttemptState.ENDED,
        sent_at=NOW,
        first_sent_at=NOW,
        run_guid=RunGuid("RUN"),
        run_number=number,
        result=RunResult(
            AttemptOutcome.COMPLETE, status="COMPLETE", completion_date_time=completed
        ),
    )


def test_file__back_off_doubles_from_a_minute_to_six_hours() -> None:
    """The waits are 1, 2, 4 … 256 minutes, and then 6 hours."""
    record, waits = FILE, []
    for _ in range(12):
        record = record.failed(NOW)
        waits.append((record.not_before - NOW) // 60)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]


def test_file__refusal_decides_when_repeated_an_hour_later() -> None:
    """One second less, or another code, is a try like any other."""
    once = FILE.refused("3028", "no content", NOW)
    assert once.not_before == NOW + HOUR
    assert not once.refused("3028", "no content", NOW + HOUR - 1).is_final
    assert not once.refused("3012", "not found", NOW + HOUR).is_final
    final = once.refused("3028", "no content", NOW + HOUR)
    assert (final.error_code, final.error_message) == ("3028", "no content")


def test_file__is_given_up_after_a_week_ten_tries_and_another_delivery() -> None:
    """Each of the three conditions is needed."""
    record = FILE
    for _ in range(10):
        record = record.answered_about(NOW)
    week = NOW + 7 * DAY
    assert record.given_up(week, NOW + 1).error_code == "NotDelivered"
    assert not record.given_up(week - 1, NOW + 1).is_final
    assert not record.given_up(week, NOW).is_final
    assert not replace(record, answered=9).given_up(week, NOW + 1).is_final


def test_file__tries_without_an_answer_do_not_count() -> None:
    """An outage of months makes no file undeliverable."""
    record = FILE
    for _ in range(100):
        record = record.failed(NOW)
    assert not record.given_up(NOW + 50 * DAY, NOW + 1).is_final


def test_lane__third_different_file_makes_all_wait() -> None:
    """Two files that fail in turns are no reason; a delivery ends the row."""
    lane = DeliveryLane()
    for guid in "ABABAB":
        lane = lane.failed(guid, NOW)
    assert not lane.in_doubt
    assert not lane.not_before
    lane = lane.failed("C", NOW)
    assert lane.in_doubt
    waits = []
    for _ in range(11):
        waits.append((lane.not_before - NOW) // 60)
        lane = lane.failed("C", NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    assert lane.delivered(NOW) == DeliveryLane(delivered_at=NOW)


def test_lane__failure_of_all_files_makes_all_wait_at_once() -> None:
    """The first refusal of the bucket waits a minute, the next one two."""
    first = DeliveryLane().blocked(NOW)
    assert (first.in_doubt, first.not_before) == (True, NOW + 60)
    assert first.blocked(NOW).not_before == NOW + 120


RESULTS = st.lists(
    st.tuples(
        st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True), st.booleans(), st.none() | st.text()
    ),
    unique_by=lambda row: row[0],
    max_size=5,
)


def _records(rows: Sequence[tuple[str, bool, str | None]]) -> list[FileRecord]:
    return [
        FileRecord(
            guid,
            title,
            stored=StoredFile(f"k/{guid}.zip", 3, "ab", "application/zip", title, title),
        )
        if is_stored
        else FileRecord(guid, title).undeliverable("3028", title or "no content")
        for guid, is_stored, title in rows
    ]


@given(RESULTS)
def test_manifest__and_its_event_cover_each_file_once(
    rows: list[tuple[str, bool, str | None]],
) -> None:
    """Each file is listed or undeliverable; the event says the same, and its type follows."""
    delivery = replace(DELIVERY, file_count=len(rows))
    body = manifest_bytes(delivery, _records(rows), [], NOW)
    content = read_manifest(body, delivery)
    listed = [file["guid"] for file in content["files"]]
    missing = [file["guid"] for file in content["undeliverable"]]
    assert sorted(listed + missing) == sorted(guid for guid, *_ in rows)
    assert content["complete"] is (not missing)
    (event,) = delivery_events(WrittenManifest(content, "bucket", "key", "sha"), {})
    data = json.loads(event.body)["data"]
    assert [file["guid"] for file in data["files"]] == listed
    assert data["undeliverable"] == content["undeliverable"]
    kind = "undelivered" if missing else "delivered"
    assert event.attributes["type"] == f"arena.export.run.{kind}"


def test_event__parts_cover_a_large_manifest() -> None:
    """Thousands of files, requests and refusals: none left out, none twice, each part fits."""
    count = 3000
    rows = [(f"F{number:019}", number % 2 == 0, "t" * 200) for number in range(count)]
    entries = [
        Entry(
            request_id=RequestId(f"request-{number:030}"),
            correlation_id="c" * 100,
            item_guids=(ItemGuid(f"I{number}"),),
            total=1,
        )
        for number in range(count)
    ]
    delivery = replace(DELIVERY, number=2, file_count=count)
    body = manifest_bytes(delivery, _records(rows), entries, NOW)
    manifest = WrittenManifest(read_manifest(body, delivery), "bucket", "key", "sha")
    open_counts = {str(entries[0].request_id): 7}
    events = delivery_events(manifest, open_counts)
    bodies = [json.loads(event.body) for event in events]
    assert len(events) > 3
    assert all(len(event.body) < MAX_EVENT_BYTES for event in events)
    numbers = [str(number) for number in range(1, len(events) + 1)]
    assert [body["id"] for body in bodies] == [f"RUN/delivered/2/{number}" for number in numbers]
    assert {body["data"]["parts"] for body in bodies} == {len(events)}
    for name, key, expected in (
        ("files", "guid", [guid for guid, stored, _ in rows if stored]),
        ("undeliverable", "guid", [guid for guid, stored, _ in rows if not stored]),
        ("requests", "requestId", [entry.request_id for entry in entries]),
    ):
        assert [value[key] for body in bodies for value in body["data"][name]] == expected
    opened = [r["openCount"] for body in bodies for r in body["data"]["requests"]]
    assert opened == [7] + [0] * (count - 1)


def test_poll_state__of_an_older_release_can_be_read() -> None:
    """An execution that began before an update has no count of unanswered polls."""
    state = {"attemptId": "a", "exportGuid": "E", "runGuid": "R", "waitSeconds": 5, "polls": 3}
    assert PollState.from_json(state).unanswered_polls == 0
    assert PollState.from_json({**state, "fieldOfTomorrow": 1}).polls == 3


@pytest.mark.parametrize("workspace", ["default", "..", "."])
@pytest.mark.parametrize("number", [None, 0, 7, 10**8, 10**11])
@pytest.mark.parametrize("completed", ["2024-02-29T23:59:59Z", "0001-01-01T00:00:00Z", "x", None])
def test_folder__has_a_fixed_form(
    workspace: str, number: int | None, completed: str | None
) -> None:
    """Whatever Arena tells of a run, its folder has a day, eight digits and the GUID."""
    delivery = delivery_of(_attempt(number, completed), workspace, FileCounts(1, 0), NOW)
    assert delivery
    day = "2024/02/29" if completed == "2024-02-29T23:59:59Z" else "2023/11/14"
    pattern = rf"v1/(default|%2E|%2E%2E)/EXPORT/{day}/\d{{8}}-RUN/"
    assert re.fullmatch(pattern, delivery.folder)


@pytest.mark.parametrize("outcome", sorted(set(AttemptOutcome) - deliveries.COMPLETED))
def test_delivery__of_a_run_without_results_is_none(outcome: AttemptOutcome) -> None:
    """Only completed runs have files."""
    attempt = _attempt(1, None)
    assert attempt.result
    ended = replace(attempt, result=replace(attempt.result, outcome=outcome))
    assert delivery_of(ended, "default", FileCounts(0, 0), NOW) is None
    assert delivery_of(replace(attempt, result=None), "default", FileCounts(0, 0), NOW) is None
