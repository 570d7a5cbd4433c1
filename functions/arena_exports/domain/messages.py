"""Read the bodies of intake messages (README, "Send") into export requests.

A body is either a bare GUID or JSON. JSON may be in the envelope of an SNS notification, of an
EventBridge event, or of one inside the other. Reasons name the place: `body`, `body.Message` (SNS),
`body.detail` (EventBridge), `body.Message.detail`, and so on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from arena_exports.domain.errors import InvalidMessageError
from arena_exports.domain.model import (
    ExportGuid,
    ExportRequest,
    Group,
    ItemGuid,
    Kind,
    Lane,
    RequestId,
)

_GUID = re.compile(r"[A-Z0-9]{16,32}")
_GUIDS_WITHOUT_JSON = re.compile(r"""\s*(\[\s*'?|["']?)[A-Za-z0-9]{16,32}["']?[\s,;\]]""")
_EXTRA_COMMA = re.compile(r",\s*[,\]}]")
_REQUEST_KEYS = ("exportGuid", "itemGuids", "correlationId", "workspace", "priority")
_MAX_CORRELATION_ID = 128
_MAX_PADDED_GUID = 127  # with the white space around it
_MAX_QUOTE = 60
_QUOTE_BEFORE_A_MISTAKE = 20
_MAX_ENVELOPES = 4
_RECONCILE = {"action": "reconcile"}
_BYTE_ORDER_MARK = "\ufeff"
_UNCONFIRMED = {
    "SubscriptionConfirmation": "is not confirmed yet",
    "UnsubscribeConfirmation": "was ended, and can be confirmed again",
}
# Only our own CloudEvents have both, in whatever envelope they arrive.
_OUR_TYPE = re.compile(r'"(detail-)?type"\s*:\s*"arena\.export\.')
_OUR_SOURCE = re.compile(r'"source"\s*:\s*"/arena/')


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What a stack accepts: its workspace's name, its default export definition ("" for none)."""

    workspace: str
    default_export_guid: str


def parse_message(request_id: str, body: str, rules: IntakeRules) -> ExportRequest | None:
    """Read one intake message; return None for `{"action": "reconcile"}`, which records nothing.

    Raises:
        InvalidMessageError: `InvalidMessage`, `WrongWorkspace` or `NoExportDefinition`; the message
            names the field and its place.
    """
    try:
        place, content = _without_envelopes(body)
        if content == _RECONCILE:
            return None
        return _export_request(request_id, content, place, rules)
    except InvalidMessageError:
        if _is_own_event(body):
            raise _own_event() from None
        raise


def _is_own_event(body: str) -> bool:
    """Return whether an invalid body contains one of our own events, in whatever envelope."""
    text = body.replace("\\", "")  # JSON in JSON escapes quotes; some writers escape slashes
    return bool(_OUR_TYPE.search(text) and _OUR_SOURCE.search(text))


def _export_request(
    request_id: str,
    content: Any,  # noqa: ANN401 - JSON is anything
    place: str,
    rules: IntakeRules,
) -> ExportRequest:
    fields = _fields(content, place)
    try:
        return _request(request_id, fields, rules, _name_of_items(content, place))
    except InvalidMessageError as exc:
        error = InvalidMessageError(exc.code, _with_place(str(exc), place))
        error.export_guid = normal_guid(fields.get("exportGuid"))
        with suppress(InvalidMessageError):
            error.correlation_id = _correlation_id(fields)
        raise error from None


def _with_place(message: str, place: str) -> str:
    return message if place == "body" or place in message else f"{message} (in {place})"


def _request(
    request_id: str, fields: dict[str, Any], rules: IntakeRules, name: str
) -> ExportRequest:
    """Read the full form; `name` is the sender's name for the list of items."""
    _check_keys(fields)
    _check_workspace(fields, rules)
    export_guid, lane = _export_guid(fields, rules), _lane(fields)
    correlation_id = _correlation_id(fields)
    with_items = "itemGuids" in fields
    item_guids = _item_guids(fields["itemGuids"], name) if with_items else ()
    group = Group(lane, export_guid, Kind.ITEMS if with_items else Kind.DEFINITION)
    return ExportRequest(RequestId(request_id), group, item_guids, correlation_id)


def normal_guid(text: object) -> str | None:
    """Return a GUID in upper case, without surrounding white space; None if it is not a GUID."""
    if not isinstance(text, str):
        return None
    guid = text.strip().upper() if len(text) <= _MAX_PADDED_GUID and text.isascii() else ""
    return guid if _GUID.fullmatch(guid) else None


def _without_envelopes(body: str) -> tuple[str, Any]:
    """Return the content inside all envelopes, and its place."""
    place, content = "body", _read(body, "body")
    while inner := _without_envelope(content, place):
        place, content = inner
        if place.count(".") > _MAX_ENVELOPES:
            raise _invalid(f"body has more than {_MAX_ENVELOPES} envelopes, one inside another")
    return place, content


def _without_envelope(content: Any, place: str) -> tuple[str, Any] | None:  # noqa: ANN401 - JSON is anything
    if not isinstance(content, dict):
        return None
    if content.get("Type") in tuple(_UNCONFIRMED):
        raise _subscription(content, place)
    if content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
        inner = f"{place}.Message"
        return inner, _read(content["Message"], inner)
    if "detail" in content and "detail-type" in content:
        return f"{place}.detail", content["detail"]
    return None


def _subscription(content: dict[str, Any], place: str) -> InvalidMessageError:
    kind = content["Type"]
    return _invalid(
        f"{place} is the {kind} of an SNS subscription that {_UNCONFIRMED[kind]}: open its "
        "SubscribeURL, or pass its Token to `aws sns confirm-subscription`; "
        f"topic {_quote(content.get('TopicArn'))}"
    )


def _read(text: str, place: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read a GUID or JSON; a leading byte order mark is dropped."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    return normal_guid(text) or read_json(text, place)


def read_json(text: str, place: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read strict JSON: each key once, no NaN, no oversized numbers.

    Raises:
        InvalidMessageError: it is not strict JSON; the message names the position.
    """

    def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise _invalid(f"key {_quote(twice)} occurs more than once in {place}")
        return found

    def whole_number(digits: str) -> int:
        try:
            return int(digits)
        except ValueError:
            raise _invalid(f"{place} has a number with {len(digits)} digits") from None

    def no_number(name: str) -> NoReturn:
        raise _invalid(f"{place} has {name}, which is not JSON")

    try:
        return json.loads(
            text,
            object_pairs_hook=each_key_once,
            parse_int=whole_number,
            parse_constant=no_number,
        )
    except RecursionError:
        raise _invalid(f"{place} is nested too deeply") from None
    except json.JSONDecodeError as exc:
        near = _quote(text[max(exc.pos - _QUOTE_BEFORE_A_MISTAKE, 0) :][:_MAX_QUOTE])
        hint = _hint(text, exc.pos)
        raise _invalid(f"{place} is neither a GUID nor JSON: {exc}, near {near}{hint}") from None


def _hint(text: str, position: int) -> str:
    """Return a guess at the sender's mistake at a position of invalid JSON, or ""."""
    start, end = max(position - _QUOTE_BEFORE_A_MISTAKE, 0), position + _MAX_QUOTE
    commas = _EXTRA_COMMA.finditer(text, start, end)
    if any(comma.start() <= position < comma.end() for comma in commas):
        return "; an extra comma?"
    if _GUIDS_WITHOUT_JSON.match(text):
        return "; several GUIDs are sent as a JSON list, each in double quotes"
    return ""


def _fields(content: Any, place: str) -> dict[str, Any]:  # noqa: ANN401 - JSON is anything
    """Return any accepted form as the full form."""
    if isinstance(content, str):
        if normal_guid(content) is None:
            raise _invalid(f"{place} is not a valid GUID: {_quote(content)}")
        return {"itemGuids": [content]}
    if isinstance(content, list):
        return {"itemGuids": content}
    if isinstance(content, dict) and "results" in content:
        unknown = sorted(set(content) - {"results", "count"})
        if unknown:
            message = f"unknown key beside results: {_quote(unknown[0])}; only count is accepted"
            raise _invalid(_with_place(message, place))
        return {"itemGuids": content["results"]}
    if isinstance(content, dict):
        return content
    raise _invalid(f"{place} must be a GUID, a list of GUIDs or an object, not {_quote(content)}")


def _name_of_items(content: Any, place: str) -> str:  # noqa: ANN401 - JSON is anything
    """Return the sender's name for the list of items."""
    if isinstance(content, dict):
        return "results" if "results" in content else "itemGuids"
    return place


def _check_keys(fields: dict[str, Any]) -> None:
    if "action" in fields:
        raise _invalid('action must be "reconcile", without other keys')
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
        raise _invalid(f"exportGuid is not a valid GUID: {_quote(fields['exportGuid'])}")
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
    if not isinstance(value, str) or len(value) > _MAX_CORRELATION_ID:
        raise _invalid(
            f"correlationId must be text of at most {_MAX_CORRELATION_ID} characters, not "
            f"{_quote(value)}"
        )
    if not value.isascii() and _has_unpaired_surrogate(value):
        raise _invalid(f"correlationId contains an unpaired surrogate: {_quote(value)}")
    return value


def _has_unpaired_surrogate(text: str) -> bool:
    """Return whether text has an unpaired surrogate, which UTF-8, logs and SQS cannot hold."""
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
            raise _invalid(f"{name}[{position}] is not a valid GUID: {_quote(value)}")
        guids[ItemGuid(guid)] = None
    return tuple(guids)


def _invalid(message: str) -> InvalidMessageError:
    return InvalidMessageError("InvalidMessage", message)


def _own_event() -> InvalidMessageError:
    error = _invalid(
        "body is an event of this application (type arena.export…): stop sending the outcome "
        "topic's events to the intake queue"
    )
    error.is_own_event = True
    return error


def _quote(value: object) -> str:
    """Return a value as a short line of ASCII, for logs and message attributes."""
    try:
        text = json.dumps(value)
    except RecursionError:  # reading allows slightly deeper nesting than writing
        return "a value that is nested too deeply"
    return text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE] + "…"
