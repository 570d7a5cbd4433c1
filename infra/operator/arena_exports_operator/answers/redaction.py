"""Leave out what no command prints."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s/:<>\"']+@[^\s/:<>\"']+")


def without_addresses(text: str) -> str:
    """Return a text without e-mail addresses; the ARN of a single sign-on session holds one."""
    return _ADDRESS.sub("[e-mail address]", text)
