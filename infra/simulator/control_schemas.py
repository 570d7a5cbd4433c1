"""JSON Schemas for the request bodies of the control interface."""

from collections.abc import Mapping
from typing import Any

from infra.simulator.budget import REMAINING_FORMS, RESET_FORMS
from infra.simulator.clock import DATE_FORMS
from infra.simulator.contents import CONTENTS
from infra.simulator.delivery import ETAG_FORMS, FRAMINGS, RANGE_FORMS

Schema = Mapping[str, Any]

_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}
_FLAG = {"type": "boolean"}
_SECONDS = {"type": "number", "minimum": 0, "maximum": 100_000_000}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_CODE = {"type": "integer", "minimum": 100, "maximum": 9999}
_HTTP = {"type": "integer", "minimum": 200, "maximum": 599}
_TIMES = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
_LONG_TEXT = {"type": "string", "maxLength": 20_000}
_BYTES = {"type": "integer", "minimum": 0, "maximum": 1_000_000_000_000}
_TEXTS = {"type": "array", "items": _TEXT}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


NOTHING = _object({})
SETTINGS = _object(
    {
        "createdSeconds": _SECONDS,
        "runningSeconds": _SECONDS,
        "criteriaShape": {"enum": ["array", "groups"]},
        "badGuidsNamed": {"enum": ["first", "all"]},
        "badGuidBlanks": _FLAG,
        "slotCheckedFirst": _FLAG,
        "unknownDefinitionCode": {"enum": [3011, 3012]},
        "listShowsOthers": _FLAG,
        "listOrder": {"enum": ["newest", "oldest"]},
        "listLimit": _or_null(_COUNT),
        "sessionKey": {"enum": ["arenaSessionId", "arena_session_id"]},
        "sessionIdleSeconds": _SECONDS,
        "deadSessionForm": {"enum": ["error", "redirect", "page"]},
        "maxBodyBytes": _or_null(_COUNT),
        "fileNotReadyCode": {"enum": [3017, 4077]},
        "fileEmptyCode": {"enum": [3028, 4078]},
        "emptyFiles": {"enum": ["absent", "empty", "null"]},
        "unknownFileCode": {"enum": [3011, 3012]},
        "expiredFileCode": {"enum": [404, 3012]},
        "fileNamesListed": _FLAG,
        "fileFraming": {"enum": [*FRAMINGS]},
        "fileRanges": {"enum": [*RANGE_FORMS]},
        "fileEtag": {"enum": [*ETAG_FORMS]},
        "downloadsLockSession": _FLAG,
        "oldCodes": _FLAG,
        "clockSkewSeconds": {"type": "number", "minimum": -1_000_000, "maximum": 1_000_000},
        "dateForm": {"enum": [*DATE_FORMS]},
        "gzip": {"enum": ["never", "asked", "always"]},
    }
)
FILE = _object(
    {
        "kind": _or_null({"enum": [*CONTENTS]}),
        "size": _or_null(_BYTES),
        "title": _or_null(_LONG_TEXT),
        "name": _or_null(_LONG_TEXT),
        "generation": _COUNT,
        "byteOrderMark": _FLAG,
        "contentType": _or_null(_TEXT),
        "metadataSize": _or_null(_BYTES),
    }
)
_PLAN: Mapping[str, Schema] = {
    "status": _TEXT,
    "createdSeconds": _SECONDS,
    "runningSeconds": _SECONDS,
    "steps": {
        "type": "array",
        "minItems": 1,
        "items": _object({"status": _TEXT, "seconds": _SECONDS}, required=("status",)),
    },
    "files": {"type": "integer", "minimum": 0, "maximum": 50_000},
    "fileEntries": {"enum": ["whole", "withoutGuid", "twice"]},
    "fileEntriesSeconds": _or_null(_SECONDS),
    "criteriaResultsCount": _COUNT,
    "contents": {"type": "array", "items": FILE},
    "nullFields": {"type": "array", "items": {"enum": ["number", "completionDateTime"]}},
}
NEXT_RUNS = _object({"count": _TIMES, **_PLAN})
FOREIGN_RUN = _object({"seconds": _SECONDS, "exportGuid": _TEXT, "itemGuids": _TEXTS, **_PLAN})
RUN = _object({"status": _TEXT}, required=("status",))
_DOWNLOAD = _object(
    {
        "framing": {"enum": [*FRAMINGS]},
        "etag": {"enum": [*ETAG_FORMS]},
        "ranges": {"enum": [*RANGE_FORMS]},
        "regenerate": _FLAG,
        "withoutEnd": _FLAG,
        "compressed": _FLAG,
        "extraBytes": _BYTES,
        "cutAfterBytes": {"type": "integer"},
        "stallAfterBytes": _BYTES,
        "stallSeconds": _SECONDS,
        "bytesPerSecond": {"type": "integer", "minimum": 1},
    }
)
FAULT = _object(
    {
        "method": {"enum": ["*", "GET", "POST", "PUT", "PATCH", "DELETE"]},
        "path": _TEXT,
        "skip": _COUNT,
        "times": _or_null(_TIMES),
        "lastsSeconds": _SECONDS,
        "parameters": _TEXTS,
        "itemGuids": _TEXTS,
        "bodyAboveBytes": _COUNT,
        "runsYoungerThanSeconds": _SECONDS,
        "work": _FLAG,
        "counts": _FLAG,
        "drop": _FLAG,
        "truncate": _FLAG,
        "leaveOut": _FLAG,
        "status": _HTTP,
        "code": _CODE,
        "message": {"type": "string"},
        "body": {"type": "string"},
        "contentType": _TEXT,
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "arenaHeaders": _FLAG,
        "retryAfterSeconds": _SECONDS,
        "retryAfterForm": {"enum": ["seconds", "date"]},
        "delayBeforeSeconds": _SECONDS,
        "delayAfterSeconds": _SECONDS,
        "lateSeconds": _SECONDS,
        "download": _DOWNLOAD,
    }
)
BUDGET = _object(
    {
        "limit": _TIMES,
        "remaining": _COUNT,
        "resetSeconds": _SECONDS,
        "resetForm": {"enum": [*RESET_FORMS, "past"]},
        "remainingForm": {"enum": [*REMAINING_FORMS]},
    }
)
ACCOUNT = _object(
    {
        "password": _TEXT,
        "lockedSeconds": _SECONDS,
        "refusal": _or_null({"enum": [4001, 4079, 4081, 4082, 4083]}),
        "answeredWorkspaceId": {"type": "integer"},
    }
)
GUIDS = _object({"bad": _TEXTS, "unknown": _TEXTS, "poison": _TEXTS})
DEFINITION = _object(
    {
        "name": _TEXT,
        "views": {"type": "array", "items": _TEXT, "minItems": 1},
        "format": {"enum": ["CSV", "JSON"]},
        "criteria": {"type": "array", "items": {"type": "array", "items": {"type": "object"}}},
        "matchedItems": _COUNT,
        "linesPerItem": _TIMES,
        "maxItems": _or_null(_COUNT),
        "refusal": _or_null(_CODE),
    }
)
