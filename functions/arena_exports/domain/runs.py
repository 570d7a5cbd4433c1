"""An export run: its status, what the status means, and how to read Arena's JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from arena_exports.domain.errors import RequestNotCompletedError
from arena_exports.domain.model import ItemGuid, RunGuid
from arena_exports.domain.times import duration_seconds, epoch_seconds

# Limits that every store accepts (DynamoDB, Step Functions, SNS).
_GUID = re.compile(r"[A-Za-z0-9]{1,64}")
_MAX_TITLE = 255
_MAX_TIME = 40
_MAX_NUMBER = 10**12


class RunStatus(StrEnum):
    """Arena's six statuses, and one for any other."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    DOWNLOADED = "DOWNLOADED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"


class Phase(StrEnum):
    """What a status means for the poller."""

    PENDING = "pending"
    READY = "ready"
    LOST = "lost"


PHASES = {
    RunStatus.CREATED: Phase.PENDING,
    RunStatus.RUNNING: Phase.PENDING,
    RunStatus.COMPLETE: Phase.READY,
    RunStatus.DOWNLOADED: Phase.READY,
    RunStatus.FAILED: Phase.LOST,
    RunStatus.ABORTED: Phase.LOST,
    RunStatus.UNKNOWN: Phase.PENDING,  # keep polling
}


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file of an ended run; the title is often null."""

    guid: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """One export run as Arena returns it.

    `item_guids` is None if no guid criterion is shown. `files` are distinct; `unreadable_files`
    counts entries of its list without a guid, as in a list that is still being written.
    """

    guid: RunGuid
    number: int | None
    status: RunStatus
    status_text: str
    creation_date_time: str | None
    completion_date_time: str | None
    creator_guid: str | None
    criteria_results_count: int | None
    item_guids: frozenset[ItemGuid] | None
    files: tuple[RunFile, ...]
    unreadable_files: int = 0

    @property
    def phase(self) -> Phase:
        """What the status means."""
        return PHASES[self.status]

    @property
    def created_at(self) -> float | None:
        """When Arena created the run, epoch seconds on Arena's clock."""
        return epoch_seconds(self.creation_date_time)

    @property
    def duration_seconds(self) -> float | None:
        """How long it took by Arena's own times; None while one is unknown."""
        return duration_seconds(self.creation_date_time, self.completion_date_time)


def parse_run(content: Any) -> Run:  # noqa: ANN401 - JSON is anything
    """Read one run.

    Raises:
        RequestNotCompletedError: it has no guid, so it is not a run.
    """
    if not isinstance(content, dict) or not _guid(content.get("guid")):
        message = "the answer is not an export run: it has no guid"
        raise RequestNotCompletedError(message)
    status_text = _text(content.get("status")) or ""
    known = status_text in RunStatus.__members__
    creator = content.get("creator")
    files, unreadable = _files(content.get("files"))
    return Run(
        guid=RunGuid(content["guid"]),
        number=_whole_number(content.get("number")),
        status=RunStatus(status_text) if known else RunStatus.UNKNOWN,
        status_text=status_text[:40],
        creation_date_time=_time(content.get("creationDateTime")),
        completion_date_time=_time(content.get("completionDateTime")),
        creator_guid=_guid(creator.get("guid")) if isinstance(creator, dict) else None,
        criteria_results_count=_whole_number(content.get("criteriaResultsCount")),
        item_guids=_criteria_guids(content.get("criteria")),
        files=files,
        unreadable_files=unreadable,
    )


def parse_runs(content: Any) -> tuple[list[Run], bool]:  # noqa: ANN401 - JSON is anything
    """Read `{"count", "results": [run, …]}`: the runs, and whether these are all.

    Raises:
        RequestNotCompletedError: it is not such a list.
    """
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list):
        message = "the answer is not a list of export runs: it has no results"
        raise RequestNotCompletedError(message)
    count = _whole_number(content.get("count"))
    return [parse_run(result) for result in results], count is None or count <= len(results)


def _criteria_guids(criteria: object) -> frozenset[ItemGuid] | None:
    """Read either documented shape: one array of criteria, or an array of such arrays."""
    if not isinstance(criteria, list):
        return None
    flat = [c for group in criteria for c in (group if isinstance(group, list) else [group])]
    for criterion in flat:
        if isinstance(criterion, dict) and str(criterion.get("attribute")).lower() == "guid":
            value = criterion.get("value")
            values = value if isinstance(value, list) else [value]
            return frozenset(ItemGuid(v.strip().upper()) for v in map(_text, values) if v)
    return None


def _files(files: object) -> tuple[tuple[RunFile, ...], int]:
    """Return the distinct files, and how many entries cannot be read."""
    if not files:
        return (), 0
    entries = files if isinstance(files, list) else [files]
    named = [entry for entry in entries if isinstance(entry, dict) and _guid(entry.get("guid"))]
    distinct = {entry["guid"]: RunFile(entry["guid"], _title(entry)) for entry in named}
    return tuple(distinct.values()), len(entries) - len(named)


def _title(entry: dict[str, Any]) -> str | None:
    return (_text(entry.get("title")) or "")[:_MAX_TITLE] or None


def _text(value: object) -> str | None:
    """Return text without unpaired surrogates, which no store can hold; None for other values."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _guid(value: object) -> str | None:
    return value if isinstance(value, str) and _GUID.fullmatch(value) else None


def _time(value: object) -> str | None:
    """Return a time as Arena wrote it, unless it is too long."""
    text = _text(value)
    return text if text and len(text) <= _MAX_TIME else None


def _whole_number(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MAX_NUMBER else None
