"""How much is pending, for how long, and how many of Arena's requests it needs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from arena_exports.domain.polling import POLLS_A_RUN

if TYPE_CHECKING:
    from arena_exports.ledger.items import Pending
    from arena_exports.ledger.requests import RequestStore
    from arena_exports.ports import Clock, Telemetry


def measure_backlog(requests: RequestStore, clock: Clock, telemetry: Telemetry) -> None:
    """Measure how many items are pending, and how many seconds the oldest has waited.

    Every reconcile measures both. A definition run counts as one item, and the run in progress is
    included. An item of a failed run has waited since its first failure at least. An idle stack
    measures the age alone, because each metric costs $0.30 a month: the age must be known to be
    zero, while no data about pending items means none.
    """
    now = clock.now()
    items, oldest = 0, now
    for pending in requests.pending():
        items += _items(pending)
        failed_at = pending.history.first_failed_at or pending.recorded_at
        oldest = min(oldest, pending.recorded_at, failed_at)
    if items:
        telemetry.count("PendingItems", items)
    telemetry.seconds("OldestPendingAge", now - oldest)


def requests_of_backlog(requests: RequestStore, max_items: int) -> int:
    """Return how many Arena requests it takes to export all that is pending, polls included.

    `max_items` is the maximum number of items in one run. The run in progress is included.
    """
    items = Counter[object]()
    for pending in requests.pending():
        items[pending.group] += _items(pending)
    runs = sum(-(-count // max_items) for count in items.values())
    return runs * (1 + POLLS_A_RUN)


def _items(pending: Pending) -> int:
    return max(pending.size - pending.position, 1)
