"""Intake bodies: every accepted form, and for every other a reason that names the field."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.domain.deadline import Deadline
from arena_exports.domain.errors import InvalidMessageError
from arena_exports.domain.messages import IntakeRules, parse_message
from arena_exports.domain.model import Kind, Lane
from tests.events import event, event_bridge, sns
from tests.support.properties import thorough
from tests.support.world import World, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT = "EXPDEFAULT0000000001"
OTHER = "EXPOTHER000000000001"
RULES = IntakeRules("default", DEFAULT)
A, B = "CUEXB8CEPGHGZI18WDMU", "M407LIMOZGZQ5TUP27F"

guids = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=16, max_size=32)
# SQS holds no empty body, and only characters that XML can hold.
sqs_texts = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, max_codepoint=0xFFFD)
    | st.sampled_from("\t\n\r"),
    min_size=1,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def wrapped(content: object, *envelopes: Callable[..., object]) -> str:
    """Return content as a body in envelopes, innermost first."""
    for envelope in envelopes:
        content = envelope(json.dumps(content) if envelope is sns else content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (A, [A]),
        (f'"{A}"', [A]),
        (f" {A.lower()}\n", [A]),
        ("12345678901234567890", ["12345678901234567890"]),
        (json.dumps([A, B, A]), [A, B]),
        (json.dumps({"count": 9, "results": [A, B]}), [A, B]),
        (json.dumps({"itemGuids": [f" {A.lower()} ", B]}), [A, B]),
        (json.dumps(sns(A)), [A]),
        (json.dumps(sns(json.dumps([A, B]))), [A, B]),
        (json.dumps(sns(json.dumps({"itemGuids": [A]}))), [A]),
        (json.dumps(event_bridge({"itemGuids": [A]})), [A]),
        (json.dumps(event_bridge([A, B])), [A, B]),
        (json.dumps(event_bridge(A)), [A]),
        (wrapped([A, B], event_bridge, sns), [A, B]),
        (wrapped({"itemGuids": [A]}, sns, event_bridge), [A]),
        (wrapped([A, B], sns, sns), [A, B]),
        (wrapped({"results": [A]}, event_bridge, sns, event_bridge, sns), [A]),
        ("\ufeff" + A, [A]),
        ("\ufeff" + json.dumps([A, B]), [A, B]),
        (json.dumps(sns("\ufeff" + A)), [A]),
        (f'{{"\\u0069temGuids": ["{A}"]}}', [A]),
    ],
)
def test_message__is_read_in_every_accepted_form(body: str, items: list[str]) -> None:
    """Each form of the contract, alone or in an envelope, leads to the same request."""
    request = parse_message("id", body, RULES)
    assert request is not None
    assert list(request.item_guids) == items
    assert (request.group.export_guid, request.group.kind, request.group.lane) == (
        DEFAULT,
        Kind.ITEMS,
        Lane.NORMAL,
    )


def test_message__in_the_full_form_is_read() -> None:
    """Definition, items, correlation id, workspace and priority are read."""
    body = {
        "exportGuid": OTHER.lower(),
        "itemGuids": [A],
        "correlationId": "ECO-000023",
        "workspace": "default",
        "priority": "bulk",
    }
    request = parse_message("id", json.dumps(body), RULES)
    assert request is not None
    assert request.group.export_guid == OTHER
    assert request.group.lane is Lane.BULK
    assert request.correlation_id == "ECO-000023"


def test_message__without_items_is_a_definition_run() -> None:
    """Without the key itemGuids, the definition runs with its own criteria."""
    request = parse_message("id", json.dumps({"exportGuid": OTHER}), RULES)
    assert request is not None
    assert request.group.kind is Kind.DEFINITION
    assert request.item_guids == ()


def test_message__reconcile_is_no_request() -> None:
    """A reconcile leads to no request, alone or in an envelope."""
    body = {"action": "reconcile"}
    for wrapped in (body, sns(json.dumps(body)), event_bridge(body)):
        assert parse_message("id", json.dumps(wrapped), RULES) is None


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ("", "InvalidMessage", "body"),
        ("not json", "InvalidMessage", "body"),
        ("{", "InvalidMessage", "body"),
        ("7", "InvalidMessage", "body"),
        ("null", "InvalidMessage", "body"),
        ("true", "InvalidMessage", "body"),
        ("{}", "InvalidMessage", "itemGuids"),
        ("[]", "InvalidMessage", "body is an empty list; to run a definition"),
        ('{"itemGuids": []}', "InvalidMessage", "itemGuids is an empty list"),
        ('{"count": 0, "results": []}', "InvalidMessage", "results is an empty list"),
        ('{"itemGuids": "A"}', "InvalidMessage", "itemGuids"),
        ('{"itemGuids": null}', "InvalidMessage", "itemGuids"),
        ('{"itemGuids": {}}', "InvalidMessage", "itemGuids"),
        ('{"results": 3}', "InvalidMessage", "results must be a list"),
        ('{"results": ["x"]}', "InvalidMessage", "results[0]"),
        ('{"itemGuids": ["x"]}', "InvalidMessage", "itemGuids[0]"),
        ('"x"', "InvalidMessage", "body is not a valid GUID"),
        (json.dumps({"results": [A], "other": 1}), "InvalidMessage", '"other"; only count is'),
        (json.dumps([A, "short"]), "InvalidMessage", "body[1]"),
        (json.dumps([A, 12345678901234567890]), "InvalidMessage", "body[1]"),
        (json.dumps([A, None]), "InvalidMessage", "body[1]"),
        (json.dumps([A, [A]]), "InvalidMessage", "body[1]"),
        (json.dumps(["x" * 15]), "InvalidMessage", "body[0]"),
        (json.dumps(["x" * 33]), "InvalidMessage", "body[0]"),
        (json.dumps(["Ä" * 20]), "InvalidMessage", "body[0]"),
        (json.dumps({"exportGuid": "?"}), "InvalidMessage", "exportGuid"),
        (json.dumps({"exportGuid": None, "itemGuids": [A]}), "InvalidMessage", "exportGuid"),
        (json.dumps({"itemGuids": [A], "extra": 1}), "InvalidMessage", "extra"),
        (json.dumps({"itemGuids": [A], "correlationId": 5}), "InvalidMessage", "correlationId"),
        (
            json.dumps({"itemGuids": [A], "correlationId": "x" * 129}),
            "InvalidMessage",
            "correlationId",
        ),
        (
            json.dumps({"itemGuids": [A], "correlationId": "ECO \ud800"}),
            "InvalidMessage",
            "correlationId",
        ),
        (json.dumps({"itemGuids": [A], "priority": "urgent"}), "InvalidMessage", "priority"),
        (json.dumps({"itemGuids": [A], "priority": ["bulk"]}), "InvalidMessage", "priority"),
        (json.dumps({"itemGuids": [A], "workspace": 5}), "InvalidMessage", "workspace"),
        (json.dumps({"itemGuids": [A], "workspace": "other"}), "WrongWorkspace", "workspace"),
        (json.dumps({"action": "other"}), "InvalidMessage", 'action must be "reconcile"'),
        (json.dumps({"action": "reconcile", "itemGuids": [A]}), "InvalidMessage", "without other"),
        (json.dumps({"itemGuid": [A]}), "InvalidMessage", '"itemGuid"; accepted are exportGuid, '),
        (json.dumps({"x" * 999: [A]}), "InvalidMessage", "accepted are exportGuid, itemGuids"),
        ("[" * 100_000, "InvalidMessage", "body is nested too deeply"),
        ("[1,]", "InvalidMessage", "line 1 column"),
        ('["A"\n,,]', "InvalidMessage", "line 2 column 2 (char 6)"),
        ("\ufeff\ufeff" + A, "InvalidMessage", "body is neither a GUID nor JSON"),
        ("\uff21" * 20, "InvalidMessage", "body is neither a GUID nor JSON"),
        (json.dumps({A: "\ud800"}), "InvalidMessage", f'unknown key: "{A}"'),
        ('{"\\udc00\\ud800": 1}', "InvalidMessage", 'unknown key: "\\udc00\\ud800"'),
        (f'{{"count": NaN, "results": ["{A}"]}}', "InvalidMessage", "body has NaN"),
        (f'{{"count": -Infinity, "results": ["{A}"]}}', "InvalidMessage", "has -Infinity, which"),
        (f'["{A}", {"9" * 5000}]', "InvalidMessage", "body has a number with 5000 digits"),
        (f'["{A}", 1e999]', "InvalidMessage", "body[1]"),
    ],
)
def test_message__is_rejected_with_a_reason_that_names_the_field(
    body: str, code: str, field: str
) -> None:
    """The reason says what is wrong, and with which field."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_message("id", body, RULES)
    assert caught.value.code == code
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def refused(body: str) -> str:
    """Return the reason why a body is refused: a short line of printable ASCII."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_message("id", body, RULES)
    shown = str(caught.value)
    assert shown.replace("…", "").isascii()
    assert shown.isprintable()
    assert len(shown) < 320
    return shown


@pytest.mark.parametrize("form", ["{}", '{{"exportGuid": {}}}', '{{"priority": {}}}'])
def test_message__nested_as_deep_as_possible_is_refused(form: str) -> None:
    """JSON that can just be read, but not written into the reason, is refused."""
    deepest = sys.getrecursionlimit()
    for depth in range(deepest - 200, deepest + 1):
        with pytest.raises(InvalidMessageError):
            parse_message("id", form.format("[" * depth + "]" * depth), RULES)


def test_message__that_can_be_read_and_not_written_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reason does not fail on a value that is nested too deeply to be shown."""

    def too_deep(_value: object) -> str:
        raise RecursionError

    monkeypatch.setattr(json, "dumps", too_deep)
    assert "a value that is nested too deeply" in refused('{"exportGuid": [[]]}')


ENVELOPES = [
    pytest.param((), "body", id="bare"),
    pytest.param((sns,), "body.Message", id="SNS"),
    pytest.param((event_bridge, sns), "body.Message.detail", id="EventBridge in SNS"),
    pytest.param((sns, sns), "body.Message.Message", id="SNS in SNS"),
]


@pytest.mark.parametrize(("envelopes", "place"), ENVELOPES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (["short"], "[0] is not a valid GUID"),
        (5, " must be a GUID, a list of GUIDs or an object, not 5"),
        ("short", " is not a valid GUID"),
        ({"itemGuids": ["short"]}, "itemGuids[0] is not a valid GUID"),
        ({"itemGuids": [A], "extra": 1}, 'unknown key: "extra"'),
        ({"results": [A], "extra": 1}, "unknown key beside results"),
        ({"exportGuid": "?"}, "exportGuid is not a valid GUID"),
    ],
)
def test_message__reason_names_the_place_within_envelopes(
    envelopes: tuple[Callable[..., object], ...], place: str, content: object, reason: str
) -> None:
    """The reason says in which envelope the field is."""
    shown = refused(wrapped(content, *envelopes))
    assert reason in shown
    assert place == "body" or place in shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"itemGuids": [,]}', "line 1 column 16 (char 15)"),
        ('{"itemGuids": [],\n "itemGuids": []}', 'key "itemGuids" occurs more than once'),
        ("[" * 100_000, "is nested too deeply"),
        ("[NaN]", "has NaN"),
        ("[" + "9" * 5000 + "]", "has a number with 5000 digits"),
        ("", "is neither a GUID nor JSON"),
    ],
)
def test_message__reason_names_the_place_of_broken_json(text: str, reason: str) -> None:
    """An error in the JSON inside an envelope is reported with its own position."""
    for body in (json.dumps(sns(text)), wrapped(sns(text), event_bridge, sns)):
        assert re.search(r"body\.Message", refused(body))
        assert reason in refused(body)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (f"{A}, {B}", "several GUIDs are sent as a JSON list"),
        (f"{A.lower()}\n{B.lower()}", "several GUIDs are sent as a JSON list"),
        (f'"{A}", "{B}"', "several GUIDs are sent as a JSON list"),
        (f"[{A}, {B}]", "each in double quotes"),
        (f"['{A}']", "each in double quotes"),
        (f'["{A}",]', "an extra comma?"),
        (f'["{A}",,"{B}"]', "an extra comma?"),
        (f'{{"itemGuids": ["{A}"], \n}}', "an extra comma?"),
        (f'["{A}", "{B}"', ""),
        (f'["{A}", {B}]', ""),
        (f'["{A}" "{B}"]', ""),
        ('{"correlationId": "a,,b", x}', ""),
        ("hello, world", ""),
    ],
)
def test_message__reason_has_a_hint(text: str, hint: str) -> None:
    """What looks like a list of GUIDs, or has a stray comma, is not only called malformed."""
    shown = refused(text)
    assert hint in shown if hint else not re.search("; (several|an extra comma)", shown)


def test_message__mistake_in_a_large_body_is_located() -> None:
    """An extra comma after 5,000 GUIDs is reported with its position and its surroundings."""
    text = '{"itemGuids": [' + ",".join(f'"{guid}"' for guid in items(5000)) + ",]}"
    shown = refused(text)
    (position,) = re.findall(r"char (\d+)", shown)
    assert int(position) > 114_000
    assert item_guid(4999)[-10:] in shown


@pytest.mark.parametrize(
    "text",
    [
        f'{{"itemGuids": ["{A}"], "itemGuids": ["{B}"]}}',
        f'{{"itemGuids": ["{A}"], "\\u0069temGuids": ["{B}"]}}',
        f'{{"itemGuids": ["{A}"], "x": [{{"y": {{"itemGuids": 1, "itemGuids": 1}}}}]}}',
        f'{{"Type": "Notification", "itemGuids": 1, "Message": "{A}", "itemGuids": 2}}',
        f'{{"detail-type": "x", "detail": {{"itemGuids": ["{A}"], "itemGuids": ["{B}"]}}}}',
        json.dumps(sns(f'{{"itemGuids": ["{A}"], "itemGuids": ["{B}"]}}')),
        wrapped(sns(f'{{"itemGuids": ["{A}"], "itemGuids": ["{B}"]}}'), event_bridge, sns),
    ],
)
def test_fault_89__key_that_occurs_twice_is_refused(text: str) -> None:
    """The reason names the key, at any depth and in any envelope."""
    assert 'key "itemGuids" occurs more than once in body' in refused(text)


@pytest.mark.parametrize("key", ["exportGuid", "results", "Message", "detail", "action"])
def test_fault_89__every_key_is_checked(key: str) -> None:
    """The reason names the key, whichever it is."""
    assert f'key "{key}" occurs more than once' in refused(f'{{"{key}": "{A}", "{key}": "{A}"}}')


def test_fault_89__key_that_occurs_twice_among_many_is_found() -> None:
    """A key that occurs twice is found among 50,000 keys."""
    keys = ",".join(f'"{n:06}": 0' for n in range(50_000))
    assert 'key "049999"' in refused(f'{{{keys}, "049999": 1}}')


def test_message__in_too_many_envelopes_is_refused() -> None:
    """More than four envelopes are refused."""
    assert "more than 4 envelopes" in refused(wrapped([A], *[event_bridge] * 5))
    assert "more than 4 envelopes" in refused(wrapped([A], *[event_bridge] * 100))


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
@pytest.mark.parametrize("envelopes", [(), (sns,), (event_bridge, sns)])
def test_message__subscription_confirmation_is_refused_with_instructions(
    kind: str, envelopes: tuple[Callable[..., object], ...]
) -> None:
    """The reason for SNS's own messages says what to do, without the token."""
    confirmation = event("sns_subscription_confirmation") | {"Type": kind}
    shown = refused(wrapped(confirmation, *envelopes))
    for part in (kind, "subscription", "SubscribeURL", "confirm-subscription", "3333:items"):
        assert part in shown
    assert confirmation["Token"] not in shown


def test_message__needs_a_definition_if_the_stack_has_no_default() -> None:
    """In a stack without a default definition, each message must name one."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_message("id", A, IntakeRules("default", ""))
    assert caught.value.code == "NoExportDefinition"
    assert "exportGuid" in str(caught.value)


@given(st.lists(guids, min_size=1), st.none() | st.text(max_size=128))
def test_message__property_keeps_every_guid_once(
    items: list[str], correlation_id: str | None
) -> None:
    """All GUIDs are kept, each once, in their order."""
    body = json.dumps(
        {"itemGuids": [f" {guid.lower()} " for guid in items], "correlationId": correlation_id}
    )
    request = parse_message("id", body, RULES)
    assert request is not None
    assert list(request.item_guids) == list(dict.fromkeys(items))
    assert request.correlation_id == correlation_id


@thorough()
@given(json_values.map(json.dumps) | st.text())
def test_message__property_never_crashes(body: str) -> None:
    """FAULT 46: any text is read, or refused with a short line of printable ASCII."""
    shown = ""
    try:
        parse_message("id", body, RULES)
    except InvalidMessageError as exc:
        shown = str(exc).replace("…", "")
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 300


@thorough()
@given(json_values.map(json.dumps) | sqs_texts | st.sampled_from([A, sns(A)]).map(str))
def test_message__property_is_recorded_or_rejected_once(body: str) -> None:
    """FAULT 46: any message is acknowledged, and either recorded or rejected once."""
    world = World()
    records = world.record(body)
    intake, deadline = world.functions.submit.intake, Deadline(world.clock.now() + 60)
    assert intake.record(records, deadline) == []
    assert intake.record(records, deadline) == []
    pending = len(world.table.items.get("PENDING", {}))
    told = {event["id"] for event in world.events("rejected")}
    assert pending + len(told) == 1
    assert {letter.body for letter in world.dead_letters.letters} == ({body} if told else set())
