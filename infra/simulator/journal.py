"""The log of the requests that the simulator answered, and their counts."""

from collections import Counter, deque
from dataclasses import dataclass, field

KEPT_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """One request and how it was answered; never with a session, a header or a body."""

    at: float
    purpose: str
    method: str
    path: str
    status: int
    code: int | None
    usage_reason: str | None
    faulted: bool
    dropped: bool


@dataclass(slots=True)
class Journal:
    """The latest requests in full, and the counts of all."""

    records: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT_RECORDS))
    by_purpose: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_code: Counter[str] = field(default_factory=Counter)

    def note(self, record: Record) -> None:
        """Add a request."""
        self.records.append(record)
        self.by_purpose[record.purpose] += 1
        self.by_status[str(record.status)] += 1
        if record.code is not None:
            self.by_code[str(record.code)] += 1

    @property
    def total(self) -> int:
        """How many requests there were, logins among them."""
        return self.by_purpose.total()
