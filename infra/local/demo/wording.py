"""Phrases for counts."""

from collections.abc import Mapping
from typing import Any


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 request, 2 requests."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def contents(data: Mapping[str, Any]) -> str:
    """Return what a run exported, and for how many requests, from the data of its event."""
    count = len(data["itemGuids"])
    what = plural(count, "GUID") if count else "the definition's own criteria"
    return f"{what} for {plural(len(data['requests']), 'request')}"
