"""The progress of a backfill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports_operator.answers.requests import trace_request
from arena_exports_operator.answers.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Table
    from arena_exports_operator.answers.stack_state import StackState


@dataclass(frozen=True, slots=True)
class Followed:
    """Items that are no longer open, how many of them were rejected, and whether all are done."""

    done: int
    rejected: int
    ended: bool


class Follower:
    """Follows requests for items until none is open; each finished request is read once."""

    def __init__(self, ledger: Ledger, table: Table, request_ids: Sequence[str]) -> None:
        self._ledger = ledger
        self._table = table
        self._left = list(request_ids)
        self._done = 0
        self._rejected = 0

    def poll(self, stack_state: StackState, now: float) -> Followed:
        """Return their progress; nothing of a request is done before it is recorded."""
        seen = take_snapshot(self._ledger, stack_state, now)
        partly, left = 0, list[str]()
        for request_id in self._left:
            view = trace_request(self._ledger, self._table, seen, request_id)
            if view is not None and view.done:
                self._done += view.item_count or 0
                self._rejected += view.rejected_count or 0
                continue
            left.append(request_id)
            partly += (view.item_count or 0) - (view.open_count or 0) if view else 0
        self._left = left
        return Followed(self._done + partly, self._rejected, not left)
