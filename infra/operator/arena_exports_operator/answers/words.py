"""What every text needs: no e-mail address, and nouns in the right number."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s/:<>\"']+@[^\s/:<>\"']+")


def without_addresses(text: str) -> str:
    """Return a text without e-mail addresses; the ARN of a single sign-on session holds one."""
    return _ADDRESS.sub("[e-mail address]", text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `2 runs`, `3 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
