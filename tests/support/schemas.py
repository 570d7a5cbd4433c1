"""The schemas of `infra/schemas`, for all that tests see.

To subscribers the schemas are open: fields may be added. Here they are closed, so that a field
that no schema describes is noticed.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator, Registry, ValidationError

from infra.local.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ROOT / "infra" / "schemas"
SUFFIX = ".schema.json"
NAMES = sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))
_EVENT_TYPES = "arena.export."
_BASE = "json-schema:///"


def schema(name: str) -> Any:
    """Return a schema by its name, for example `message`."""
    return json.loads((FOLDER / f"{name}{SUFFIX}").read_text())


def schema_name(event_type: str) -> str:
    """Return the name of an event's schema: `event-run-failed` for `arena.export.run.failed`."""
    assert event_type.startswith(_EVENT_TYPES), event_type
    return "event-" + event_type.removeprefix(_EVENT_TYPES).replace(".", "-")


@cache
def open_validator(name: str) -> Draft202012Validator:
    """Return the validator of a schema as it is published."""
    return Draft202012Validator(schema(name), validate_formats=True)


@cache
def referred_validator(reference: str) -> Draft202012Validator:
    """Return the validator of what a reference names: `message.schema.json#/$defs/guid`."""
    registry = Registry([(f"{_BASE}{name}{SUFFIX}", schema(name)) for name in NAMES])
    return Draft202012Validator({"$ref": f"{_BASE}{reference}"}, registry=registry)


@cache
def closed_validator(name: str) -> Draft202012Validator:
    """Return the validator of a schema that allows only what it describes."""
    return Draft202012Validator(_closed(schema(name)), validate_formats=True)


def validate_event(event: Mapping[str, Any], attributes: Mapping[str, str]) -> None:
    """Fail for an event, or for message attributes, that `infra/schemas` does not describe."""
    _validate(schema_name(event["type"]), event)
    data = event["data"]
    export_guid = data["exportGuid"]
    path = f"/exports/{export_guid}" if export_guid else ""
    assert event["source"] == f"/arena/{data['workspace']}{path}", event["source"]
    assert event["subject"] == data.get("runGuid", data.get("requestId")), event["subject"]
    assert data["part"] <= data["parts"], f"part {data['part']} of {data['parts']}"
    told = {name: data[name] for name in ("workspace", "exportGuid", "status") if data[name]}
    assert dict(attributes) == {"type": event["type"], **told}, attributes


def validate_manifest(content: bytes) -> None:
    """Fail for a delivery manifest that `infra/schemas` does not describe."""
    _validate("manifest", json.loads(content))


def _validate(name: str, value: Any) -> None:
    try:
        closed_validator(name).validate(value)
    except ValidationError as error:
        path = "/".join(map(str, error.instance_path))
        message = f"{name}: {path or 'the whole'}: {error.message[:500]}"
        raise AssertionError(message) from None


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _closed(value) for name, value in part.items()}
    return {**inner, "additionalProperties": False} if part.get("type") == "object" else inner
