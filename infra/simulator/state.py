"""The state that the control interface shows, without session ids and passwords."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from infra.simulator.clock import format_utc
from infra.simulator.faults import Queued
from infra.simulator.request_log import Record, RequestLog
from infra.simulator.runs import Run
from infra.simulator.workspace import Workspace

View = dict[str, Any]


def state_view(workspace: Workspace, latest: int | None = None) -> View:
    """Return everything except the item GUIDs of runs; `latest` limits the request log."""
    now = workspace.now()
    slot = workspace.exports.run_in_progress(now)
    sets = asdict(workspace.exports.guid_sets)
    return {
        "now": format_utc(now),
        "slot": None if slot is None else slot.guid,
        "runs": [_run_view(run, now) for run in workspace.exports.runs],
        "downloading": len(workspace.downloading),
        "sessions": workspace.accounts.session_count(now, workspace.settings),
        "budget": _budget_view(workspace, now),
        "counts": _counts_view(workspace.request_log),
        "requests": [_record_view(record) for record in _latest(workspace.request_log, latest)],
        "settings": _camel(asdict(workspace.settings)),
        "plannedRuns": len(workspace.exports.plans),
        "faults": [_fault_view(queued) for queued in workspace.faults.queued],
        "guids": {name: sorted(guids) for name, guids in sets.items()},
        "definitions": sorted(workspace.exports.definitions),
    }


def runs_view(workspace: Workspace) -> View:
    """Return every run with its item GUIDs."""
    now = workspace.now()
    runs = workspace.exports.runs
    return {"runs": [_run_view(run, now) | {"itemGuids": run.item_guids} for run in runs]}


def _run_view(run: Run, now: float) -> View:
    ended_at = run.ended_at(now)
    return {
        "guid": run.guid,
        "exportGuid": run.export_guid,
        "number": run.number,
        "status": run.status(now),
        "creator": run.creator.email,
        "itemCount": len(run.item_guids),
        "criteriaResultsCount": run.results_count,
        "fileGuids": run.file_guids,
        "creationDateTime": format_utc(run.created_at),
        "completionDateTime": None if ended_at is None else format_utc(ended_at),
        "createdAt": run.created_at,
        "endedAt": ended_at,
    }


def _budget_view(workspace: Workspace, now: float) -> View:
    budget = workspace.budget
    budget.refresh(now)
    view = asdict(budget) | {
        "remaining": budget.remaining,
        "resets_at": format_utc(budget.resets_at),
    }
    return _camel(view)


def _counts_view(request_log: RequestLog) -> View:
    return {
        "total": request_log.total,
        "byPurpose": dict(request_log.by_purpose),
        "byStatus": dict(request_log.by_status),
        "byCode": dict(request_log.by_code),
    }


def _latest(request_log: RequestLog, latest: int | None) -> list[Record]:
    records = list(request_log.records)
    return records if latest is None else records[max(len(records) - latest, 0) :]


def _record_view(record: Record) -> View:
    return _camel(asdict(record))


def _fault_view(queued: Queued) -> View:
    fault = _camel(asdict(queued.fault))
    return fault | {
        "headers": dict(queued.fault.headers),
        "download": _camel(asdict(queued.fault.download)),
        "skip": queued.skip,
        "times": queued.times,
        "endsAt": queued.ends_at,
    }


def _camel(view: Mapping[str, Any]) -> View:
    return {re.sub(r"_(.)", lambda hit: hit[1].upper(), key): view[key] for key in view}
