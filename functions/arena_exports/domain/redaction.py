"""Redact Arena's answers: remove what names a person or a thing, or opens a session.

The structure stays: keys, lists, and each value that is a number, a time, a GUID or a constant such
as `COMPLETE`. So an answer still shows whether the code reads it correctly, and it can be shared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

REDACTED = "[redacted]"
MAX_ENTRIES = 20  # of each list
_MAX_TEXT = 300
# Some of these keys name a person; the others hold what people write.
_PRIVATE = re.compile(
    r"name|mail|user|creator|owner|author|title|description|note|value|session|password|token",
    re.IGNORECASE,
)
_READABLE = frozenset({"attribute", "format", "message", "operator"})
_CONSTANT = re.compile(r"[A-Z0-9_-]{1,40}|\d{4}-\d\d-\d\dT[0-9:.]{1,15}Z?")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def redacted(content: Any, secrets: Sequence[str] = ()) -> Any:  # noqa: ANN401 - JSON is anything
    """Return JSON content without what is private, and without texts that hold a secret."""

    def under(key: str, inner: Any, *, private: bool) -> Any:  # noqa: ANN401 - the same
        private = private or bool(_PRIVATE.search(key))
        match inner:
            case dict():
                return {_key(k): under(k, value, private=private) for k, value in inner.items()}
            case list():
                return [under(key, value, private=private) for value in inner[:MAX_ENTRIES]]
            case None | bool():
                return inner
            case str():
                harmless = not private and _is_harmless(key, inner)
                hidden = not harmless or any(secret in inner for secret in secrets)
                return REDACTED if hidden else inner
        return REDACTED if private else inner

    return under("", content, private=False)


def _is_harmless(key: str, text: str) -> bool:
    """Return whether a text names nobody: a constant, or a short one that only Arena writes."""
    if key in _READABLE:
        return "@" not in text and len(text) <= _MAX_TEXT
    return bool(_CONSTANT.fullmatch(text))


def _key(key: str) -> str:
    """Return a key, unless it holds data, such as an address."""
    return key if _KEY.fullmatch(key) else REDACTED
