"""Helpers for texts: redacted e-mail addresses, plurals, times and durations."""

from __future__ import annotations

import re

from arena_exports.domain.times import format_utc

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_ADDRESS = re.compile(r"[^\s/:<>\"']+@[^\s/:<>\"']+")


def without_addresses(text: str) -> str:
    """Return a text without e-mail addresses; the ARN of a single sign-on session contains one."""
    return _ADDRESS.sub("[e-mail address]", text)


def for_terminal(text: str) -> str:
    """Return a text on one line, without e-mail addresses and without control characters.

    Senders choose correlation ids, and Arena's users titles: neither may control the terminal.
    """
    whole = without_addresses(text)
    return "".join(letter if letter.isprintable() else " " for letter in whole)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `2 runs`, `3 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def when(epoch: float | None) -> str:
    """Return a time for people; "-" for none."""
    return "-" if epoch is None else format_utc(epoch)


def how_long(seconds: float) -> str:
    """Return a duration in one or two units: `45 s`, `12 min`, `3 h 5 min`, `2 days 4 h`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} days {seconds % _DAY // _HOUR:.0f} h"
