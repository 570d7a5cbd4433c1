"""The requests that the simulator has answered, and their counts."""

from collections import Counter, deque
from dataclasses import dataclass, field

MAX_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """One request and its answer, without session, headers, and body.

    `purpose` is `file` for the metadata of a file and `download` for its content.
    """

    at: float
    purpose: str
    method: str
    path: str
    status: int
    code: int | None
    usage_reason: str | None
    faulted: bool
    dropped: bool
    file_guid: str | None = None


@dataclass(slots=True)
class RequestLog:
    """The latest requests in full, and the counts of all requests."""

    records: deque[Record] = field(default_factory=lambda: deque(maxlen=MAX_RECORDS))
    by_purpose: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_code: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Add a request."""
        self.records.append(record)
        self.by_purpose[record.purpose] += 1
        self.by_status[str(record.status)] += 1
        if record.code is not None:
            self.by_code[str(record.code)] += 1

    @property
    def total(self) -> int:
        """The number of requests, including logins."""
        return self.by_purpose.total()
