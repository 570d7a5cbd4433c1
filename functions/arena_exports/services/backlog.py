"""How much is pending and for how long: two gauges, measured by every reconcile.

An idle stack measures the age alone, because each metric costs $0.30 a month: the age must be
known to be zero, while no data about pending items means none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.ledger.requests import RequestStore
    from arena_exports.ports import Clock, Telemetry


class Backlog:
    """What was recorded and is not settled yet, the run in progress included."""

    def __init__(self, *, requests: RequestStore, clock: Clock, telemetry: Telemetry) -> None:
        self._requests = requests
        self._clock = clock
        self._telemetry = telemetry

    def measure(self) -> None:
        """Count the pending items (a definition run is one) and the seconds that the oldest waits.

        An item of a run that failed waits since its first failure at least.
        """
        now = self._clock.now()
        items, oldest = 0, now
        for pending in self._requests.pending():
            items += max(pending.size - pending.position, 1)
            failed_at = pending.history.first_failed_at or pending.recorded_at
            oldest = min(oldest, pending.recorded_at, failed_at)
        if items:
            self._telemetry.count("PendingItems", items)
        self._telemetry.seconds("OldestPendingAge", now - oldest)
