"""Exponential back-off."""

from __future__ import annotations


def doubled(first_seconds: float, times: int, longest_seconds: float) -> float:
    """Return `first_seconds` doubled `times` times, but no more than `longest_seconds`."""
    return min(first_seconds * 2.0 ** min(times, 30), longest_seconds)
