"""What a call to the outside touches, and which calls conflict.

Two calls conflict if they touch the same thing and at least one of them changes it: a ledger item,
the runs or the session at Arena, a secret, an execution. The order of calls that do not conflict
changes nothing, so no schedule needs to try both orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports.ports import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from arena_exports.ports import (
        Executions,
        HttpAnswer,
        HttpRequest,
        Item,
        Key,
        Secret,
        SecretStore,
        Table,
        Transport,
        Write,
    )

    Announce = Callable[["Operation"], None]

ARENA_RUNS: Key = ("Arena", "runs")
ARENA_SESSION: Key = ("Arena", "session")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: the keys that it reads and changes, and the range of ledger items that it reads."""

    reads: frozenset[Key] = field(default_factory=frozenset)
    changes: frozenset[Key] = field(default_factory=frozenset)
    span: tuple[str, str, str] | None = None

    def conflicts_with(self, other: Operation) -> bool:
        """Return whether the order of the two calls may matter."""
        return self._sees(other.changes) or other._sees(self.changes)

    def _sees(self, changed: Iterable[Key]) -> bool:
        return any(key in self.reads or key in self.changes or self._spans(key) for key in changed)

    def _spans(self, key: Key) -> bool:
        if self.span is None:
            return False
        pk, first, last = self.span
        return key[0] == pk and first <= key[1] <= last


NOTHING = Operation()
"""The start of a function, and a sleep: they touch nothing."""


def reading(*keys: Key) -> Operation:
    """Return a call that reads things."""
    return Operation(reads=frozenset(keys))


def changing(*keys: Key) -> Operation:
    """Return a call that changes things."""
    return Operation(changes=frozenset(keys))


class AnnouncedTable:
    """The ledger's table; each call is announced."""

    def __init__(self, inner: Table, announce: Announce) -> None:
        self._inner = inner
        self._announce = announce

    def get(self, key: Key) -> Item | None:
        self._announce(reading(key))
        return self._inner.get(key)

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        self._announce(reading(*wanted))
        return self._inner.get_many(wanted)

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        self._announce(Operation(span=(pk, first, last)))
        return self._inner.query(pk, first, last, limit=limit)

    def write(self, *writes: Write) -> None:
        checked = frozenset(write.key for write in writes if isinstance(write, Check))
        changed = frozenset(write.key for write in writes) - checked
        self._announce(Operation(reads=checked, changes=changed))
        self._inner.write(*writes)


class AnnouncedTransport:
    """The transport to Arena; each request is announced."""

    def __init__(self, inner: Transport, announce: Announce) -> None:
        self._inner = inner
        self._announce = announce

    def send(self, request: HttpRequest) -> HttpAnswer:
        self._announce(_request(request))
        return self._inner.send(request)


def _request(request: HttpRequest) -> Operation:
    if request.path == "/login":
        return changing(ARENA_SESSION)
    if request.method == "POST":
        return Operation(reads=frozenset({ARENA_SESSION}), changes=frozenset({ARENA_RUNS}))
    return reading(ARENA_SESSION, ARENA_RUNS)


class AnnouncedSecret:
    """A secret; each call is announced."""

    def __init__(self, inner: SecretStore, name: str, announce: Announce) -> None:
        self._inner = inner
        self._key = ("secret", name)
        self._announce = announce

    def read(self, version: str | None = None) -> Secret | None:
        self._announce(reading(self._key))
        return self._inner.read(version)

    def write(self, value: Mapping[str, Any], version: str) -> None:
        self._announce(changing(self._key))
        self._inner.write(value, version)


class AnnouncedExecutions:
    """Step Functions; each call is announced."""

    def __init__(self, inner: Executions, announce: Announce) -> None:
        self._inner = inner
        self._announce = announce

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        self._announce(changing(("execution", name)))
        self._inner.start(name, state)

    def status(self, name: str) -> str | None:
        self._announce(reading(("execution", name)))
        return self._inner.status(name)
