"""Fakes of the ports, in memory: one contract test runs against each and the real adapter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from arena_exports.domain.errors import (
    ConditionFailedError,
    DeliveryError,
    LedgerUnavailableError,
    RequestNotCompletedError,
    SecretRefusedError,
)
from arena_exports.ports import (
    Check,
    DeadLetter,
    Delete,
    Event,
    HttpAnswer,
    HttpRequest,
    If,
    Item,
    Key,
    Put,
    Secret,
    Update,
    Write,
)
from infra.simulator.gateway import Gateway, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from infra.simulator.workspace import Workspace

MOST_ITEM_BYTES = 400 * 1024
MOST_WRITES = 100
MOST_VISIBILITY_SECONDS = 12 * 3600


class FakeClock:
    """A clock that moves when told to, or when somebody sleeps; chance comes from a seed."""

    def __init__(self, start: float = 1_700_000_000.0, seed: int = 0) -> None:
        self.time = start
        self.random = Random(seed)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def jitter(self) -> float:
        return self.random.random()

    def new_token(self) -> str:
        return f"{self.random.getrandbits(128):032x}"


class InMemoryTable:
    """The ledger's table, with DynamoDB's rules that matter here.

    Counts write units as DynamoDB does: one for each KiB, doubled in a transaction. The next
    `conflicts` writes meet another transaction, for longer than the adapter's tries last.
    """

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {}
        self.write_units = 0
        self.conflicts = 0
        self.calls: Counter[str] = Counter()

    def get(self, key: Key) -> Item | None:
        self.calls["get"] += 1
        return _copied(self._find(key))

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        self.calls["get_many"] += 1
        found = {key: self._find(key) for key in keys}
        return {key: _copied(item) for key, item in found.items() if item is not None}

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        self.calls["query"] += 1
        partition = self.items.get(pk, {})
        names = sorted(partition)
        found = names[bisect_left(names, first) : bisect_right(names, last)][:limit]
        return [_copied(partition[name]) for name in found]

    def write(self, *writes: Write) -> None:
        self.calls["write"] += 1
        assert len({_key(write) for write in writes}) == len(writes), "two writes of one item"
        assert len(writes) <= MOST_WRITES, "too many writes"
        if self.conflicts:
            self.conflicts -= 1
            raise LedgerUnavailableError("TransactionConflictException")
        failed = [
            n
            for n, write in enumerate(writes)
            if not _holds(write.condition, self._find(_key(write)))
        ]
        if failed:
            raise ConditionFailedError(failed)
        for write in writes:
            self._apply(write, 2 if len(writes) > 1 else 1)

    def _find(self, key: Key) -> Item | None:
        return self.items.get(key[0], {}).get(key[1])

    def _apply(self, write: Write, factor: int) -> None:
        pk, sk = _key(write)
        old = self.items.get(pk, {}).get(sk)
        if isinstance(write, Put):
            new: Item | None = _copied(write.item)
        elif isinstance(write, Update):
            new = _updated(old or {"PK": pk, "SK": sk}, write)
        else:
            new = None if isinstance(write, Delete) else old
        size = max(item_bytes(old), item_bytes(new))
        assert size <= MOST_ITEM_BYTES, f"item {pk} too large: {size}"
        self.write_units += factor * -(-size // 1024)
        if isinstance(write, Check):
            return
        if new is None:
            self.items.get(pk, {}).pop(sk, None)
        else:
            self.items.setdefault(pk, {})[sk] = new


def _key(write: Write) -> Key:
    return write.key


def _holds(condition: If, item: Item | None) -> bool:
    known = item or {}
    return (
        all(name not in known for name in condition.absent)
        and all(name in known for name in condition.present)
        and all(name in known and known[name] == value for name, value in condition.equals.items())
        and all(name in known and known[name] < value for name, value in condition.less.items())
    )


def _updated(item: Item, write: Update) -> Item:
    new = {**item, **_copied(dict(write.values))}
    for name in write.remove:
        new.pop(name, None)
    for name, values in write.add.items():
        new[name] = set(new.get(name, set())) | values
    return new


_UNCHANGING = frozenset({str, int, bool, bytes, type(None)})


def _copied(value: Any) -> Any:
    """Return a copy that shares nothing which can change."""
    kind = type(value)
    if kind in _UNCHANGING:
        return value
    if kind is dict:
        return {
            name: inner if type(inner) in _UNCHANGING else _copied(inner)
            for name, inner in value.items()
        }
    if kind is list:
        return [_copied(inner) for inner in value]
    return set(value) if kind is set else value


def item_bytes(value: Any) -> int:
    """Return about what DynamoDB counts: names and values, three bytes for each list or map."""
    if isinstance(value, (str, bytes)):
        return len(value) or 1
    if isinstance(value, dict):
        size = 3
        for name, inner in value.items():  # most are text: a call for each would be felt
            size += len(name) + ((len(inner) or 1) if type(inner) is str else item_bytes(inner))
        return size
    if isinstance(value, (list, set, tuple)):
        return 3 + sum(map(item_bytes, value))
    return 1 if value is None else 8


@dataclass
class FakeSecret:
    """A secret with its versions; with a `refusal`, AWS refuses to read it, and says so."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    current: str | None = None
    reads: int = 0
    refusal: str = ""

    def read(self, version: str | None = None) -> Secret | None:
        self.reads += 1
        if self.refusal:
            raise SecretRefusedError(self.refusal, 30)
        name = version or self.current
        return Secret(name, self.versions[name]) if name in self.versions else None

    def write(self, value: Mapping[str, Any], version: str) -> None:
        self.versions[version], self.current = dict(value), version


@dataclass
class InMemoryTopic:
    """Keeps what was published."""

    events: list[Event] = field(default_factory=list)

    def publish(self, events: Sequence[Event]) -> None:
        self.events += events


@dataclass
class InMemoryDeadLetterQueue:
    """Keeps what was sent."""

    letters: list[DeadLetter] = field(default_factory=list)

    def send(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters


@dataclass
class InMemoryIntakeQueue:
    """Keeps when each message that was delivered is to be delivered again, by its handle."""

    in_flight: set[str] = field(default_factory=set)
    delays: dict[str, int] = field(default_factory=dict)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        assert 0 <= seconds <= MOST_VISIBILITY_SECONDS
        if receipt_handle not in self.in_flight:
            raise DeliveryError(
                "the intake queue did not accept a message (ReceiptHandleIsInvalid)"
            )
        self.delays[receipt_handle] = seconds


@dataclass
class FakeExecutions:
    """Executions by name, each with its status and first state."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        if name not in self.started:
            self.started[name], self.statuses[name] = dict(state), "RUNNING"

    def stop(self, name: str) -> None:
        self.statuses[name] = "ABORTED"

    def status(self, name: str) -> str | None:
        return self.statuses.get(name)


@dataclass
class FakeTelemetry:
    """Keeps lines and metrics, and which lines are written at the level DEBUG alone."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    debug_lines: list[str] = field(default_factory=list)
    metrics: Counter[str] = field(default_factory=Counter)

    def debug(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))
        self.debug_lines.append(message)

    def event(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    def warn(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    def count(self, metric: str, value: float = 1) -> None:
        self.metrics[metric] += value

    def seconds(self, metric: str, value: float) -> None:
        self.metrics[metric] += value


class SimulatedTransport:
    """Sends requests straight into the Arena simulator's model, on the fake clock."""

    def __init__(self, workspace: Workspace, clock: FakeClock) -> None:
        self.gateway = Gateway(workspace)
        self._clock = clock

    def send(self, request: HttpRequest) -> HttpAnswer:
        path, _, query = request.path.partition("?")
        inner = Request(
            request.method,
            "/v1" + path,
            {name.lower(): value for name, value in request.headers.items()},
            dict(parse_qsl(query)),
            request.body,
        )
        fault = self.gateway.take_fault(inner)
        if fault is not None:
            self._clock.sleep(fault.delay_before_seconds)
        answer = self.gateway.answer(inner, fault)
        if fault is not None:
            self._clock.sleep(fault.delay_after_seconds)
        if answer.dropped:
            raise RequestNotCompletedError(f"{request.call}: dropped")
        return HttpAnswer(answer.status, {n.lower(): v for n, v in answer.headers}, answer.body())


def failing(times: int, error: Exception, real: Callable[..., object]) -> Callable[..., object]:
    """Return a function that fails so many times, and then does what the real one does."""
    left = [error] * times

    def call(*args: object, **kwargs: object) -> object:
        if left:
            raise left.pop()
        return real(*args, **kwargs)

    return call
