"""The schema of intake messages agrees with intake."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.domain.errors import InvalidMessageError
from arena_exports.domain.messages import IntakeRules, parse_message
from tests.events import event_bridge, sns
from tests.support.properties import thorough
from tests.support.schemas import open_validator, referred_validator, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import SearchStrategy

DEFAULT = "EXPDEFAULT0000000001"
RULES = IntakeRules("default", DEFAULT)
A = "CUEXB8CEPGHGZI18WDMU"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
MAX_ENVELOPES = 4
GUID = referred_validator("message.schema.json#/$defs/guid")
REQUEST = referred_validator("message.schema.json#/$defs/request")
DEFINITION_REQUEST = referred_validator("message.schema.json#/$defs/definitionRequest")
FIELDS = schema("message")["$defs"]["request"]["properties"].keys()


def mostly(good: SearchStrategy[Any], bad: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Draw what is good nine times in ten."""
    return st.integers(1, 10).flatmap(lambda number: bad if number == 1 else good)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
blanks = st.text(" \t\n\v\f\r\x1c\x1f", max_size=3)
plain_guids = st.text(LETTERS, min_size=16, max_size=32)
odd_guids = st.text(LETTERS, max_size=40) | st.sampled_from(
    ["Ä" * 20, "\u00a0" + A, f"{A}\u2028", f"{A[:10]} {A[10:]}", f"{A}{' ' * 107}", " " * 108 + A]
)
guids = mostly(st.builds("{}{}{}".format, blanks, plain_guids, blanks), odd_guids | anything)
guid_lists = mostly(st.lists(guids, min_size=1, max_size=4), st.just([]) | anything)
options = {
    "correlationId": mostly(st.none() | st.text(max_size=128), anything | st.text(min_size=129)),
    "workspace": mostly(st.just("default"), st.none() | st.integers() | st.lists(st.text())),
    "priority": mostly(st.sampled_from(["normal", "bulk"]), anything),
}
stray_keys = st.sampled_from(
    ["other", "results", "count", "action", "Type", "Message", "detail", "detail-type"]
)
stray_values = anything | guids | st.sampled_from(["Notification", "SubscriptionConfirmation"])
contents = st.one_of(
    st.fixed_dictionaries({"itemGuids": guid_lists}, optional={"exportGuid": guids, **options}),
    st.fixed_dictionaries({"exportGuid": guids}, optional=options),
    st.fixed_dictionaries({}, optional=options),
    guids,
    guid_lists,
    st.fixed_dictionaries({"results": guid_lists}, optional={"count": anything}),
    st.fixed_dictionaries({"action": mostly(st.just("reconcile"), anything)}),
)
strayed = st.builds(
    lambda content, more: {**content, **more} if isinstance(content, dict) else content,
    contents,
    mostly(st.just({}), st.dictionaries(stray_keys, stray_values, max_size=2)),
)
# What strays may make one more envelope.
envelopes = st.lists(st.sampled_from([sns, event_bridge]), max_size=MAX_ENVELOPES - 1)


def enveloped(content: object, around: list[Callable[[object], object]]) -> str:
    """Return content as a body in envelopes, innermost first."""
    for envelope in around:
        content = envelope(json.dumps(content) if envelope is sns else content)
    return json.dumps(content)


bodies = st.builds(enveloped, strayed, envelopes) | odd_guids | plain_guids
with_mark = st.builds("{}{}".format, st.sampled_from(["", "", "", "\ufeff"]), bodies)


def read(body: str) -> Any:
    """Read a body as the schema's description says.

    Raises:
        ValueError: it is neither a GUID nor JSON, which has no NaN or Infinity.
    """
    text = body.removeprefix("\ufeff")
    return text if GUID.is_valid(text) else json.loads(text, parse_constant=int)


def schema_accepts(body: str) -> bool:
    """Return whether a body fits the schema, and so does each text inside SNS notifications."""
    try:
        content = read(body)
    except ValueError:
        return False
    return open_validator("message").is_valid(content) and all(map(schema_accepts, texts(content)))


def texts(content: Any) -> Iterator[str]:
    """Yield the text of an SNS notification, which may be inside EventBridge's envelopes."""
    if not isinstance(content, dict):
        return
    if content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
        yield content["Message"]
    elif {"detail", "detail-type"} <= content.keys():
        yield from texts(content["detail"])


def reason(body: str) -> str:
    """Return why intake refuses a body; "" if it accepts it."""
    try:
        parse_message("id", body, RULES)
    except InvalidMessageError as exc:
        return str(exc)
    return ""


def wrong_fields(content: Any) -> set[str]:
    """Return the fields that the schema objects to in what has the keys of a full form."""
    if not isinstance(content, dict) or not content.keys() <= FIELDS:
        return set()
    if not content.keys() & {"exportGuid", "itemGuids"}:
        return set()
    errors = (REQUEST if "itemGuids" in content else DEFINITION_REQUEST).iter_errors(content)
    paths = [error.instance_path for error in errors if error.instance_path]
    return {path[0] + (f"[{path[1]}]" if path[1:] else "") for path in map(_names, paths)}


def _names(path: list[str | int]) -> list[str]:
    return list(map(str, path))


def test_message_schema__agrees_with_intake() -> None:
    """A body fits the schema exactly if intake accepts it; both object to the same field."""
    seen: Counter[bool] = Counter()

    @thorough()
    @given(with_mark)
    def agree(body: str) -> None:
        refusal = reason(body)
        assert schema_accepts(body) == (not refusal), refusal
        seen[not refusal] += 1

    agree()
    assert min(seen[True], seen[False]) > seen.total() / 10


@thorough()
@given(contents)
def test_message_schema__names_the_field_that_intake_names(content: Any) -> None:
    """Where the schema objects to fields of the full form, intake's reason names one of them."""
    wrong = wrong_fields(content)
    refusal = reason(json.dumps(content))
    assert not wrong or any(field in refusal for field in wrong), refusal


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f'{{"itemGuids": ["{A}"], "itemGuids": ["{A}"]}}', "occurs more than once"),
        (json.dumps({"itemGuids": [A], "workspace": "other"}), "this stack serves"),
        (json.dumps(sns("[]")), "is an empty list"),
        (enveloped(A, [event_bridge] * (MAX_ENVELOPES + 1)), "more than 4 envelopes"),
    ],
)
def test_message_schema__cannot_say_all(body: str, words: str) -> None:
    """These bodies fit the schema, whose description says that intake refuses them."""
    assert open_validator("message").is_valid(json.loads(body))
    assert words in reason(body)


def test_message_schema__does_not_know_the_default_definition() -> None:
    """A request without a definition fits the schema, but not a stack without a default."""
    assert open_validator("message").is_valid([A])
    with pytest.raises(InvalidMessageError, match="no default export definition"):
        parse_message("id", A, IntakeRules("default", ""))
