"""The lease on the workspace's one export slot (R2, R3).

Taking it makes a new token. Every write that follows from holding it is conditional on the token,
or on the attempt that the lease names, so that a copy that was thought dead can do no harm.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.lease import Lease, LeaseState
from arena_exports.domain.model import Lane
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import NEW, Check, Condition, Item, Put

if TYPE_CHECKING:
    from arena_exports.domain.attempts import Attempt
    from arena_exports.ports import Clock, Table

# Longer than submit's timeout (120 s) and Arena's HTTP timeout (30 s) together (R3).
LEASE_SECONDS = 180


class LeaseStore:
    """The lease's item."""

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
            ConditionFailedError: another copy has taken it since.
        """
        held_until = int(self._clock.now()) + LEASE_SECONDS
        taken = replace(
            seen, state=LeaseState.SUBMITTING, token=self._clock.new_token(), held_until=held_until
        )
        unchanged = (
            Condition(
                equals={
                    "token": seen.token,
                    "state": seen.state.value,
                    "attemptId": seen.attempt_id,
                    "heldUntil": seen.held_until,
                }
            )
            if seen.token
            else NEW
        )
        self._table.write(Put(lease_item(taken), unchanged))
        return taken

    def release(self, lease: Lease) -> None:
        """Free a lease that was taken and has no attempt; a lost one is no error."""
        idle = replace(lease, state=LeaseState.IDLE)
        with suppress(ConditionFailedError):
            self._table.write(Put(lease_item(idle), held(lease)))

    def check(self, attempt: Attempt) -> None:
        """Make sure that the lease still belongs to an attempt.

        Raises:
            ConditionFailedError: it does not.
        """
        if self.read().attempt_id != attempt.attempt_id:
            raise ConditionFailedError


def fence(attempt: Attempt) -> Check:
    """Return the check that the lease still belongs to an attempt."""
    return Check(keys.SLOT, held_by(attempt))


def held(lease: Lease) -> Condition:
    """Return the condition that a lease that was taken is still held."""
    return Condition(equals={"token": lease.token, "state": LeaseState.SUBMITTING.value})


def held_by(attempt: Attempt) -> Condition:
    """Return the condition that the lease still belongs to an attempt."""
    return Condition(equals={"attemptId": attempt.attempt_id})


def lease_item(lease: Lease) -> Item:
    """Return the lease's item."""
    return to_item(keys.SLOT, lease)


def read_lease(item: Item) -> Lease:
    """Read the lease from its item."""
    lane = Lane(item["lane"]) if item["lane"] else None
    return from_item(Lease, item, state=LeaseState(item["state"]), lane=lane)
