"""How much is pending and for how long: two gauges, set by every reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.ledger.requests import RequestBook
    from arena_exports.ports import Clock, Telemetry


class Backlog:
    """What was recorded and is not settled yet, the run in progress included."""

    def __init__(self, *, requests: RequestBook, clock: Clock, telemetry: Telemetry) -> None:
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
        self._telemetry.count("PendingItems", items)
        self._telemetry.seconds("OldestPendingAge", now - oldest)
