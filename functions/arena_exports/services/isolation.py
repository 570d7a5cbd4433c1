"""Find the items that make runs fail, without holding up or rejecting the others (R8).

A set that fails is tried once more unchanged, then in halves, down to the guilty item. These sets
are suspect: they take turns with ordinary runs. When both halves of a set fail, the failures may be
Arena's, not the items': then suspect sets wait, longer each time, until a run of their definition
succeeds. A set fails when its run FAILED, or when three POSTs in a row started no run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.domain.model import Kind, halves
from arena_exports.ledger.lease import fence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.model import Entry, Selection, SetHistory
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock

SECONDS_AFTER_AN_ABORT = 60
# A single item is blamed for POSTs without a run only after this many failed attempts before them:
# unlike a run that FAILED, a POST without an answer says little about what it carried.
FAILURES_WITHOUT_RUN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Moves what an attempt carried to suspect sets, and frees the lease.

    Every method raises ConditionFailedError, and changes nothing, if the lease belongs to another
    attempt.
    """

    ledger: Ledger
    clock: Clock

    def after_failure(self, attempt: Attempt, selection: Selection) -> bool:
        """Isolate what failed; return False if only the guilty item is left."""
        now = self.clock.now()
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        history = attempt.history
        failed_since = history.first_failed_at or int(now)
        divisible = len(selection.item_guids) > 1
        without_run = attempt.run_guid is None
        if not divisible and _is_guilty(attempt, definition, failed_since):
            return False
        alone = bool(history.failures) and not divisible
        halved = bool(history.failures) and divisible
        sets = _halved(selection) if halved else [selection.entries]
        # A half counts from one again, because another item may be to blame. So does a set while
        # every attempt fails without a run: the failures may be Arena's.
        anew = halved or (without_run and definition.in_doubt)
        failures = 1 if anew else history.failures + 1
        again = replace(history, failures=failures, first_failed_at=failed_since)
        failed = definition.failed(now, alone=alone, without_run=without_run)
        self._move(attempt, sets, again, failed)
        return True

    def after_abort(self, attempt: Attempt, selection: Selection) -> None:
        """Submit an aborted set again, unchanged, after a back-off."""
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        waiting = definition.delay_suspects(self.clock.now(), SECONDS_AFTER_AN_ABORT)
        again = replace(attempt.history, aborts=attempt.history.aborts + 1)
        self._move(attempt, [selection.entries], again, waiting)

    def quarantine(self, attempt: Attempt, selection: Selection) -> None:
        """Turn what is left of an attempt into a suspect set."""
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        self._move(attempt, [selection.entries], attempt.history, definition)

    def halve(self, attempt: Attempt, selection: Selection) -> None:
        """Turn what is left of an attempt into two suspect sets, one for each half."""
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        self._move(attempt, _halved(selection), attempt.history, definition)

    def _move(
        self,
        attempt: Attempt,
        sets: Sequence[Sequence[Entry]],
        history: SetHistory,
        definition: Definition,
    ) -> None:
        """Write the sets under ids of the attempt, then settle the attempt."""
        moved_to = [
            page_id
            for letter, entries in zip("ab", sets, strict=False)
            for page_id in self.ledger.requests.write_suspect_set(
                attempt.group, f"{attempt.attempt_id}{letter}", entries, history, fence(attempt)
            )
        ]
        self.ledger.settle(attempt, definition, moved_to)


def _is_guilty(attempt: Attempt, definition: Definition, failed_since: int) -> bool:
    """Return whether a failure must be the fault of the only item that an attempt carried."""
    if definition.last_success_at <= failed_since:
        return False
    if attempt.run_guid is not None:
        return attempt.history.failures > 0
    items = attempt.group.kind is Kind.ITEMS  # the definition's own criteria worked since
    return items and attempt.history.failures >= FAILURES_WITHOUT_RUN


def _halved(selection: Selection) -> list[tuple[Entry, ...]]:
    both = [selection.only(half) for half in halves(selection.item_guids)]
    return [entries for entries in both if entries]
