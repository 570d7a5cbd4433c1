"""Lanes take turns; in each, the definition that was served longest ago goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.model import Lane

if TYPE_CHECKING:
    from arena_exports.domain.definitions import Definition
    from arena_exports.ledger import Ledger
    from arena_exports.ledger.items import Pending

TRIAL_PATIENCE_SECONDS = 3600
_ORDER = tuple(Lane)


def next_page(ledger: Ledger, last_lane: Lane | None, now: float) -> Pending | None:
    """Return the pending page to begin the next run with; None if none may start now.

    Definitions without a successful run go after the others, or once they have waited for an hour,
    and share a limited number of POSTs.
    """
    oldest_pages = ledger.requests.oldest_pages()
    known = ledger.definitions.read_many([head.group.export_guid for head in oldest_pages])
    ready = [head for head in oldest_pages if _is_ready(head, known[head.group.export_guid], now)]
    first = [head for head in ready if known[head.group.export_guid].proven]
    trials = [head for head in ready if not known[head.group.export_guid].proven]
    if trials and ledger.definitions.trials().allow(now):
        first += [head for head in trials if not first or _waits_long(head, now)]

    def order(head: Pending) -> tuple[int, int, str]:
        return known[head.group.export_guid].served_at, head.recorded_at, head.page_id

    for lane in _lanes_after(last_lane):
        waiting = [head for head in first if head.group.lane is lane]
        if waiting:
            return min(waiting, key=order)
    return None


def _lanes_after(last: Lane | None) -> tuple[Lane, ...]:
    start = 0 if last is None else _ORDER.index(last) + 1
    return _ORDER[start:] + _ORDER[:start]


def _waits_long(head: Pending, now: float) -> bool:
    return head.recorded_at <= now - TRIAL_PATIENCE_SECONDS


def _is_ready(head: Pending, definition: Definition, now: float) -> bool:
    if definition.not_before > now:
        return False
    return head.group.lane is not Lane.SUSPECT or definition.suspects_not_before <= now
