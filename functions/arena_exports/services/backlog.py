"""How much is pending and for how long: two gauges, measured by every reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.ledger.requests import RequestStore
    from arena_exports.ports import Clock, Telemetry


def measure_backlog(requests: RequestStore, clock: Clock, telemetry: Telemetry) -> None:
    """Count the pending items (a definition run is one) and the seconds that the oldest waits.

    The run in progress is included. An item of a failed run has waited since its first failure at
    least. An idle stack measures the age alone, because each metric costs $0.30 a month: the age
    must be known to be zero, while no data about pending items means none.
    """
    now = clock.now()
    items, oldest = 0, now
    for pending in requests.pending():
        items += max(pending.size - pending.position, 1)
        failed_at = pending.history.first_failed_at or pending.recorded_at
        oldest = min(oldest, pending.recorded_at, failed_at)
    if items:
        telemetry.count("PendingItems", items)
    telemetry.seconds("OldestPendingAge", now - oldest)
