"""HTML in which every text is escaped, because only `element` creates markup."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from arena_exports_operator.answers.words import without_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

_WITHOUT_END = frozenset({"input", "meta"})


class Markup(str):
    """HTML. Whatever is made from it outside this module is plain text again, and is escaped."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """Return an element; children that are not markup, and attribute values, are escaped.

    Args:
        tag: its name.
        children: markup or texts; e-mail addresses in texts are redacted.
        attributes: by name, with `_` for `-` and after Python's keywords (`class_`).
    """
    given = "".join(f' {_name(name)}="{_escaped(value)}"' for name, value in attributes.items())
    end = "" if tag in _WITHOUT_END else f"</{tag}>"
    return Markup(f"<{tag}{given}>{joined(children)}{end}")


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts joined; those that are not markup are escaped."""
    return Markup("".join(part if isinstance(part, Markup) else _text(part) for part in parts))


def _text(text: str) -> str:
    return _escaped(without_addresses(text))


def _escaped(text: str) -> str:
    """Escape a text; unpaired surrogates, which UTF-8 cannot encode, become `?`."""
    return escape(text.encode("utf-8", "replace").decode())


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
