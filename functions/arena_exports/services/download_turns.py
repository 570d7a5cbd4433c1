"""Start deliver when files are due, and make downloads and runs take turns if they must."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.domain.errors import ConditionFailedError, MessagingError
from arena_exports.domain.lease import LeaseState

if TYPE_CHECKING:
    from arena_exports.ledger.deliveries import DeliveryStore
    from arena_exports.ledger.lease import LeaseStore
    from arena_exports.ports import Clock, DeliverFunction, Telemetry

MAX_WAIT_SECONDS = 180  # deliver is invoked once a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTurns:
    """What submit does for downloads; nothing if there is no deliver function."""

    deliveries: DeliveryStore
    lease: LeaseStore
    function: DeliverFunction | None
    clock: Clock
    telemetry: Telemetry

    def are_due(self) -> bool:
        """Return whether files are due now, and measure how long the oldest run has waited."""
        pending = self.deliveries.pending() if self.function else []
        if not pending:
            return False
        now = self.clock.now()
        oldest = min(delivery.settled_at for delivery in pending)
        self.telemetry.seconds("OldestDeliveryAge", now - oldest)
        lane = self.deliveries.lane()
        if lane.held_until > now:
            return False
        waits = lane.not_before > now
        return any(d.try_now if waits else d.is_due(now) for d in pending)

    def is_run_being_submitted(self) -> bool:
        """Return whether another copy is submitting a run; the next reconcile starts deliver."""
        lease = self.lease.read()
        return lease.state is LeaseState.SUBMITTING and lease.held_until > self.clock.now()

    def start(self, settled_before: float) -> None:
        """Invoke deliver for the runs settled before a time; the next reconcile repeats it."""
        if self.function is None:
            return
        try:
            self.function.start(settled_before)
        except MessagingError as exc:
            self.telemetry.warn("deliver was not started", error=str(exc))

    def come_first(self) -> bool:
        """Return whether the next run waits for a download, when the two take turns.

        It waits for one that is in progress, and for one that is due, but not for long: if deliver
        does not start at all, runs continue.
        """
        if self.function is None:
            return False
        lane, now = self.deliveries.lane(), self.clock.now()
        if lane.turns_until <= now:
            return False
        if lane.held_until > now:
            return True
        until = lane.run_waits_until or int(now) + MAX_WAIT_SECONDS
        waits = until > now and self.are_due()
        if not waits:
            until = 0
        if until == lane.run_waits_until:
            return waits
        try:
            self.deliveries.keep_lane(replace(lane, run_waits_until=until))
        except ConditionFailedError:
            return True  # a download has started
        return waits
