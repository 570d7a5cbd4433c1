"""What an operator may see of Arena's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.domain.redaction import MAX_ENTRIES, REDACTED, redacted
from tests.support.properties import thorough

_SECRET = "heidi walker"
_PRIVATE_KEYS = ("creator", "fullName", "email", "title", "arenaSessionId", "value", "userName")


def test_redacted__keeps_what_the_code_reads() -> None:
    """The form of a run stays, with GUIDs, times, numbers and constants."""
    run = {
        "guid": "RUN00000000000000001",
        "number": 7,
        "status": "COMPLETE",
        "creationDateTime": "2023-03-08T09:32:25Z",
        "completionDateTime": None,
        "locked": False,
        "options": {"exportViews": ["SPECS", "BOM"], "format": "csv"},
        "errors": [{"code": 3011, "message": 'The guid "X" is not valid.'}],
    }
    assert redacted(run) == run


def test_redacted__hides_people_and_names() -> None:
    """Below such a key every text and number is hidden, and the keys stay."""
    assert redacted(
        {
            "creator": {"guid": "USER0000000000000001", "fullName": "Heidi Walker", "id": 12},
            "name": "PROTOTYPE",
            "criteria": [
                [{"attribute": "owner.fullName", "operator": "IS_IN", "value": ["WALKER"]}]
            ],
        }
    ) == {
        "creator": {"guid": REDACTED, "fullName": REDACTED, "id": REDACTED},
        "name": REDACTED,
        "criteria": [[{"attribute": "owner.fullName", "operator": "IS_IN", "value": [REDACTED]}]],
    }


@pytest.mark.parametrize(
    "content",
    [
        {"remark": _SECRET},
        {"message": "ask heidi@example.com"},
        {"message": "x" * 301},
        {"heidi@example.com": 1},
        ["Heidi"],
        "Heidi",
    ],
    ids=str,
)
def test_redacted__hides_other_texts(content: object) -> None:
    """A text that is no constant, an address, a long text, and a key that holds data."""
    assert "heidi" not in json.dumps(redacted(content)).lower()
    assert REDACTED in json.dumps(redacted(content))


def test_redacted__hides_a_secret_wherever_it_is() -> None:
    """Also where it looks like a constant, or is part of a text that could be read."""
    content = {"other": "SESSION1", "message": "the session SESSION1 is dead", "status": "DEAD"}
    assert redacted(content, ["SESSION1"]) == {
        "other": REDACTED,
        "message": REDACTED,
        "status": "DEAD",
    }


def test_redacted__shortens_lists() -> None:
    """The first entries show the form."""
    assert redacted(list(range(100))) == list(range(MAX_ENTRIES))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(_SECRET),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@thorough()
@given(st.sampled_from(_PRIVATE_KEYS), _JSON)
def test_redacted__leaves_no_text_below_a_private_key(key: str, content: Any) -> None:
    """Whatever is there, only the form, truth values and nulls come out."""

    def leaves(value: Any) -> list[Any]:
        match value:
            case dict():
                return [leaf for inner in value.values() for leaf in leaves(inner)]
            case list():
                return [leaf for inner in value for leaf in leaves(inner)]
        return [value]

    assert set(leaves(redacted({key: content}))) <= {REDACTED, True, False, None}
