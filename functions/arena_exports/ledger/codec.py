"""Values as ledger items, and back: attribute names are the fields' names in camelCase."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from arena_exports.domain.model import camel_case
from arena_exports.ledger import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.ports import Item, Key

_T = TypeVar("_T")


def to_item(key: Key, value: Any) -> Item:  # noqa: ANN401 - any dataclass
    """Return the item of a dataclass at a key."""
    return new_item(key, **to_attributes(value))


def new_item(key: Key, **attributes: Any) -> Item:  # noqa: ANN401 - any item value
    """Return an item at a key, with the version of the ledger."""
    pk, sk = key
    return {"PK": pk, "SK": sk, "v": keys.VERSION, **attributes}


def to_attributes(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return a dataclass as attributes; enums as their values, tuples as lists."""
    return {camel_case(f.name): _plain(getattr(value, f.name)) for f in fields(value)}


def from_item(kind: type[_T], item: Mapping[str, Any] | None, /, **converted: Any) -> _T:  # noqa: ANN401
    """Read a dataclass from an item; attributes that an older release lacks have their defaults.

    `converted` has the fields whose type differs from the attribute's.
    """
    known: Mapping[str, Any] = item or {}
    names = {f.name: camel_case(f.name) for f in fields(kind)}  # type: ignore[arg-type] # a dataclass
    plain = {name: known[key] for name, key in names.items() if key in known}
    return kind(**{**plain, **converted})


def _plain(value: Any) -> Any:  # noqa: ANN401 - any item value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    return to_attributes(value) if is_dataclass(value) else value
