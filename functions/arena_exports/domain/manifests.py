"""The manifest of a delivery: written last, and the source of every copy of its event (R12)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from arena_exports.domain.deliveries import FILE_WITHOUT_GUID
from arena_exports.domain.times import format_utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from arena_exports.domain.deliveries import Delivery, FileRecord, StoredFile
    from arena_exports.domain.model import Entry, ItemGuid, RequestId

SCHEMA_VERSION = 1
_WITHOUT_GUID = {
    "guid": None,
    "error": {
        "code": FILE_WITHOUT_GUID,
        "message": "Arena's list of the run's files has an entry without a GUID",
    },
}


def manifest_bytes(
    delivery: Delivery, files: Sequence[FileRecord], entries: Iterable[Entry], now: float
) -> bytes:
    """Return the manifest of a delivery whose files all have an outcome (CONTRACT §6)."""
    content = {
        "schemaVersion": SCHEMA_VERSION,
        "delivery": delivery.number,
        "deliveredAt": format_utc(now),
        "workspace": delivery.workspace,
        "exportGuid": delivery.export_guid,
        "runGuid": delivery.run_guid,
        "runNumber": delivery.run_number,
        "status": delivery.status,
        "kind": delivery.kind.value,
        "creationDateTime": delivery.creation_date_time,
        "completionDateTime": delivery.completion_date_time,
        "expirationDateTime": delivery.completion_date_time and format_utc(delivery.expires_at),
        "criteriaResultsCount": delivery.criteria_results_count,
        "complete": _is_complete(delivery, files),
        "files": [_file(file, file.stored) for file in files if file.stored],
        "undeliverable": [
            {"guid": f.guid, "error": {"code": f.error_code, "message": f.error_message}}
            for f in files
            if not f.stored
        ]
        + [_WITHOUT_GUID] * delivery.files_without_guid,
        "requests": _requests(entries),
    }
    return json.dumps(content, indent=1).encode()


def read_manifest(body: bytes, delivery: Delivery) -> dict[str, Any]:
    """Read the manifest of a delivery.

    Raises:
        ValueError: it is not a manifest, or belongs to another delivery.
    """
    try:
        content = json.loads(body)
    except RecursionError:
        content = None
    expected = {
        "schemaVersion": SCHEMA_VERSION,
        "delivery": delivery.number,
        "workspace": delivery.workspace,
        "runGuid": delivery.run_guid,
    }
    if not isinstance(content, dict) or any(
        content.get(name) != value for name, value in expected.items()
    ):
        message = "the object is not the manifest of this delivery"
        raise ValueError(message)
    return content


def _is_complete(delivery: Delivery, files: Sequence[FileRecord]) -> bool:
    stored = sum(1 for file in files if file.stored)
    return stored == delivery.file_count and not delivery.files_without_guid


def _file(file: FileRecord, stored: StoredFile) -> dict[str, Any]:
    return {
        "guid": file.guid,
        "title": file.title,
        "name": stored.name,
        "key": stored.key,
        "versionId": stored.version_id,
        "size": stored.size,
        "sha256": stored.sha256,
        "contentType": stored.content_type,
    }


def _requests(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return each request once, with those of its items that the run carried, in order."""
    items: dict[RequestId, list[ItemGuid]] = {}
    correlation_ids: dict[RequestId, str | None] = {}
    for entry in entries:
        items.setdefault(entry.request_id, []).extend(entry.item_guids)
        correlation_ids.setdefault(entry.request_id, entry.correlation_id)
    return [
        {"requestId": name, "correlationId": correlation_ids[name], "itemGuids": guids}
        for name, guids in items.items()
    ]
