"""Read the bodies of intake messages (README, "Send") into export requests.

A body is tried as a bare GUID first, then as JSON; JSON may stand in the envelope of an SNS
notification or of an EventBridge event, once.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from arena_exports.errors import InvalidMessageError
from arena_exports.model import ExportGuid, ExportRequest, Group, ItemGuid, Kind, Lane, RequestId

_GUID = re.compile(r"[A-Z0-9]{16,32}")
_REQUEST_KEYS = ("exportGuid", "itemGuids", "correlationId", "workspace", "priority")
_LONGEST_CORRELATION_ID = 128
_LONGEST_QUOTE = 60
_RECONCILE = {"action": "reconcile"}


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What a stack accepts: its workspace's name, its default export definition ("" for none)."""

    workspace: str
    default_export_guid: str


def parse_message(request_id: str, body: str, rules: IntakeRules) -> ExportRequest | None:
    """Read one intake message; None stands for `{"action": "reconcile"}`, which records nothing.

    Raises:
        InvalidMessageError: `InvalidMessage`, `WrongWorkspace` or `NoExportDefinition`; the message
            names the field.
    """
    guid = normal_guid(body)
    content = guid or _without_envelope(_json(body))
    if content == _RECONCILE:
        return None
    fields = _fields(content)
    try:
        return _request(request_id, fields, rules, _name_of_items(content))
    except InvalidMessageError as exc:
        exc.export_guid = normal_guid(fields.get("exportGuid"))
        with suppress(InvalidMessageError):
            exc.correlation_id = _correlation_id(fields)
        raise


def _request(
    request_id: str, fields: dict[str, Any], rules: IntakeRules, name: str
) -> ExportRequest:
    """Read the full form; `name` is what the sender calls the list of items."""
    _check_keys(fields)
    _check_workspace(fields, rules)
    export_guid, lane, correlation_id = (
        _export_guid(fields, rules),
        _lane(fields),
        _correlation_id(fields),
    )
    if "itemGuids" not in fields:
        return ExportRequest(
            RequestId(request_id), Group(lane, export_guid, Kind.DEFINITION), (), correlation_id
        )
    item_guids = _item_guids(fields["itemGuids"], name)
    return ExportRequest(
        RequestId(request_id), Group(lane, export_guid, Kind.ITEMS), item_guids, correlation_id
    )


def normal_guid(text: object) -> str | None:
    """Return a GUID in its normal form (upper case, no blanks around); None for what is none."""
    if not isinstance(text, str):
        return None
    guid = text.strip().upper() if len(text) < _LONGEST_CORRELATION_ID and text.isascii() else ""
    return guid if _GUID.fullmatch(guid) else None


def _json(body: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(body)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _invalid(f"body is neither a GUID nor JSON: {_quote(body)}") from None


def _without_envelope(content: Any) -> Any:  # noqa: ANN401 - JSON is anything
    if not isinstance(content, dict):
        return content
    if content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
        message = content["Message"]
        return normal_guid(message) or _json(message)
    if "detail" in content and "detail-type" in content:
        return content["detail"]
    return content


def _fields(content: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is anything
    """Bring every accepted form into the full one."""
    if isinstance(content, str):
        if normal_guid(content) is None:
            raise _invalid(f"body could not be a GUID: {_quote(content)}")
        return {"itemGuids": [content]}
    if isinstance(content, list):
        return {"itemGuids": content}
    if isinstance(content, dict) and "results" in content:
        unknown = sorted(set(content) - {"results", "count"})
        if unknown:
            raise _invalid(
                f"unknown key beside results: {_quote(unknown[0])}; only count may stand there"
            )
        return {"itemGuids": content["results"]}
    if isinstance(content, dict):
        return content
    raise _invalid(f"body must be a GUID, a list of GUIDs or an object, not {_quote(content)}")


def _name_of_items(content: Any) -> str:  # noqa: ANN401 - JSON is anything
    """Return what the sender calls the list of items."""
    if isinstance(content, dict):
        return "results" if "results" in content else "itemGuids"
    return "body"


def _check_keys(fields: dict[str, Any]) -> None:
    if "action" in fields:
        raise _invalid('action must be "reconcile", and stand without other keys')
    unknown = sorted(set(fields) - set(_REQUEST_KEYS))
    if unknown:
        raise _invalid(
            f"unknown key: {_quote(unknown[0])}; accepted are {', '.join(_REQUEST_KEYS)}"
        )
    if not fields.keys() & {"exportGuid", "itemGuids"}:
        raise _invalid("exportGuid or itemGuids is missing")


def _check_workspace(fields: dict[str, Any], rules: IntakeRules) -> None:
    workspace = fields.get("workspace", rules.workspace)
    if not isinstance(workspace, str):
        raise _invalid(f"workspace must be text, not {_quote(workspace)}")
    if workspace != rules.workspace:
        message = f"workspace is {_quote(workspace)}, this stack serves {_quote(rules.workspace)}"
        raise InvalidMessageError("WrongWorkspace", message)


def _export_guid(fields: dict[str, Any], rules: IntakeRules) -> ExportGuid:
    if "exportGuid" not in fields:
        if not rules.default_export_guid:
            message = "exportGuid is missing and this stack has no default export definition"
            raise InvalidMessageError("NoExportDefinition", message)
        return ExportGuid(rules.default_export_guid)
    guid = normal_guid(fields["exportGuid"])
    if guid is None:
        raise _invalid(f"exportGuid could not be a GUID: {_quote(fields['exportGuid'])}")
    return ExportGuid(guid)


def _lane(fields: dict[str, Any]) -> Lane:
    priority = fields.get("priority", Lane.NORMAL)
    if priority not in (Lane.NORMAL, Lane.BULK):
        raise _invalid(f"priority must be normal or bulk, not {_quote(priority)}")
    return Lane(priority)


def _correlation_id(fields: dict[str, Any]) -> str | None:
    value = fields.get("correlationId")
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_CORRELATION_ID:
        raise _invalid(
            f"correlationId must be text of at most {_LONGEST_CORRELATION_ID} characters, not "
            f"{_quote(value)}"
        )
    if not value.isascii() and _has_half_a_character(value):
        raise _invalid(f"correlationId has half a character (a surrogate): {_quote(value)}")
    return value


def _has_half_a_character(text: str) -> bool:
    """Tell a lone surrogate, which JSON can spell and UTF-8, so logs and SQS, cannot."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _item_guids(values: object, name: str) -> tuple[ItemGuid, ...]:
    if not isinstance(values, list):
        raise _invalid(f"{name} must be a list, not {_quote(values)}")
    if not values:
        raise _invalid(
            f"{name} is an empty list; to run a definition with its own criteria, send its "
            "exportGuid without items"
        )
    guids: dict[ItemGuid, None] = {}
    for position, value in enumerate(values):
        guid = normal_guid(value)
        if guid is None:
            raise _invalid(f"{name}[{position}] could not be a GUID: {_quote(value)}")
        guids[ItemGuid(guid)] = None
    return tuple(guids)


def _invalid(message: str) -> InvalidMessageError:
    return InvalidMessageError("InvalidMessage", message)


def _too_deep() -> InvalidMessageError:
    return _invalid("body is nested too deeply")


def _quote(value: object) -> str:
    """Return a value as a short line of printable ASCII, fit for logs and message attributes.

    Raises:
        InvalidMessageError: it is nested so deeply that it could be read, and cannot be written.
    """
    try:
        text = json.dumps(value)
    except RecursionError:
        raise _too_deep() from None
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
