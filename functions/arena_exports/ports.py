"""What the domain needs of the outside: one protocol for each role.

Adapters and fakes fulfil them. A key is the pair of a ledger item's `PK` and `SK`. Item values are
text, whole numbers, bytes, lists, dicts, sets of text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


T = TypeVar("T")
R = TypeVar("R")
Key = tuple[str, str]
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one item: all parts must hold.

    `absent`/`present`: attributes (PK: the item itself); `equals`: attribute values; `less`:
    attribute below a value.
    """

    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    equals: Mapping[str, Any] = field(default_factory=dict)
    less_than: Mapping[str, Any] = field(default_factory=dict)


ALWAYS = Condition()


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole item; `item` holds PK and SK."""

    item: Item
    condition: Condition = ALWAYS

    @property
    def key(self) -> Key:
        """The key of the item."""
        return self.item["PK"], self.item["SK"]


@dataclass(frozen=True, slots=True)
class Update:
    """Set and remove attributes of an item, made where it is missing, and add texts to sets."""

    key: Key
    values: Mapping[str, Any] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    add: Mapping[str, set[str]] = field(default_factory=dict)
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item; none there is no error."""

    key: Key
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Check:
    """Only check a condition, as one of several writes."""

    key: Key
    condition: Condition


Write = Put | Update | Delete | Check


class Table(Protocol):
    """The ledger's table; every read is consistent.

    Raises:
        ConditionFailedError: a condition did not hold; nothing was written.
        LedgerUnavailableError: throttled, in conflict, or down; nothing was written as far as is
            known.
    """

    def get(self, key: Key) -> Item | None:
        """Return one item, or None."""

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Return those of the items that exist."""

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        """Return items of one partition in order, from SK `first` to `last`, both included."""

    def write(self, *writes: Write) -> None:
        """Do all writes or none: one alone as it is, several in one transaction."""


class Clock(Protocol):
    """Time, and chance with it, so that a test can own both."""

    def now(self) -> float:
        """Return epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait; for breaths and bounded retries alone (R10)."""

    def jitter(self) -> float:
        """Return a random number from 0 up to, not including, 1."""

    def new_token(self) -> str:
        """Return 32 random hex digits."""


class Transport(Protocol):
    """Sends one request to Arena, once."""

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer, whatever its status.

        Raises:
            RequestNotCompletedError: none came within the time-out, or it was too large to read.
        """


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's value (its JSON object) and the id of the version that it is.

    Where the value is not a JSON object, `value` is empty and `problem` says what is wrong
    ("is binary, ..."), without any part of the value.
    """

    version: str
    value: Mapping[str, Any] = field(repr=False)
    problem: str = ""


class SecretReader(Protocol):
    """Reads one secret."""

    def read(self, version: str | None = None) -> Secret | None:
        """Return the current version, or a named one; None when there is none yet.

        Raises:
            RetryLaterError: Secrets Manager did not answer; as a `SecretRefusedError`: it refuses.
        """


class SecretStore(SecretReader, Protocol):
    """Reads and writes one secret."""

    def write(self, value: Mapping[str, Any], version: str) -> None:
        """Make a new current version with the given id (32 to 64 letters, digits, hyphens).

        Raises:
            RetryLaterError: Secrets Manager did not answer; as a `SecretRefusedError`: it refuses.
        """


class SessionRenewer(Protocol):
    """The session function, as the other functions see it."""

    def renew(self, dead_version: str) -> str:
        """Say that a session is dead, and return the version that is in force.

        Both are versions of the session secret; "" says that there was none.

        Raises:
            RetryLaterError: there is none to be had now: another login is under way, a cool-down, a
                refused login.
        """


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent as the topic takes it: its JSON, and message attributes for filter policies."""

    body: str
    attributes: Mapping[str, str]


class Topic(Protocol):
    """The outcome topic."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in order.

        Raises:
            DeliveryError: not everything was accepted; what was accepted stays published.
        """


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead-letter entry: a body that the intake queue can be sent again, and why it is there."""

    body: str
    request_id: str
    error_code: str
    error_message: str

    @property
    def attributes(self) -> dict[str, str]:
        """The reason, as message attributes; SQS refuses an empty one."""
        return {
            "requestId": self.request_id,
            "errorCode": self.error_code,
            "errorMessage": self.error_message or "-",
        }


class DeadLetterQueue(Protocol):
    """The dead-letter queue."""

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send all.

        Raises:
            DeliveryError: not everything was accepted.
        """


class IntakeQueue(Protocol):
    """The intake queue, for messages that it has delivered and that are not deleted yet."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Have the queue deliver a message again so many seconds from now.

        Raises:
            DeliveryError: the queue refused, or did not answer.
        """


class InParallel(Protocol):
    """Does the same for each of many values, several at a time where it can."""

    def __call__(self, work: Callable[[T], R], values: Iterable[T], /) -> Iterable[R]:
        """Yield the results, in the order of the values."""


class Executions(Protocol):
    """Executions of the export run state machine."""

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        """Start one; a used name means that it was started already."""

    def status(self, name: str) -> str | None:
        """Return Step Functions' status (`RUNNING`, `SUCCEEDED`, …); None for an unknown name."""


class Telemetry(Protocol):
    """Log lines and metrics."""

    def debug(self, message: str, **fields: object) -> None:
        """Log what only a search for a fault needs; it is written at the level DEBUG alone."""

    def info(self, message: str, **fields: object) -> None:
        """Log one event of a request's or a run's life."""

    def warn(self, message: str, **fields: object) -> None:
        """Log something that an operator should know."""

    def count(self, metric: str, value: float = 1) -> None:
        """Add to a metric."""

    def seconds(self, metric: str, value: float) -> None:
        """Add a duration to a metric."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to Arena; `path` is below the base address.

    `call` names it in logs and for administrators, `purpose` in the metrics.
    """

    call: str
    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    session_id: str = field(default="", repr=False)
    purpose: str = ""
    password: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that every call carries; login has no session yet."""
        headers = {
            "Content-Type": "application/json",
            "Arena-Usage-Reason": f"arena-exports: {self.call}",
        }
        return {**headers, "arena_session_id": self.session_id} if self.session_id else headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What it tells Arena, and Arena alone (R9)."""
        return tuple(filter(None, (self.session_id, self.password)))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; header names in lower case.

    `secrets` are the request's: Arena, or a proxy, may show them in what it says.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Return a text of the answer without the request's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return text
