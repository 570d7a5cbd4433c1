"""The files of `tests/events`: each is JSON, and some test uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.events import EVENTS, event

TESTS = Path(__file__).parents[1]
USED = {
    name
    for path in TESTS.rglob("*.py")
    for name in re.findall(r'\bevent\("(\w+)"\)', path.read_text())
}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_event_file__is_used(name: str) -> None:
    """An event that no test loads is a mistake."""
    assert name in USED
    assert event(name)


def test_event_file__exists_for_each_use() -> None:
    """A test names only events that exist."""
    assert set(EVENTS) == USED
