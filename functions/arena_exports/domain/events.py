"""The CloudEvents of the outcome topic (README, "Subscribe"), in parts that fit a message."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from arena_exports.domain.model import camel_case
from arena_exports.domain.times import epoch_seconds, format_utc
from arena_exports.ports import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from arena_exports.domain.attempts import RunResult
    from arena_exports.domain.model import ItemGuid
    from arena_exports.domain.runs import RunFile


RUN_COMPLETED = "arena.export.run.completed"
RUN_FAILED = "arena.export.run.failed"
RUN_DELIVERED = "arena.export.run.delivered"
RUN_UNDELIVERED = "arena.export.run.undelivered"
REQUEST_REJECTED = "arena.export.request.rejected"
REJECTED_STATUS = "REJECTED"

MAX_EVENT_BYTES = 256 * 1024  # SNS: body and attributes together
# Everything but the lists, with the longest names and messages, as JSON escapes them.
_ENVELOPE_BYTES = 12 * 1024
_ROOM_BYTES = MAX_EVENT_BYTES - _ENVELOPE_BYTES
_WHOLE_LIST_BYTES = 64 * 1024  # a shorter list of files is in every part
_FILE_LIFE_SECONDS = 60 * 86_400
_MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class CarriedRequest:
    """How much of one request a run carried, and how many of its items are still open after it."""

    request_id: str
    correlation_id: str | None
    item_count: int
    open_count: int


@dataclass(frozen=True, slots=True)
class EndedRun:
    """An ended run, with what it carried."""

    workspace: str
    export_guid: str
    run_guid: str
    run_number: int | None
    result: RunResult
    item_guids: Sequence[ItemGuid]
    requests: Sequence[CarriedRequest]
    files: Sequence[RunFile]
    time: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request, or items of it, that can never be exported; `time` is epoch seconds."""

    workspace: str
    export_guid: str | None
    request_id: str
    correlation_id: str | None
    item_guids: Sequence[ItemGuid]
    error_code: str
    error_message: str
    time: float


def run_events(outcome: EndedRun) -> list[Event]:
    """Return the parts of `run.completed`, or of `run.failed` if the result has an error."""
    result = outcome.result
    failed = bool(result.error_code)
    fixed = {
        "workspace": outcome.workspace,
        "exportGuid": outcome.export_guid,
        "runGuid": outcome.run_guid,
        "runNumber": outcome.run_number,
        "status": result.status,
        **({"error": _error(result)} if failed else {}),
        "criteriaResultsCount": result.criteria_results_count,
        "creationDateTime": result.creation_date_time,
        "completionDateTime": result.completion_date_time,
        "expirationDateTime": _expiration(result.completion_date_time),
    }
    lists: dict[str, list[Any]] = {
        "itemGuids": list(outcome.item_guids),
        "requests": [
            {camel_case(name): value for name, value in asdict(request).items()}
            for request in outcome.requests
        ],
    }
    if not failed:
        lists |= _file_lists(outcome)
    head = _Head(
        RUN_FAILED if failed else RUN_COMPLETED,
        outcome.workspace,
        outcome.export_guid,
        result.status,
        outcome.time,
    )
    return [
        head.event(f"{outcome.run_guid}/{part['part']}", outcome.run_guid, {**fixed, **part})
        for part in _parts(lists)
    ]


def rejection_events(rejection: Rejection) -> list[Event]:
    """Return the parts of `request.rejected`.

    Their ids depend only on the request, the items and the code.
    """
    fixed = {
        "workspace": rejection.workspace,
        "requestId": rejection.request_id,
        "correlationId": rejection.correlation_id,
        "exportGuid": rejection.export_guid,
        "status": REJECTED_STATUS,
        "error": _error(rejection),
    }
    contents = ",".join([rejection.error_code, *rejection.item_guids]).encode()
    fingerprint = hashlib.sha256(contents).hexdigest()[:16]
    head = _Head(
        REQUEST_REJECTED,
        rejection.workspace,
        rejection.export_guid,
        REJECTED_STATUS,
        rejection.time,
    )
    return [
        head.event(
            f"{rejection.request_id}/{fingerprint}/{part['part']}",
            rejection.request_id,
            {**fixed, **part},
        )
        for part in _parts({"itemGuids": list(rejection.item_guids)})
    ]


@dataclass(frozen=True, slots=True)
class WrittenManifest:
    """A manifest in the bucket: its content and place; `sha256` of its bytes."""

    content: Mapping[str, Any]
    bucket: str
    key: str
    sha256: str


def delivery_events(manifest: WrittenManifest, open_counts: Mapping[str, int]) -> list[Event]:
    """Return the parts of `run.delivered`, or of `run.undelivered` if a file is missing.

    All data comes from the manifest, except `openCount`, which is the same as in `run.completed`.
    """
    content = manifest.content
    names = ("workspace", "exportGuid", "runGuid", "runNumber", "status", "delivery")
    fixed = {
        **{name: content[name] for name in names},
        "bucket": manifest.bucket,
        "manifestKey": manifest.key,
        "manifestSha256": manifest.sha256,
    }
    file_names = ("guid", "title", "key", "size", "sha256")
    lists: dict[str, list[Any]] = {
        "files": [{name: file[name] for name in file_names} for file in content["files"]],
        "undeliverable": content["undeliverable"],
        "requests": [
            {
                "requestId": request["requestId"],
                "correlationId": request["correlationId"],
                "itemCount": len(request["itemGuids"]),
                "openCount": open_counts.get(request["requestId"], 0),
            }
            for request in content["requests"]
        ],
    }
    head = _Head(
        RUN_DELIVERED if content["complete"] else RUN_UNDELIVERED,
        content["workspace"],
        content["exportGuid"],
        content["status"],
        epoch_seconds(content["deliveredAt"]) or 0,
    )
    run_guid = content["runGuid"]
    return [
        head.event(f"{run_guid}/delivered/{content['delivery']}/{part['part']}", run_guid, data)
        for part in _parts(lists)
        for data in [{**fixed, **part}]
    ]


@dataclass(frozen=True, slots=True)
class _Head:
    """What the parts of one event have in common."""

    type: str
    workspace: str
    export_guid: str | None
    status: str
    time: float

    def event(self, event_id: str, subject: str, data: Mapping[str, Any]) -> Event:
        export = f"/exports/{self.export_guid}" if self.export_guid else ""
        body = {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/arena/{self.workspace}{export}",
            "type": self.type,
            "time": format_utc(self.time),
            "subject": subject,
            "datacontenttype": "application/json",
            "data": data,
        }
        attributes = {"type": self.type, "workspace": self.workspace, "status": self.status}
        if self.export_guid:
            attributes["exportGuid"] = self.export_guid
        return Event(_json(body), attributes)


def _file_lists(outcome: EndedRun) -> dict[str, list[Any]]:
    path = partial(content_path, outcome.export_guid, outcome.run_guid)
    files = [{**asdict(file), "contentPath": path(file.guid)} for file in outcome.files]
    return {"fileGuids": [file.guid for file in outcome.files], "files": files}


def _parts(lists: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Spread lists over as many parts as they need, each value in one part.

    A list of files is in every part if it takes less than 64 KiB; a longer one is spread too.
    """
    file_lists = {name: v for name, v in lists.items() if name in ("fileGuids", "files")}
    whole = {name: v for name, v in file_lists.items() if _size(v) < _WHOLE_LIST_BYTES}
    room = _ROOM_BYTES - sum(map(_size, whole.values()))
    cut = [(name, value) for name, values in lists.items() if name not in whole for value in values]
    slices = list(_slices(cut, room)) or [[]]
    parts = []
    for number, part in enumerate(slices, start=1):
        content: dict[str, list[Any]] = {**{name: [] for name in lists}, **whole}
        for name, value in part:
            content[name].append(value)
        parts.append({**content, "part": number, "parts": len(slices)})
    return parts


def _slices(values: Iterable[tuple[str, Any]], room: int) -> Iterator[list[tuple[str, Any]]]:
    part: list[tuple[str, Any]] = []
    used = 0
    for name, value in values:
        size = _size(value) + 1
        if part and used + size > room:
            yield part
            part, used = [], 0
        part.append((name, value))
        used += size
    if part:
        yield part


def _error(failed: RunResult | Rejection) -> dict[str, str]:
    return {"code": failed.error_code, "message": failed.error_message[:_MAX_MESSAGE]}


def _expiration(completion_date_time: str | None) -> str | None:
    completed = epoch_seconds(completion_date_time)
    return None if completed is None else format_utc(completed + _FILE_LIFE_SECONDS)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _size(value: object) -> int:
    return len(_json(value))


def content_path(export_guid: str, run_guid: str, file_guid: str) -> str:
    """Return the path of a file's content below the base address."""
    return f"/exports/{export_guid}/runs/{run_guid}/files/{file_guid}/content"
