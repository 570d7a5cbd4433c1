"""Start the next export run or advance the current one, after a batch or for a reconcile.

The lease says what to do. Idle: select requests and POST. Submitting and expired: search for the
run of the POST that was in progress. Running: make sure that an execution monitors the run. An
expired lease is permission to search, never permission to POST (R3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptOutcome, AttemptState
from arena_exports.domain.errors import ConditionFailedError, RetryLaterError
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import Lane
from arena_exports.domain.times import format_utc
from arena_exports.services.adoption import Finding
from arena_exports.services.fairness import next_page
from arena_exports.services.submission import SECONDS_FOR_A_POST, may_be_too_large

if TYPE_CHECKING:
    from arena_exports.arena.client import Arena
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.deadline import Deadline
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import ExportGuid, Selection
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.services.adoption import Adoption
    from arena_exports.services.download_turns import DownloadTurns
    from arena_exports.services.monitoring import RunMonitor
    from arena_exports.services.publication import Publication
    from arena_exports.services.submission import Submission

LINGER_SECONDS = 2.0
MAX_UNANSWERED_POSTS = 3  # in a row, without a run: the attempt has failed (R3)
_NO_RUN = "each time it was asked for these items, Arena started no run and gave no reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Decides what follows from the lease."""

    ledger: Ledger
    arena: Arena
    adoption: Adoption
    submission: Submission
    monitor: RunMonitor
    publication: Publication
    clock: Clock
    telemetry: Telemetry
    downloads: DownloadTurns
    max_items: int
    paused: bool

    def run(self, deadline: Deadline, *, linger: bool) -> None:
        """Do what the lease requires, until nothing is left or another copy takes over.

        Args:
            deadline: when this function must be done.
            linger: whether to wait for batches that are being recorded now.
        """
        try:
            while deadline.allows(SECONDS_FOR_A_POST, self.clock.now()) and self._step(
                deadline, linger=linger
            ):
                linger = False
        except ConditionFailedError:
            self.telemetry.info("lease lost to another copy")

    def _step(self, deadline: Deadline, *, linger: bool) -> bool:
        """Take one step; return whether the lease may require another one now."""
        lease, now = self.ledger.lease.read(), self.clock.now()
        if lease.state is LeaseState.RUNNING:
            self.monitor.ensure(lease)
            return False
        idle = lease.state is LeaseState.IDLE
        until = lease.not_before if idle else lease.held_until
        if until > now:
            reason = "backing off" if idle else "a submission is in progress or unresolved"
            self.telemetry.info("no run now", reason=reason, until=format_utc(until))
            return False
        if idle:
            return self._start_next(lease, deadline, linger=linger)
        return self._recover(lease, deadline)

    def _start_next(self, seen: Lease, deadline: Deadline, *, linger: bool) -> bool:
        if next_page(self.ledger, seen.lane, self.clock.now()) is None:
            return False
        if self._is_paused():
            self.telemetry.info("no run now", reason="exports are paused")
            return False
        try:
            self.arena.check_budget_for_run()
        except RetryLaterError as exc:
            self.telemetry.info("no run now", reason=exc.reason)
            return False
        if self.downloads.come_first():
            self.telemetry.info("no run now", reason="a download comes first")
            return False
        lease = self.ledger.lease.take(seen)
        if linger:
            self.clock.sleep(LINGER_SECONDS)
        head = next_page(self.ledger, lease.lane, self.clock.now())
        if head is None:
            self.ledger.lease.release(lease)
            return False
        limit = self._limit(head.group.export_guid, head.group.lane)
        selection = self.ledger.requests.select(head, limit)
        lease, attempt = self.ledger.attempts.begin(lease, selection)
        return self.submission.submit(lease, attempt, selection, deadline)

    def _is_paused(self) -> bool:
        """Report whether the stack's parameter or an operator pauses new runs."""
        return self.paused or self.ledger.pause.read(self.clock.now()) is not None

    def _limit(self, export_guid: ExportGuid, lane: Lane) -> int:
        if lane is Lane.SUSPECT:
            return 10**9  # suspect sets are never split by the size limit
        known = self.ledger.definitions.read(export_guid).limit
        return min(known or self.max_items, self.max_items)

    def _recover(self, seen: Lease, deadline: Deadline) -> bool:
        """Resume where the holder of an expired lease stopped."""
        lease = self.ledger.lease.take(seen)
        if lease.attempt_id is None:
            self.ledger.lease.release(lease)
            return True
        attempt = self.ledger.attempts.get(lease.attempt_id)
        if attempt.state is AttemptState.ENDED:
            self.publication.conclude(attempt)
            return True
        match self.adoption.search(lease, attempt):
            case Finding.NO_RUN:
                return self._after_no_run(lease, attempt, deadline)
            case Finding.REFUSED:
                return self._write_off(lease, attempt)
        return False

    def _after_no_run(self, lease: Lease, attempt: Attempt, deadline: Deadline) -> bool:
        """POST again after a POST without a run, unless that is pointless."""
        now, selection = self.clock.now(), self.ledger.selection(attempt)
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        if may_be_too_large(attempt, selection):
            return self.submission.shrink(lease, attempt, selection)
        if attempt.unanswered >= _posts_that_suffice(attempt, selection, definition):
            return self.submission.end(attempt, AttemptOutcome.FAILED, "RunFailed", _NO_RUN)
        no_trial = not definition.proven and self.ledger.definitions.trials().spent(now)
        if no_trial or self._is_paused():
            self.submission.requeue(lease, attempt)
            return False
        lease, attempt = self.ledger.attempts.begin_again(lease, attempt)
        return self.submission.submit(lease, attempt, selection, deadline)

    def _write_off(self, lease: Lease, attempt: Attempt) -> bool:
        """Stop searching for a run, because Arena keeps refusing the list of runs.

        If a run was started after all, the next POSTs are answered with 3144 until it has ended.
        """
        self.telemetry.count("RunsUnreadable")
        self.telemetry.warn("search for a run given up", attempt=attempt.attempt_id)
        self.submission.back_off_definition(lease, attempt)
        return True


def _posts_that_suffice(attempt: Attempt, selection: Selection, definition: Definition) -> int:
    """Return after how many POSTs in a row without a run an attempt has failed.

    One is enough if no item is blamed: because every attempt fails, or the set is halved next.
    """
    halved_next = bool(attempt.history.failures) and len(selection.item_guids) > 1
    return 1 if definition.in_doubt or halved_next else MAX_UNANSWERED_POSTS
