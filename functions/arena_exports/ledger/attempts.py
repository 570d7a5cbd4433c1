"""Attempts, the files of their runs, and which attempt a run belongs to (R2, R3).

Each step of an attempt's life is one transaction with the lease, so that only its holder takes it.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import (
    Attempt,
    AttemptOutcome,
    AttemptState,
    RunResult,
    new_attempt,
    successor,
)
from arena_exports.domain.lease import Lease, LeaseState
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    Group,
    ItemGuid,
    Kind,
    Lane,
    PageId,
    PageSlice,
    Selection,
    SetHistory,
)
from arena_exports.domain.runs import Run, RunFile
from arena_exports.ledger import keys, pages
from arena_exports.ledger.codec import from_item, new_item, to_item
from arena_exports.ledger.definitions import definition_put
from arena_exports.ledger.lease import fence, held, held_by, lease_item
from arena_exports.ports import NEW, Check, Condition, Put, Update, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from arena_exports.domain.definitions import Definition
    from arena_exports.ports import Clock, Item, Table

_FILES_ON_AN_ITEM = 250  # whatever their titles, of 255 characters at most


class AttemptStore:
    """The items of attempts, runs and files."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def get(self, attempt_id: AttemptId) -> Attempt:
        """Return an attempt.

        Raises:
            KeyError: there is none with that id.
        """
        item = self._table.get(keys.attempt(attempt_id))
        if item is None:
            raise KeyError(attempt_id)
        return read_attempt(item)

    def files(self, attempt_id: AttemptId) -> list[RunFile]:
        """Return the files of an ended run."""
        pk, first = keys.files(attempt_id, 0)
        items = self._table.query(pk, first, keys.files(attempt_id, 9999)[1])
        return [RunFile(*row) for item in items for row in pages.unpack(item["files"])]

    def known_runs(self, run_guids: Iterable[str]) -> set[str]:
        """Return which of the runs belong to an attempt already."""
        found = self._table.get_many([keys.run(guid) for guid in run_guids])
        return {pk.removeprefix("RUNGUID#") for pk, _ in found}

    def begin(self, lease: Lease, selection: Selection) -> tuple[Lease, Attempt]:
        """Record what is about to be submitted, and attach it to the lease.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        attempt = new_attempt(self._new_id(), selection, self._clock.now())
        attached = replace(lease, attempt_id=attempt.attempt_id, lane=selection.group.lane)
        self._table.write(Put(attempt_item(attempt), NEW), Put(lease_item(attached), held(lease)))
        return attached, attempt

    def begin_again(self, lease: Lease, old: Attempt) -> tuple[Lease, Attempt]:
        """Replace an attempt whose POST led to no run with a new one that has the same contents.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        attempt = successor(old, self._new_id(), self._clock.now())
        attached = replace(lease, attempt_id=attempt.attempt_id, failed_searches=0)
        self._table.write(
            Put(attempt_item(attempt), NEW),
            self._close(old, AttemptState.REPLACED),
            Put(lease_item(attached), held(lease)),
        )
        return attached, attempt

    def reject_items(
        self, lease: Lease, attempt: Attempt, item_guids: frozenset[ItemGuid]
    ) -> Attempt:
        """Take items out of an attempt, and count its refusals, before it is sent again.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        now = int(self._clock.now())
        rejected = attempt.rejected | item_guids
        values = {
            "rejected": pages.pack(sorted(rejected)),
            "refusals": attempt.refusals,
            "sentAt": now,
            "firstSentAt": now,
            "unanswered": 1,
        }
        self._table.write(
            Update(keys.attempt(attempt.attempt_id), values), Check(keys.SLOT, held(lease))
        )
        return replace(attempt, rejected=rejected, sent_at=now, first_sent_at=now, unanswered=1)

    def started(self, lease: Lease, attempt: Attempt, run: Run) -> Attempt:
        """Record the run that an attempt became.

        Raises:
            ConditionFailedError: the lease was lost; its new holder will find the run.
        """
        now = int(self._clock.now())
        running = replace(
            attempt,
            state=AttemptState.RUNNING,
            run_guid=run.guid,
            run_number=run.number,
            started_at=now,
        )
        monitored = replace(
            lease,
            state=LeaseState.RUNNING,
            held_until=0,
            not_before=0,
            busy=0,
            failed_searches=0,
            creator_guid=run.creator_guid or lease.creator_guid,
        )
        known = new_item(
            keys.run(run.guid),
            attemptId=attempt.attempt_id,
            expiresAt=now + keys.LIFE_SECONDS,
        )
        self._table.write(
            Put(attempt_item(running)), Put(lease_item(monitored), held(lease)), Put(known)
        )
        return running

    def postpone(
        self, lease: Lease, attempt: Attempt, *, not_before: float, failed_searches: int = 0
    ) -> None:
        """Record what is known of an attempt whose outcome is unknown, and search again later.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        waiting = replace(lease, held_until=ceil(not_before), failed_searches=failed_searches)
        known = {
            "searches": attempt.searches,
            "unanswered": attempt.unanswered,
            "lastStatus": attempt.last_status,
            "refusedSearches": attempt.refused_searches,
        }
        update = Update(keys.attempt(attempt.attempt_id), known)
        self._table.write(update, Put(lease_item(waiting), held(lease)))

    def void(
        self,
        lease: Lease,
        attempt: Attempt,
        *,
        not_before: float = 0,
        busy: int = 0,
        definition: Definition | None = None,
    ) -> None:
        """Void an attempt without a readable run and free the lease; its requests stay pending.

        Raises:
            ConditionFailedError: the lease belongs to another attempt.
        """
        idle = replace(
            lease, state=LeaseState.IDLE, attempt_id=None, not_before=ceil(not_before), busy=busy
        )
        self._table.write(
            self._close(attempt, AttemptState.VOID),
            Put(lease_item(idle), held_by(attempt)),
            *([definition_put(definition)] if definition else []),
        )

    def ended(self, attempt: Attempt, result: RunResult, files: Sequence[RunFile] = ()) -> Attempt:
        """Record the outcome of an attempt and its run's files, while it has the lease.

        Raises:
            ConditionFailedError: it has ended before, or was given up.
        """
        for number, start in enumerate(range(0, len(files), _FILES_ON_AN_ITEM), start=1):
            self._put_files(attempt, number, files[start : start + _FILES_ON_AN_ITEM])
        changed = replace(attempt, state=AttemptState.ENDED, result=result)
        unchanged = Condition(equals={"state": attempt.state.value})
        self._table.write(Put(attempt_item(changed), unchanged), fence(attempt))
        return changed

    def settled(
        self, lease: Lease, attempt: Attempt, definition: Definition, *extra: Write
    ) -> None:
        """Close an attempt whose requests are settled, free the lease, and write the definition.

        `extra` are writes that belong in the same transaction.

        Raises:
            ConditionFailedError: the lease belongs to another attempt.
        """
        idle = replace(lease, state=LeaseState.IDLE, attempt_id=None, held_until=0, not_before=0)
        self._table.write(
            self._close(attempt, AttemptState.SETTLED),
            Put(lease_item(idle), held_by(attempt)),
            definition_put(definition),
            *extra,
        )

    def restart_execution(self, attempt: Attempt) -> Attempt:
        """Give a running attempt its next execution number: a name starts only one execution.

        Raises:
            ConditionFailedError: another copy was first, or the attempt is no longer running.
        """
        unchanged = Condition(
            equals={"executionNumber": attempt.execution_number, "state": attempt.state.value}
        )
        update = {"executionNumber": attempt.execution_number + 1}
        self._table.write(Update(keys.attempt(attempt.attempt_id), update, condition=unchanged))
        return replace(attempt, execution_number=attempt.execution_number + 1)

    def _new_id(self) -> AttemptId:
        return AttemptId(keys.new_id(self._clock.now(), self._clock.new_token()))

    def _close(self, attempt: Attempt, state: AttemptState) -> Update:
        """Return the update that closes an attempt in its last state."""
        expiry = int(self._clock.now()) + keys.LIFE_SECONDS
        return Update(keys.attempt(attempt.attempt_id), {"state": state.value, "expiresAt": expiry})

    def _put_files(self, attempt: Attempt, number: int, files: Sequence[RunFile]) -> None:
        item = new_item(
            keys.files(attempt.attempt_id, number),
            files=pages.pack([[file.guid, file.title] for file in files]),
            expiresAt=int(self._clock.now()) + keys.LIFE_SECONDS,
        )
        self._table.write(Put(item))


def attempt_item(attempt: Attempt) -> Item:
    """Return the ledger item of an attempt: its group flattened, long lists compressed."""
    item = to_item(keys.attempt(attempt.attempt_id), attempt)
    del item["attemptId"]
    item |= item.pop("group")
    item["slices"] = pages.pack([[s.page_id, s.start, s.stop, s.size] for s in attempt.slices])
    item["rejected"] = pages.pack(sorted(attempt.rejected))
    return item


def read_attempt(item: Item) -> Attempt:
    """Read the attempt in a ledger item."""
    slices = pages.unpack(item["slices"])
    return from_item(
        Attempt,
        item,
        attempt_id=AttemptId(item["SK"]),
        group=Group(Lane(item["lane"]), ExportGuid(item["exportGuid"]), Kind(item["kind"])),
        slices=tuple(PageSlice(PageId(page), *positions) for page, *positions in slices),
        history=from_item(SetHistory, item["history"]),
        state=AttemptState(item["state"]),
        rejected=frozenset(map(ItemGuid, pages.unpack(item["rejected"]))),
        result=_result(item["result"]),
    )


def _result(values: Item | None) -> RunResult | None:
    if values is None:
        return None
    return from_item(RunResult, values, outcome=AttemptOutcome(values["outcome"]))
