"""Words for numbers."""

from collections.abc import Mapping
from typing import Any


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: 1 request, 2 requests."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def served(data: Mapping[str, Any]) -> str:
    """Say what a completed run carried, and for how many requests, by its event's data."""
    count = len(data["itemGuids"])
    what = counted(count, "GUID") if count else "own criteria"
    return f"{what} for {counted(len(data['requests']), 'request')}"
