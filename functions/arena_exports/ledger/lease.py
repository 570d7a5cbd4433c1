"""The lease on the workspace's one export slot, and the attempts made under it (R2, R3).

Taking it makes a new token. Every write that follows from holding it is conditional on the token,
or on the attempt that the lease names, so that a copy that was thought dead can do no harm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import Attempt, AttemptState, RunResult, new_attempt, successor
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.lease import Lease, LeaseState
from arena_exports.domain.model import AttemptId, ItemGuid, Selection
from arena_exports.domain.runs import Run, RunFile
from arena_exports.ledger import keys, pages
from arena_exports.ledger.attempts import attempt_item, read_attempt
from arena_exports.ledger.definitions import definition_put
from arena_exports.ledger.items import lease_item, read_lease, run_item
from arena_exports.ports import Check, Condition, Put, Update

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from arena_exports.domain.definitions import Definition
    from arena_exports.ports import Clock, Table

# Longer than submit's time-out (120 s) and Arena's HTTP time-out (30 s) together (R3).
LEASE_SECONDS = 180
_FILES_ON_AN_ITEM = 250  # whatever their titles, of 255 characters at most


class LeaseStore:
    """The lease and the attempts."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def read(self) -> Lease:
        """Return the lease; idle before it was first taken."""
        item = self._table.get(keys.SLOT)
        return Lease() if item is None else read_lease(item)

    def take(self, seen: Lease) -> Lease:
        """Take the lease that was seen idle or expired, with a new token; its attempt stays.

        Raises:
            ConditionFailedError: somebody else took it since.
        """
        held_until = int(self._clock.now()) + LEASE_SECONDS
        taken = replace(
            seen, state=LeaseState.SUBMITTING, token=self._clock.new_token(), held_until=held_until
        )
        unchanged = (
            Condition(equals={"token": seen.token, "state": seen.state.value})
            if seen.token
            else Condition(absent=("PK",))
        )
        self._table.write(Put(lease_item(taken), unchanged))
        return taken

    def release(self, lease: Lease) -> None:
        """Free a lease that was taken and has no attempt; a lost one is no error."""
        idle = replace(lease, state=LeaseState.IDLE)
        try:
            self._table.write(Put(lease_item(idle), _held(lease)))
        except ConditionFailedError:
            return

    def begin(self, lease: Lease, selection: Selection) -> tuple[Lease, Attempt]:
        """Write down what is about to be submitted, and attach it to the lease.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        now = self._clock.now()
        attempt = new_attempt(AttemptId(keys.new_id(now, self._clock.new_token())), selection, now)
        attached = replace(lease, attempt_id=attempt.attempt_id, lane=selection.group.lane)
        self._table.write(
            Put(attempt_item(attempt), Condition(absent=("PK",))),
            Put(lease_item(attached), _held(lease)),
        )
        return attached, attempt

    def begin_again(self, lease: Lease, old: Attempt) -> tuple[Lease, Attempt]:
        """Replace an attempt whose POST led to no run by a new one with the same contents.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        now = self._clock.now()
        attempt = successor(old, AttemptId(keys.new_id(now, self._clock.new_token())), now)
        attached = replace(lease, attempt_id=attempt.attempt_id, failed_searches=0)
        self._table.write(
            Put(attempt_item(attempt), Condition(absent=("PK",))),
            Update(keys.attempt(old.attempt_id), _over(AttemptState.REPLACED, self._clock.now())),
            Put(lease_item(attached), _held(lease)),
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
            Update(keys.attempt(attempt.attempt_id), values), Check(keys.SLOT, _held(lease))
        )
        return replace(attempt, rejected=rejected, sent_at=now, first_sent_at=now, unanswered=1)

    def started(self, lease: Lease, attempt: Attempt, run: Run) -> Attempt:
        """Write down the run that an attempt became.

        Raises:
            ConditionFailedError: the lease was lost; its new holder will find the run.
        """
        running = replace(
            attempt,
            state=AttemptState.RUNNING,
            run_guid=run.guid,
            run_number=run.number,
            started_at=int(self._clock.now()),
        )
        creator = run.creator_guid or lease.creator_guid
        slot = replace(
            lease,
            state=LeaseState.RUNNING,
            held_until=0,
            not_before=0,
            busy=0,
            failed_searches=0,
            creator_guid=creator,
        )
        known = Put(run_item(run.guid, attempt.attempt_id, self._clock.now()))
        self._table.write(Put(attempt_item(running)), Put(lease_item(slot), _held(lease)), known)
        return running

    def postpone(
        self, lease: Lease, attempt: Attempt, *, not_before: float, failed_searches: int = 0
    ) -> None:
        """Keep what is known of an attempt whose outcome is unknown, and search again later.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        slot = replace(lease, held_until=_ceil(not_before), failed_searches=failed_searches)
        known = {
            "searches": attempt.searches,
            "unanswered": attempt.unanswered,
            "lastStatus": attempt.last_status,
            "refusedSearches": attempt.refused_searches,
        }
        update = Update(keys.attempt(attempt.attempt_id), known)
        self._table.write(update, Put(lease_item(slot), _held(lease)))

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
            lease, state=LeaseState.IDLE, attempt_id=None, not_before=_ceil(not_before), busy=busy
        )
        extra = [definition_put(definition)] if definition else []
        self._table.write(
            Update(keys.attempt(attempt.attempt_id), _over(AttemptState.VOID, self._clock.now())),
            Put(lease_item(idle), _held_by(attempt)),
            *extra,
        )

    def ended(self, attempt: Attempt, result: RunResult, files: Sequence[RunFile] = ()) -> Attempt:
        """Keep the outcome of an attempt and its run's files, as long as the lease belongs to it.

        Raises:
            ConditionFailedError: it has ended before, or was given up.
        """
        for number, start in enumerate(range(0, len(files), _FILES_ON_AN_ITEM), start=1):
            self._table.write(
                self._files_put(attempt, number, files[start : start + _FILES_ON_AN_ITEM])
            )
        changed = replace(attempt, state=AttemptState.ENDED, result=result)
        unchanged = Condition(equals={"state": attempt.state.value})
        self._table.write(Put(attempt_item(changed), unchanged), self.fence_of(attempt))
        return changed

    def _files_put(self, attempt: Attempt, number: int, files: Sequence[RunFile]) -> Put:
        pk, sk = keys.files(attempt.attempt_id, number)
        expiry = int(self._clock.now()) + keys.MARKER_LIFE_SECONDS
        packed = pages.pack([[file.guid, file.title] for file in files])
        return Put({"PK": pk, "SK": sk, "v": keys.VERSION, "files": packed, "expiresAt": expiry})

    def settled(self, attempt: Attempt, definition: Definition) -> None:
        """Close an attempt whose requests are settled, and free the lease.

        Raises:
            ConditionFailedError: the lease belongs to another attempt.
        """
        slot = self.read()
        idle = replace(slot, state=LeaseState.IDLE, attempt_id=None, held_until=0, not_before=0)
        self._table.write(
            Update(
                keys.attempt(attempt.attempt_id), _over(AttemptState.SETTLED, self._clock.now())
            ),
            Put(lease_item(idle), _held_by(attempt)),
            definition_put(definition),
        )

    def restart_execution(self, attempt: Attempt) -> Attempt:
        """Count up the watch of a running attempt, because an execution's name can be used once.

        Raises:
            ConditionFailedError: somebody else did, or it does not run any more.
        """
        unchanged = Condition(
            equals={"executionNumber": attempt.execution_number, "state": attempt.state.value}
        )
        update = {"executionNumber": attempt.execution_number + 1}
        self._table.write(Update(keys.attempt(attempt.attempt_id), update, condition=unchanged))
        return replace(attempt, execution_number=attempt.execution_number + 1)

    def check(self, attempt: Attempt) -> None:
        """Make sure that the lease still belongs to an attempt.

        Raises:
            ConditionFailedError: it does not.
        """
        if self.read().attempt_id != attempt.attempt_id:
            raise ConditionFailedError

    def fence_of(self, attempt: Attempt) -> Check:
        """Return the check that the lease still belongs to an attempt."""
        return Check(keys.SLOT, _held_by(attempt))

    def attempt(self, attempt_id: AttemptId) -> Attempt:
        """Return an attempt.

        Raises:
            KeyError: there is none of that id.
        """
        item = self._table.get(keys.attempt(attempt_id))
        if item is None:
            raise KeyError(attempt_id)
        return read_attempt(item)

    def files(self, attempt_id: AttemptId) -> list[RunFile]:
        """Return the files of an ended run."""
        pk, first = keys.files(attempt_id, 0)
        last = keys.files(attempt_id, 9999)[1]
        rows = [
            row
            for item in self._table.query(pk, first, last)
            for row in pages.unpack(item["files"])
        ]
        return [RunFile(guid, title) for guid, title in rows]

    def known_runs(self, run_guids: Iterable[str]) -> set[str]:
        """Return those of the runs that an attempt is known for already."""
        found = self._table.get_many([keys.run(guid) for guid in run_guids])
        return {pk.removeprefix("RUNGUID#") for pk, _ in found}


def _held(lease: Lease) -> Condition:
    return Condition(equals={"token": lease.token, "state": LeaseState.SUBMITTING.value})


def _held_by(attempt: Attempt) -> Condition:
    return Condition(equals={"attemptId": attempt.attempt_id})


def _over(state: AttemptState, now: float) -> dict[str, object]:
    return {"state": state.value, "expiresAt": int(now) + keys.SETTLED_LIFE_SECONDS}


def _ceil(epoch: float) -> int:
    return -int(-epoch // 1)
