"""The ledger: the only shared state.

One table, no index; every read is consistent and by key (PK / SK):

`MSG#<request id>` / `-`
    Marker of a message, with its pages. Written once, so redelivery changes nothing.
`PAGE#<page id>` / `-`
    Requests that were recorded together, compressed. Only `attempts` that took from it, `movedTo`
    (the suspect pages that its items went to) and its expiry change.
`PENDING` / `<lane>#<export>#<kind>#<page id>`
    Pointer to a page, with the position up to which it is settled.
`RUN#<yyyymm>` / `<attempt id>`
    An attempt, written before the POST, and the run that it became.
`RUN#<yyyymm>` / `<attempt id>#FILES#<n>`
    The files of its ended run.
`RUNGUID#<run guid>` / `-`
    Which attempt a run belongs to.
`SLOT` / `-`
    The lease: idle, submitting or running; its token, attempt and times.
`DEF#<export guid>` / `-`
    What is known about an export definition.
`BUDGET` / `-` and `SESSION` / `-`
    The last known request budget; which session is in force.
`DURATIONS` / `-`
    The durations of the stack's last runs, by size: what a new definition's first run may take.
`TRIALS` / `-`
    The last day's POSTs for export definitions without a successful run.
`PAUSE` / `-`
    A pause: its reason, by whom, until when. Operators write it.

With delivery there are more items: see `ledger.deliveries`.

Every item has a version, `v`, for later releases. Pending items never expire. Attempts and pages
expire 75 days after they were settled; markers, runs' items and files expire 75 days after they
were written (`expiresAt`). SLOT, LANE, DEF, BUDGET, SESSION, DURATIONS, TRIALS and PAUSE never
expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.deliveries import FileCounts
from arena_exports.ledger.attempts import AttemptStore
from arena_exports.ledger.budget import BudgetStore
from arena_exports.ledger.definitions import DefinitionStore
from arena_exports.ledger.deliveries import DeliveryStore, delivery_put
from arena_exports.ledger.lease import LeaseStore
from arena_exports.ledger.pause import PauseStore
from arena_exports.ledger.requests import RequestStore
from arena_exports.ledger.session import SessionStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.deliveries import Delivery
    from arena_exports.domain.model import Selection
    from arena_exports.ports import Clock, Table


@dataclass(frozen=True, slots=True)
class Ledger:
    """The stores of the ledger."""

    requests: RequestStore
    lease: LeaseStore
    attempts: AttemptStore
    definitions: DefinitionStore
    deliveries: DeliveryStore
    budget: BudgetStore
    session: SessionStore
    pause: PauseStore

    def settle(
        self,
        attempt: Attempt,
        definition: Definition,
        moved_to: Sequence[str] = (),
        delivery: Delivery | None = None,
    ) -> None:
        """Settle what an attempt took, close it, write its definition, and free the lease.

        Args:
            attempt: ended, and published or set aside.
            definition: its export definition from now on.
            moved_to: ids of the suspect pages that its items went to, if any.
            delivery: the delivery of its files, if they are to be delivered.

        Raises:
            ConditionFailedError: the lease belongs to another attempt.
        """
        for part in attempt.slices:
            self.requests.settle_slice(attempt.group, part, attempt.attempt_id, moved_to)
        extra = [delivery_put(delivery)] if delivery else []
        self.attempts.settled(self.lease.read(), attempt, definition, *extra)

    def file_counts(self, attempt: Attempt) -> FileCounts:
        """Return how many files an ended run has."""
        return FileCounts(
            len(self.attempts.files(attempt.attempt_id)),
            self.deliveries.files_without_guid(attempt.attempt_id),
        )

    def selection(self, attempt: Attempt) -> Selection:
        """Return what an attempt carries: what it took, without the items that Arena refused."""
        return self.requests.load_selection(attempt.group, attempt.slices, attempt.history).without(
            attempt.rejected
        )


def open_ledger(table: Table, clock: Clock) -> Ledger:
    """Return the ledger in a table."""
    return Ledger(
        requests=RequestStore(table, clock),
        lease=LeaseStore(table, clock),
        attempts=AttemptStore(table, clock),
        definitions=DefinitionStore(table),
        deliveries=DeliveryStore(table, clock),
        budget=BudgetStore(table),
        session=SessionStore(table),
        pause=PauseStore(table),
    )
