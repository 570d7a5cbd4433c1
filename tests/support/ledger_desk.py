"""A ledger on a table in memory, and the first steps of a run, for tests of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import Attempt, AttemptOutcome, AttemptState, RunResult
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    ExportRequest,
    Group,
    ItemGuid,
    Kind,
    Lane,
    PageId,
    PageSlice,
    RequestId,
    RunGuid,
    Selection,
    SetHistory,
)
from arena_exports.domain.runs import Run, RunStatus
from arena_exports.ledger import Ledger, keys, open_ledger
from tests.support.fakes import FakeClock, InMemoryTable
from tests.support.world import item_guid

if TYPE_CHECKING:
    from arena_exports.domain.lease import Lease
    from arena_exports.ports import Item, Key

EXPORT = ExportGuid("EXPORT0000000000000A")
GROUP = Group(Lane.NORMAL, EXPORT, Kind.ITEMS)
SUSPECTS = Group(Lane.SUSPECT, EXPORT, Kind.ITEMS)
NOW = 1_700_000_000
MONTH = "RUN#202311"
IN_75_DAYS = NOW + 75 * 86_400
RESULT = RunResult(
    AttemptOutcome.COMPLETE,
    "COMPLETE",
    3,
    "2023-11-14T22:13:20Z",
    "2023-11-14T22:14:20Z",
    "code",
    "text",
)
FULL_ATTEMPT = Attempt(
    attempt_id=AttemptId(f"{NOW * 1000:012x}0123456789ab"),
    group=SUSPECTS,
    slices=(PageSlice(PageId("p"), 1, 2, 3),),
    history=SetHistory(1, 2, 3),
    item_count=4,
    state=AttemptState.ENDED,
    sent_at=5,
    first_sent_at=6,
    refusals=7,
    searches=8,
    rejected=frozenset({item_guid(1)}),
    run_guid=RunGuid("RUN"),
    run_number=9,
    started_at=10,
    execution_number=11,
    result=RESULT,
)


@dataclass
class Desk:
    """A ledger on an in-memory table, with shortcuts for the first steps of a run."""

    table: InMemoryTable = field(default_factory=InMemoryTable)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = open_ledger(self.table, self.clock)

    def record(self, name: str, *items: ItemGuid, group: Group = GROUP) -> None:
        """Record one request."""
        self.ledger.requests.record([ExportRequest(RequestId(name), group, items, f"ECO-{name}")])

    def select(self, limit: int = 100) -> Selection:
        """Select requests of the oldest group for a run."""
        return self.ledger.requests.select(self.ledger.requests.oldest_pages()[0], limit)

    def begin(self, *items: ItemGuid, limit: int = 100) -> tuple[Lease, Attempt]:
        """Record a request, take the lease, and write the attempt."""
        self.record("r1", *(items or [item_guid(n) for n in range(3)]))
        lease = self.ledger.lease.take(self.ledger.lease.read())
        return self.ledger.attempts.begin(lease, self.select(limit))

    def start(self, *items: ItemGuid, limit: int = 100) -> Attempt:
        """Do all that, and record the run that Arena answers with."""
        return self.ledger.attempts.started(*self.begin(*items, limit=limit), run())

    def at(self, key: Key) -> Item:
        """Return an item."""
        item = self.table.get(key)
        assert item is not None
        return item

    def lease(self) -> Item:
        """Return the lease item without its random token."""
        return {name: value for name, value in self.at(keys.SLOT).items() if name != "token"}

    def pointers(self) -> dict[str, Item]:
        """Return the pending pointers."""
        return self.table.items.get("PENDING", {})


def run(guid: str = "RUN0000000000000000A", creator: str | None = "USER") -> Run:
    """Return a run as Arena reports it."""
    return Run(RunGuid(guid), 7, RunStatus.CREATED, "CREATED", None, None, creator, None, None, ())


def attempts_of(ledger: Ledger, request_id: str) -> list[str]:
    """Return the ids of the attempts that took items of a request."""
    states = ledger.requests.trace(RequestId(request_id)) or []
    return sorted({attempt_id for state in states for attempt_id in state.attempts})
