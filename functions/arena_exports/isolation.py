"""Find the items that make runs fail, without holding up or rejecting the others (R8).

A set that fails is tried once more as it was, then in halves, down to the item that does it. Its
sets are suspect: they take turns with ordinary runs. When both halves of a set fail it may be the
day and not the items: then suspect sets wait, ever longer, until some run of their definition
succeeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.model import halves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ledger.attempts import Attempt
    from arena_exports.ledger.definitions import Definition
    from arena_exports.model import Entry, Selection, SetHistory
    from arena_exports.ports import Clock

SECONDS_AFTER_AN_ABORT = 60


class Isolation:
    """Moves what an attempt carried to suspect sets, and frees the slot.

    Every method raises ConditionFailedError when the slot belongs to another attempt: then nothing
    was changed.
    """

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def after_failure(self, attempt: Attempt, selection: Selection) -> bool:
        """Isolate further what FAILED; return False where one item is left, which is guilty."""
        now = self._clock.now()
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        history = attempt.history
        failed_since = history.first_failed_at or int(now)
        again = replace(history, failures=history.failures + 1, first_failed_at=failed_since)
        divisible = len(selection.item_guids) > 1
        if history.failures and not divisible and definition.last_success_at > failed_since:
            return False
        alone = bool(history.failures) and not divisible
        sets = _halved(selection) if history.failures and divisible else [selection.entries]
        self._move(attempt, sets, again, definition.failed(now, alone=alone))
        return True

    def after_abort(self, attempt: Attempt, selection: Selection) -> None:
        """Have an aborted set submitted once more, as it was, after a back-off."""
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        waiting = definition.set_back(self._clock.now(), SECONDS_AFTER_AN_ABORT)
        again = replace(attempt.history, aborts=attempt.history.aborts + 1)
        self._move(attempt, [selection.entries], again, waiting)

    def set_aside(self, attempt: Attempt, selection: Selection) -> None:
        """Make what is left of an attempt a suspect set of its own."""
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        self._move(attempt, [selection.entries], attempt.history, definition)

    def halve(self, attempt: Attempt, selection: Selection) -> None:
        """Make the two halves of what is left of an attempt suspect sets."""
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        self._move(attempt, _halved(selection), attempt.history, definition)

    def _move(
        self,
        attempt: Attempt,
        sets: Sequence[Sequence[Entry]],
        history: SetHistory,
        definition: Definition,
    ) -> None:
        """Write the sets under ids of the attempt, then settle what they were taken from."""
        fence = self._ledger.lease.fence_of(attempt)
        moved_to = [
            page_id
            for letter, entries in zip("ab", sets, strict=False)
            for page_id in self._ledger.requests.put_set(
                attempt.group, f"{attempt.attempt_id}{letter}", entries, history, fence
            )
        ]
        self._ledger.settle(attempt, definition, moved_to)


def _halved(selection: Selection) -> list[tuple[Entry, ...]]:
    both = [selection.only(half) for half in halves(selection.item_guids)]
    return [entries for entries in both if entries]
