"""In-memory fakes of the ports. One contract test runs against each fake and its real adapter.

The fakes enforce the limits of the services (sizes, counts, names), so every test meets them.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from arena_exports.adapters.http import READ_TIMEOUT_SECONDS
from arena_exports.arena.protocol import HTTP_ERROR
from arena_exports.domain.errors import (
    ConditionFailedError,
    LedgerUnavailableError,
    MessagingError,
    RequestNotCompletedError,
    SecretRefusedError,
)
from arena_exports.ports import (
    Check,
    Condition,
    DeadLetter,
    Delete,
    Event,
    HttpAnswer,
    HttpRequest,
    Item,
    Key,
    Put,
    Secret,
    Update,
    Write,
)
from infra.simulator.gateway import Answer, Gateway, Request
from infra.simulator.streams import BrokenOffError
from tests.support.schemas import validate_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena_exports.ports import Download
    from infra.simulator.streams import Reader
    from infra.simulator.workspace import Workspace

    Send = Callable[[HttpRequest], HttpAnswer]

T = TypeVar("T")

MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES = 2048, 1024
MAX_ITEM_BYTES = 400 * 1024
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_WRITES = 100
MAX_NUMBER = 10**38
MAX_SECRET_BYTES = 65_536
MAX_EVENT_BYTES = 256 * 1024
MAX_LETTER_BYTES = 1024 * 1024
MAX_STATE_BYTES = 256 * 1024
MAX_VISIBILITY_SECONDS = 12 * 3600
_EXECUTION_NAME = re.compile("[A-Za-z0-9_-]{1,80}")
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Interceptable:
    """A fake whose calls a test can intercept."""

    def intercept(self, name: str, around: Callable[..., Any]) -> None:
        """Answer calls of a method with `around(method, *arguments)` instead."""
        setattr(self, name, partial(around, getattr(self, name)))

    def restore(self, name: str) -> None:
        """Undo every interception of a method."""
        delattr(self, name)


class FakeClock(Interceptable):
    """A clock that moves when it is told to, or when somebody sleeps; jitter comes from a seed."""

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


class ShiftedClock:
    """A clock that differs from another by so many seconds."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self.sleep, self.jitter, self.new_token = clock.sleep, clock.jitter, clock.new_token

    def now(self) -> float:
        return self._clock.now() + self._seconds


class InMemoryTable(Interceptable):
    """The ledger's table, with DynamoDB's limits and conditions.

    Counts write units as DynamoDB does: one for each KiB, doubled in a transaction. Each of the
    next `conflicts` writes fails because of another transaction, longer than the adapter retries;
    `conflicted` counts those that did.
    """

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {}
        self.write_units = 0
        self.conflicts = self.conflicted = 0
        self.calls: Counter[str] = Counter()

    def get(self, key: Key) -> Item | None:
        self.calls["get"] += 1
        item: Item | None = _copied(self._find(key))
        return item

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
        assert len(writes) <= MAX_WRITES, "too many writes"
        if self.conflicts:
            self.conflicts -= 1
            self.conflicted += 1
            raise LedgerUnavailableError("TransactionConflictException")
        failed = [
            n
            for n, write in enumerate(writes)
            if not _holds(write.condition, self._find(_key(write)))
        ]
        if failed:
            raise ConditionFailedError(failed)
        sizes = [self._apply(write, 2 if len(writes) > 1 else 1) for write in writes]
        assert sum(sizes) <= MAX_TRANSACTION_BYTES, "transaction too large"

    def _find(self, key: Key) -> Item | None:
        return self.items.get(key[0], {}).get(key[1])

    def _apply(self, write: Write, factor: int) -> int:
        """Apply a write, and return the size of its item in bytes."""
        pk, sk = _key(write)
        assert 0 < len(pk.encode()) <= MAX_PARTITION_KEY_BYTES, "partition key too long"
        assert 0 < len(sk.encode()) <= MAX_SORT_KEY_BYTES, "sort key too long"
        old = self.items.get(pk, {}).get(sk)
        if isinstance(write, Put):
            new: Item | None = _copied(write.item)
        elif isinstance(write, Update):
            new = _updated(old or {"PK": pk, "SK": sk}, write)
        else:
            new = None if isinstance(write, Delete) else old
        size = max(item_bytes(old), item_bytes(new))
        assert size <= MAX_ITEM_BYTES, f"item {pk} too large: {size}"
        self.write_units += factor * -(-size // 1024)
        if isinstance(write, Check):
            return size
        if new is None:
            self.items.get(pk, {}).pop(sk, None)
        else:
            self.items.setdefault(pk, {})[sk] = new
        return size


def _key(write: Write) -> Key:
    return write.key


def _holds(condition: Condition, item: Item | None) -> bool:
    known = item or {}
    return (
        all(name not in known for name in condition.absent)
        and all(name in known for name in condition.present)
        and all(name in known and known[name] == value for name, value in condition.equals.items())
        and all(
            name in known and known[name] < value for name, value in condition.less_than.items()
        )
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
    """Return a copy that shares no mutable part."""
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
    """Return about what DynamoDB counts: names and values, three bytes for each list or map.

    Fails for a value that DynamoDB refuses.
    """
    if isinstance(value, str):
        return (len(value) if value.isascii() else len(value.encode())) or 1
    if isinstance(value, bytes):
        return len(value) or 1
    if isinstance(value, dict):
        size = 3
        for name, inner in value.items():  # most are ASCII text: a call for each would be slow
            plain = type(inner) is str and inner.isascii()
            size += len(name) + ((len(inner) or 1) if plain else item_bytes(inner))
        return size
    if isinstance(value, (list, set, tuple)):
        return 3 + sum(map(item_bytes, value))
    if value is None:
        return 1
    assert isinstance(value, int), f"the adapter stores no {type(value).__name__}"
    assert -MAX_NUMBER < value < MAX_NUMBER, "a number has 38 digits at most"
    return 8


@dataclass
class FakeSecret(Interceptable):
    """A secret with its versions. With a `refusal`, AWS refuses to read it for that reason."""

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
        assert len(json.dumps(dict(value)).encode()) <= MAX_SECRET_BYTES, "secret too large"
        self.versions[version], self.current = dict(value), version


def check_event(event: Event) -> None:
    """Fail for an event that SNS refuses, or that `infra/schemas` does not describe.

    SNS refuses an event above 256 KiB, or with an empty attribute.
    """
    attributes = sum(
        len(name.encode()) + len(text.encode()) + len("String")
        for name, text in event.attributes.items()
    )
    assert len(event.body.encode()) + attributes <= MAX_EVENT_BYTES, "event too large"
    assert all(event.attributes.values()), "empty attribute"
    validate_event(json.loads(event.body), event.attributes)


def check_letter(letter: DeadLetter) -> None:
    """Fail for a dead letter that SQS refuses: above 1 MiB, empty, or not possible in XML."""
    texts = [letter.body, *letter.attributes.values()]
    assert all(texts), "empty body or attribute"
    size = sum(len(text.encode()) for text in (*texts, *letter.attributes))
    assert size + len("String") * len(letter.attributes) <= MAX_LETTER_BYTES, "letter too large"
    assert not any(_NOT_XML.search(text) for text in texts), "a character that XML cannot hold"


@dataclass
class InMemoryTopic(Interceptable):
    """A topic that keeps what was published."""

    events: list[Event] = field(default_factory=list)

    def publish(self, events: Sequence[Event]) -> None:
        for event in events:
            check_event(event)
        self.events += events


@dataclass
class InMemoryDeadLetterQueue(Interceptable):
    """A dead-letter queue that keeps what was sent."""

    letters: list[DeadLetter] = field(default_factory=list)

    def send(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            check_letter(letter)
        self.letters += letters


@dataclass
class InMemoryIntakeQueue:
    """Keeps, for each receipt handle, after how many seconds its message becomes visible."""

    in_flight: set[str] = field(default_factory=set)
    delays: dict[str, int] = field(default_factory=dict)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        assert 0 <= seconds <= MAX_VISIBILITY_SECONDS
        if receipt_handle not in self.in_flight:
            raise MessagingError(
                "the intake queue did not accept a message (ReceiptHandleIsInvalid)"
            )
        self.delays[receipt_handle] = seconds


@dataclass
class FakeExecutions:
    """Executions by name, each with its status and its first state."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        assert _EXECUTION_NAME.fullmatch(name), f"not a name of an execution: {name}"
        assert len(json.dumps(dict(state)).encode()) <= MAX_STATE_BYTES, "state too large"
        if name not in self.started:
            self.started[name], self.statuses[name] = dict(state), "RUNNING"

    def stop(self, name: str) -> None:
        self.statuses[name] = "ABORTED"

    def status(self, name: str) -> str | None:
        return self.statuses.get(name)


class Metrics(dict[str, float]):
    """The sums of the metrics that were counted; 0 for any other."""

    def __missing__(self, name: str) -> float:
        return 0


@dataclass
class FakeTelemetry:
    """Keeps log lines and metrics, and which lines are written only at level DEBUG."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    debug_lines: list[str] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    def debug(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))
        self.debug_lines.append(message)

    def info(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    def warn(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    def count(self, metric: str, value: float = 1) -> None:
        self.metrics[metric] += value

    def seconds(self, metric: str, value: float) -> None:
        self.metrics[metric] += value


class SimulatedTransport(Interceptable):
    """Sends requests straight into the Arena simulator's model, on the fake clock."""

    def __init__(self, workspace: Workspace, clock: FakeClock) -> None:
        self.gateway = Gateway(workspace)
        self._clock = clock

    def send(self, request: HttpRequest) -> HttpAnswer:
        answer = self._answer(request, {})
        if answer.dropped:
            raise RequestNotCompletedError(f"{request.call}: dropped")
        headers = {n.lower(): v for n, v in answer.headers}
        return HttpAnswer(answer.status, headers, answer.body(), request.secrets)

    @contextmanager
    def open(self, request: HttpRequest, headers: Mapping[str, str]) -> Iterator[Download]:
        """Fulfil `ports.Downloads`."""
        answer = self._answer(request, headers)
        try:
            with answer.open(self._clock.sleep, READ_TIMEOUT_SECONDS) as reader:
                yield _SimulatedDownload(request, answer, reader)
        except BrokenOffError as exc:
            raise RequestNotCompletedError(f"{request.call}: {exc}") from None

    def _answer(self, request: HttpRequest, headers: Mapping[str, str]) -> Answer:
        path, _, query = request.path.partition("?")
        inner = Request(
            request.method,
            "/v1" + path,
            {name.lower(): value for name, value in {**request.headers, **headers}.items()},
            dict(parse_qsl(query)),
            request.body,
        )
        fault = self.gateway.take_fault(inner)
        if fault is not None:
            self._clock.sleep(fault.delay_before_seconds)
        answer = self.gateway.answer(inner, fault)
        if fault is not None:
            self._clock.sleep(fault.delay_after_seconds)
        return answer

    def rewrite(self, call: str, change: Callable[[Any], Any]) -> None:
        """Change the JSON of each successful answer to one kind of call, as a proxy might."""

        def send(real: Send, request: HttpRequest) -> HttpAnswer:
            answer = real(request)
            if request.call != call or answer.status >= HTTP_ERROR:
                return answer
            content = json.dumps(change(json.loads(answer.body)))
            return HttpAnswer(answer.status, answer.headers, content.encode())

        self.intercept("send", send)


class _SimulatedDownload:
    """Fulfils `ports.Download`."""

    def __init__(self, request: HttpRequest, answer: Answer, reader: Reader) -> None:
        self.status = answer.status
        chunked = answer.stream is not None and answer.stream.framing == "chunked"
        coding = {"transfer-encoding": "chunked"} if chunked else {}
        # A server adds the header.
        self.headers: Mapping[str, str] = {**answer.all_headers, **coding}
        self._call = request.call
        self._reader = reader

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except BrokenOffError as exc:
            raise RequestNotCompletedError(f"{self._call}: {exc}", self.status) from None


def at_once(work: Callable[[], T], /) -> Callable[[], T]:
    """Fulfil `ports.InBackground`: the work is done before the caller goes on."""
    result = work()
    return lambda: result


class FakeDeliverFunction(Interceptable):
    """The deliver function, invoked asynchronously: `invoke` takes its event."""

    def __init__(self, invoke: Callable[[dict[str, Any]], object]) -> None:
        self._invoke = invoke

    def start(self, settled_before: float) -> None:
        self._invoke({"settledBefore": settled_before})


def failing(times: int, error: Exception) -> Callable[..., object]:
    """Return an interception that raises an error so many times, and then calls the method."""
    left = [error] * times

    def call(real: Callable[..., object], *args: object) -> object:
        if left:
            raise left.pop()
        return real(*args)

    return call
