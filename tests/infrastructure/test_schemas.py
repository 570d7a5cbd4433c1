"""The schemas of `infra/schemas`, their AsyncAPI document, and their examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema_rs import Draft202012Validator, validator_for

from arena_exports.domain import events
from infra.local.paths import ROOT
from tests.support.schema_examples import ASYNCAPI, EXAMPLES, captured, documents
from tests.support.schemas import (
    FOLDER,
    NAMES,
    SUFFIX,
    open_validator,
    referred_validator,
    schema,
    schema_name,
    validate_event,
    validate_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = [name for name in NAMES if name.startswith("event-")]
OUTPUTS = [*EVENTS, "manifest"]
OFFICIAL = ROOT / "tests" / "vendor" / "asyncapi" / "asyncapi-3.0.0.json"
API = json.loads(ASYNCAPI.read_text())
MESSAGES = API["components"]["messages"]
FROM_THE_WORLD = set(captured())
NOT_CAPTURED = {"dead-letter"}
COMPLETED = json.loads((EXAMPLES / "event-run-completed.json").read_text())
FOLDER_KEY = f"arena/v1/default/{'E' * 20}/2023/03/08/00000012-Z8SPLFQS3K0DTYB56MW"
FILE = {
    "guid": "FILE0000000000000000",
    "title": None,
    "name": "items.zip",
    "key": f"{FOLDER_KEY}/FILE0000000000000000.zip",
    "versionId": None,
    "size": 1234,
    "sha256": "0" * 64,
    "contentType": "application/zip",
}
MANIFEST = {
    "schemaVersion": 1,
    "delivery": 1,
    "deliveredAt": "2023-03-08T09:41:00Z",
    "workspace": "default",
    "exportGuid": "E" * 20,
    "runGuid": "Z8SPLFQS3K0DTYB56MW",
    "runNumber": 12,
    "status": "COMPLETE",
    "kind": "items",
    "creationDateTime": "2023-03-08T09:32:25Z",
    "completionDateTime": "2023-03-08T09:40:00Z",
    "expirationDateTime": "2023-05-07T09:40:00Z",
    "criteriaResultsCount": 1,
    "complete": True,
    "files": [FILE],
    "undeliverable": [],
    "requests": [{"requestId": "one", "correlationId": None, "itemGuids": ["A" * 20]}],
}
EMPTY_FILE = {"guid": "FILE0", "error": {"code": "3028", "message": "The file is empty."}}


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each object in a document, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from parts(inner)


def pointed(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer such as `/a/b` names."""
    for name in pointer.split("/")[1:]:
        document = document[name]
    return document


@pytest.mark.parametrize("name", NAMES)
def test_schema__is_valid_and_says_what_it_describes(name: str) -> None:
    """Each schema names its dialect, is valid in it, and has a title and a description."""
    text = schema(name)
    assert text["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert isinstance(validator_for(text), Draft202012Validator)
    assert text["title"]
    assert text["description"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_schema__requires_each_field_and_allows_more(name: str) -> None:
    """What we send has every field that is described; fields may be added later."""
    objects = [part for part in parts(schema(name)) if part.get("type") == "object"]
    assert objects
    for part in objects:
        assert part["required"] == list(part["properties"])
        assert not {"additionalProperties", "unevaluatedProperties"} & part.keys()


def test_schema__definitions_of_a_name_are_the_same_everywhere() -> None:
    """Each schema can be used alone, so it repeats definitions; they never differ."""
    known: dict[str, Any] = {}
    for name in OUTPUTS:
        text = schema(name)
        used = {part["$ref"].removeprefix("#/$defs/") for part in parts(text) if "$ref" in part}
        assert used == text["$defs"].keys()
        for key, definition in text["$defs"].items():
            assert known.setdefault(key, definition) == definition, f"{key} in {name}"


def test_schema__exists_for_each_event() -> None:
    """Every event of the code has a schema, which names its type."""
    for event_type in (events.RUN_COMPLETED, events.RUN_FAILED, events.REQUEST_REJECTED):
        assert schema(schema_name(event_type))["properties"]["type"]["const"] == event_type


def test_asyncapi__fits_the_official_schema() -> None:
    """The document is valid AsyncAPI 3."""
    validator = validator_for(json.loads(OFFICIAL.read_text()))
    assert [error.message for error in validator.iter_errors(API)] == []
    assert not validator.is_valid({**API, "channel": {}})


def test_asyncapi__refers_to_each_schema() -> None:
    """Every reference leads somewhere, and every schema is referred to."""
    named = set()
    for reference in (part["$ref"] for part in parts(API) if "$ref" in part):
        path, _, pointer = reference.partition("#")
        assert pointed(json.loads((FOLDER / path).read_text()) if path else API, pointer)
        named.add(path.removesuffix(SUFFIX))
    assert named - {""} == set(NAMES)


def test_asyncapi__has_each_form_of_message() -> None:
    """Each form that the schema of messages allows is a message of its own."""
    forms = {f"message.schema.json{form['$ref']}" for form in schema("message")["anyOf"]}
    payloads = [message["payload"].get("schema", {}).get("$ref") for message in MESSAGES.values()]
    assert forms == {payload for payload in payloads if payload and "message.schema" in payload}


@pytest.mark.parametrize("name", EVENTS)
def test_asyncapi__attributes_are_those_of_the_event(name: str) -> None:
    """The message attributes of an event have its type and the statuses of its data."""
    fields, attributes = schema(name)["properties"], MESSAGES[name]["headers"]["properties"]
    status = fields["data"]["properties"]["status"]
    status = pointed(schema(name), status["$ref"].removeprefix("#")) if "$ref" in status else status
    assert attributes["type"]["const"] == MESSAGES[name]["name"] == fields["type"]["const"]
    assert attributes["status"]["enum"] == status.get("enum", [status.get("const")])


def test_examples__are_current() -> None:
    """The examples are what the code produces now; `make schemas` writes them."""
    expected = documents()
    for path, text in expected.items():
        assert path.read_text() == text, f"{path.name} is not current: run make schemas"
    assert set(EXAMPLES.iterdir()) == expected.keys() - {ASYNCAPI}


@pytest.mark.parametrize("name", sorted(FROM_THE_WORLD & MESSAGES.keys()))
def test_examples__fit_the_schema_that_asyncapi_names(name: str) -> None:
    """Each example in the document fits the schema of its message."""
    (example,) = MESSAGES[name]["examples"]
    referred_validator(MESSAGES[name]["payload"]["schema"]["$ref"]).validate(example["payload"])


def test_examples__exist_for_each_message() -> None:
    """Each message has an example, but for dead letters and what no world here publishes."""
    assert MESSAGES.keys() - FROM_THE_WORLD == NOT_CAPTURED


def test_events__may_get_new_fields_but_not_unnoticed() -> None:
    """The published schema allows a new field; the tests refuse one that it does not describe."""
    attributes = {
        "type": COMPLETED["type"],
        **{name: COMPLETED["data"][name] for name in ("workspace", "exportGuid", "status")},
    }
    validate_event(COMPLETED, attributes)
    for change in ({"traceparent": "00"}, {"data": {**COMPLETED["data"], "more": 1}}):
        changed = {**COMPLETED, **change}
        assert open_validator("event-run-completed").is_valid(changed)
        with pytest.raises(AssertionError, match="event-run-completed"):
            validate_event(changed, attributes)
    for wrong in ({**attributes, "status": "FAILED"}, {**attributes, "more": "1"}):
        with pytest.raises(AssertionError):
            validate_event(COMPLETED, wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"schemaVersion": 2},
        {"undeliverable": [EMPTY_FILE]},
        {"files": [{**FILE, "key": f"{FOLDER_KEY}/FILE0000000000000000.html"}]},
        {"files": [{**FILE, "sha256": "0" * 63}]},
        {"runNumber": "12"},
        {"deliveredAt": "2023-03-08 09:41"},
    ],
)
def test_manifest__is_checked(change: dict[str, Any]) -> None:
    """A manifest is complete, or names what is missing; its fields have their forms."""
    validate_manifest(json.dumps(MANIFEST).encode())
    with pytest.raises(AssertionError, match="manifest"):
        validate_manifest(json.dumps({**MANIFEST, **change}).encode())


def test_manifest__names_what_can_never_be_delivered() -> None:
    """A manifest that is not complete names the files and the reasons."""
    manifest = {**MANIFEST, "complete": False, "undeliverable": [EMPTY_FILE]}
    validate_manifest(json.dumps(manifest).encode())
