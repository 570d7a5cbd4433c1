"""What an external call touches, and which calls conflict.

Two calls conflict if they touch the same thing and at least one of them changes it: a ledger item,
the runs or the session at Arena, a secret, an execution, an object of the bucket. The order of
calls that do not conflict changes nothing, so no schedule needs to try both orders.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports.ledger import keys
from arena_exports.ports import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena_exports.ports import (
        Bucket,
        Download,
        Downloads,
        Executions,
        HttpAnswer,
        HttpRequest,
        Item,
        Key,
        ObjectBody,
        Secret,
        SecretStore,
        Table,
        Transport,
        Upload,
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


class AnnouncedDownloads:
    """Downloads from Arena; the request is announced, and the body then touches nothing more."""

    def __init__(self, inner: Downloads, announce: Announce) -> None:
        self._inner = inner
        self._announce = announce

    @contextmanager
    def open(self, request: HttpRequest, headers: Mapping[str, str]) -> Iterator[Download]:
        self._announce(reading(ARENA_SESSION))
        with self._inner.open(request, headers) as download:
            yield download


class AnnouncedBucket:
    """The bucket; each call is announced.

    An upload is nobody else's, except that `abort_all` ends those of a folder.
    """

    def __init__(self, inner: Bucket, announce: Announce) -> None:
        self.name, self.prefix = inner.name, inner.prefix
        self._inner = inner
        self._announce = announce

    def _object(self, key: str) -> Key:
        return self.name, key

    def _uploads(self, key: str) -> Key:
        return f"uploads of {self.name}", key.rpartition("/")[0]

    def keys(self, folder: str) -> list[str]:
        self._announce(Operation(span=(self.name, folder, folder + keys.LAST)))
        return self._inner.keys(folder)

    def put(self, key: str, body: bytes | bytearray, content_type: str) -> str | None:
        self._announce(changing(self._object(key)))
        return self._inner.put(key, body, content_type)

    def begin(self, key: str, content_type: str) -> Upload:
        self._announce(reading(self._uploads(key)))
        return self._inner.begin(key, content_type)

    def put_part(
        self, upload: Upload, number: int, body: bytes | bytearray
    ) -> Mapping[str, object]:
        self._announce(reading(self._uploads(upload.key)))
        return self._inner.put_part(upload, number, body)

    def complete(
        self, upload: Upload, parts: Sequence[Mapping[str, object]], size: int
    ) -> str | None:
        reads = frozenset({self._uploads(upload.key)})
        self._announce(Operation(reads, changes=frozenset({self._object(upload.key)})))
        return self._inner.complete(upload, parts, size)

    def abort(self, upload: Upload) -> None:
        self._announce(reading(self._uploads(upload.key)))
        self._inner.abort(upload)

    def abort_all(self, folder: str) -> None:
        self._announce(changing(self._uploads(folder)))
        self._inner.abort_all(folder)

    @contextmanager
    def read(self, key: str) -> Iterator[ObjectBody]:
        self._announce(reading(self._object(key)))
        with self._inner.read(key) as body:
            yield body
