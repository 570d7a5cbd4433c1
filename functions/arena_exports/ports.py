"""What the services need from outside: one protocol for each role.

Adapters and fakes implement them. A key is the pair of a ledger item's `PK` and `SK`. Item values
are text, whole numbers, bytes, lists, dicts, and sets of text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager


T = TypeVar("T")
R = TypeVar("R")
Key = tuple[str, str]
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one item: all parts must hold.

    `absent` and `present` name attributes (PK: the item itself); `equals` and `less_than` compare
    attributes with values.
    """

    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    equals: Mapping[str, Any] = field(default_factory=dict)
    less_than: Mapping[str, Any] = field(default_factory=dict)


ALWAYS = Condition()
NEW = Condition(absent=("PK",))


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
    """Set and remove attributes of an item, and add texts to its sets; create it if missing."""

    key: Key
    values: Mapping[str, Any] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    add: Mapping[str, set[str]] = field(default_factory=dict)
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item; a missing one is no error."""

    key: Key
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Check:
    """Check a condition without writing, as part of a transaction."""

    key: Key
    condition: Condition


Write = Put | Update | Delete | Check


class Table(Protocol):
    """The ledger's table; every read is consistent.

    Raises:
        ConditionFailedError: a condition did not hold; nothing was written.
        LedgerUnavailableError: throttled, in conflict, or down; probably nothing was written.
    """

    def get(self, key: Key) -> Item | None:
        """Return one item, or None."""

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Return the items that exist."""

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        """Return items of one partition in order, from SK `first` to `last`, both included."""

    def write(self, *writes: Write) -> None:
        """Do all writes or none: several go in one transaction."""


class Clock(Protocol):
    """Time and randomness, so that a test controls both."""

    def now(self) -> float:
        """Return epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait; only for the linger and for bounded retries (R10)."""

    def jitter(self) -> float:
        """Return a random number from 0 up to, not including, 1."""

    def new_token(self) -> str:
        """Return 32 random hex digits."""


class Transport(Protocol):
    """Sends one request to Arena, once."""

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer, whatever its status.

        Raises:
            RequestNotCompletedError: no answer came in time, or it was too large.
        """


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's value (a JSON object) and the id of its version.

    If the value is not a JSON object, `value` is empty and `problem` says why ("is binary: …"),
    without any part of the value.
    """

    version: str
    value: Mapping[str, Any] = field(repr=False)
    problem: str = ""


class SecretReader(Protocol):
    """Reads one secret."""

    def read(self, version: str | None = None) -> Secret | None:
        """Return the current version, or a named one; None if there is none yet.

        Raises:
            RetryLaterError: Secrets Manager did not answer.
            SecretRefusedError: it refuses.
        """


class SecretStore(SecretReader, Protocol):
    """Reads and writes one secret."""

    def write(self, value: Mapping[str, Any], version: str) -> None:
        """Make a new current version with the given id (32 to 64 letters, digits, hyphens).

        Raises:
            RetryLaterError, SecretRefusedError: as for `read`.
        """


class SessionRenewer(Protocol):
    """The session function, as the other functions see it."""

    def renew(self, dead_version: str) -> str:
        """Report that a session is dead, and return the version that is in force.

        Both are versions of the session secret; "" means that there was none.

        Raises:
            RetryLaterError: no session now: another login is in progress, logins cool down, or the
                login is refused.
        """


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent for the topic: its JSON, and message attributes for filter policies."""

    body: str
    attributes: Mapping[str, str]


class Topic(Protocol):
    """The outcome topic."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in order.

        Raises:
            MessagingError: an event was not accepted; those before it stay published.
        """


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter: a body that can be sent to the intake queue again, and why it is here."""

    body: str
    request_id: str
    error_code: str
    error_message: str

    @property
    def attributes(self) -> dict[str, str]:
        """The reason as message attributes; SQS refuses empty ones."""
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
            MessagingError: not everything was accepted.
        """


class IntakeQueue(Protocol):
    """The intake queue, for messages that it delivered and that are not deleted yet."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Make the queue redeliver a message after a number of seconds.

        Raises:
            MessagingError: the queue refused, or did not answer.
        """


class InParallel(Protocol):
    """Calls a function for many values, several at a time where possible."""

    def __call__(self, work: Callable[[T], R], values: Iterable[T], /) -> Iterable[R]:
        """Yield the results, in the order of the values."""


class InBackground(Protocol):
    """Runs a function while the caller continues, if possible."""

    def __call__(self, work: Callable[[], R], /) -> Callable[[], R]:
        """Start the work; return a function that waits for it, and returns or raises as it did."""


class Executions(Protocol):
    """Executions of the export run state machine."""

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        """Start one, unless one with that name was started before."""

    def status(self, name: str) -> str | None:
        """Return Step Functions' status (`RUNNING`, `SUCCEEDED`, …); None for an unknown name."""


class Telemetry(Protocol):
    """Log lines and metrics."""

    def debug(self, message: str, **fields: object) -> None:
        """Log what only debugging needs, at level DEBUG."""

    def info(self, message: str, **fields: object) -> None:
        """Log one event in the life of a request or a run."""

    def warn(self, message: str, **fields: object) -> None:
        """Log something that an operator should know."""

    def count(self, metric: str, value: float = 1) -> None:
        """Add to a metric."""

    def seconds(self, metric: str, value: float) -> None:
        """Add a duration to a metric."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to Arena; `path` is below the base address.

    `call` names it in logs and to Arena's administrators, `purpose` in metrics.
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
        """The headers; a login has no session yet."""
        usage = f"arena-exports: {self.call}"
        headers = {"Content-Type": "application/json", "Arena-Usage-Reason": usage}
        return {**headers, "arena_session_id": self.session_id} if self.session_id else headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What only Arena may see (R9)."""
        return tuple(filter(None, (self.session_id, self.password)))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; header names in lower case.

    `secrets` are the request's: Arena, or a proxy, may repeat them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Return text from the answer without the request's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return text


class Download(Protocol):
    """The answer to a GET of a file, whose body is read piece by piece.

    `headers` have their names in lower case.
    """

    status: int
    headers: Mapping[str, str]

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none once the body is complete.

        It is complete if all of Content-Length arrived and nothing followed, or if a chunked body
        was terminated.

        Raises:
            RequestNotCompletedError: the body was cut off, stalled, or was too long.
        """


class Downloads(Protocol):
    """Sends a GET for a file to Arena, once."""

    def open(
        self, request: HttpRequest, headers: Mapping[str, str]
    ) -> AbstractContextManager[Download]:
        """Return the answer, whatever its status, with its body unread.

        Raises:
            RequestNotCompletedError: no answer came in time.
        """


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    key: str
    upload_id: str


class Bucket(Protocol):
    """The bucket for delivered files; `prefix` begins their keys. Objects never change.

    Raises:
        ObjectConflictError: the key has an object, another write to it is in progress, the upload
            is gone, or the answer was lost: read what is there.
        BucketError: S3 or KMS refuses, or did not answer.
    """

    name: str
    prefix: str

    def keys(self, folder: str) -> list[str]:
        """Return the keys of the objects in a folder, in order."""

    def put(self, key: str, body: bytes | bytearray, content_type: str) -> str | None:
        """Create an object; return its version id, None in a bucket without versions."""

    def begin(self, key: str, content_type: str) -> Upload:
        """Open a multipart upload."""

    def put_part(
        self, upload: Upload, number: int, body: bytes | bytearray
    ) -> Mapping[str, object]:
        """Upload a part, numbered from 1; return what `complete` needs to know about it."""

    def complete(
        self, upload: Upload, parts: Sequence[Mapping[str, object]], size: int
    ) -> str | None:
        """Create an object of `size` bytes from the parts; return its version id."""

    def abort(self, upload: Upload) -> None:
        """Abort a multipart upload; one that is gone already is no error."""

    def abort_all(self, folder: str) -> None:
        """Abort the multipart uploads that are open in a folder."""

    def read(self, key: str) -> AbstractContextManager[ObjectBody]:
        """Open an object for reading."""


class ObjectBody(Protocol):
    """An object of the bucket, read piece by piece."""

    version_id: str | None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            BucketError: S3 did not send all of it.
        """


class DeliverFunction(Protocol):
    """The deliver function, as submit sees it."""

    def start(self, settled_before: float) -> None:
        """Invoke it, without waiting for it, for the runs settled before a time (epoch seconds).

        Raises:
            MessagingError: Lambda did not accept it.
        """
