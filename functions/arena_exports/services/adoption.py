"""Search for the run of a POST whose answer is unknown, and adopt it (R3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from arena_exports.domain.backoff import doubled
from arena_exports.domain.budget import MAX_SKEW_SECONDS
from arena_exports.domain.errors import (
    ArenaAnswerError,
    RequestNotCompletedError,
    RetryLaterError,
    RunUnreadableError,
)
from arena_exports.domain.model import Kind, digest
from arena_exports.domain.runs import RunStatus
from arena_exports.domain.times import format_utc

if TYPE_CHECKING:
    from arena_exports.arena.client import Arena
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.errors import ArenaError
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import ExportGuid
    from arena_exports.domain.runs import Run
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.services.monitoring import RunMonitor

# Arena's HTTP timeout (30 s) plus a minute: no run appears later than that.
SECONDS_BEFORE_SEARCH = 90
SECONDS_BETWEEN_SEARCHES = 60
SEARCHES_REQUIRED = 2
MAX_BACK_OFF_SECONDS = 600
# Searches in a row that Arena refused, over ten minutes, before the attempt is written off.
MAX_REFUSED_SEARCHES = 6
# The same for searches that failed in any way, over some three hours: longer than most outages.
MAX_FAILED_SEARCHES = 20
SECONDS_AFTER_REFUSED_SEARCH = 120
# After the attempt was recorded: submit's timeout (120 s), plus the 90 s above, rounded up.
LATEST_RUN_SECONDS = 220
# Arena's times are whole seconds, its Date header may lag by one, and the clocks of two functions
# may differ by seconds. An older run of ours does no harm: the ledger knows it.
CLOCK_TOLERANCE_SECONDS = 10
MAX_OFFSET_SECONDS = 86_400  # a Date further off than this is not Arena's time


class Finding(StrEnum):
    """What a search says about a POST whose answer is unknown."""

    OPEN = "open"  # its run was adopted, or the search goes on later
    NO_RUN = "no run"  # enough searches found none, so the POST may be repeated
    REFUSED = "refused"  # so often that the attempt is written off


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, epoch seconds on Arena's clock."""

    earliest: float
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Finds the run that an attempt became."""

    ledger: Ledger
    arena: Arena
    monitor: RunMonitor
    clock: Clock
    telemetry: Telemetry

    def search(self, lease: Lease, attempt: Attempt) -> Finding:
        """Search once for the attempt's run, and adopt it.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        earliest = attempt.sent_at + SECONDS_BEFORE_SEARCH
        if earliest > self.clock.now():
            self._postpone(lease, attempt, earliest)
            return Finding.OPEN
        try:
            run = self._find(lease, attempt)
            attempt = replace(attempt, searches=attempt.searches + 1, refused_searches=0)
            if run is None and attempt.searches >= SEARCHES_REQUIRED:
                self.arena.check_budget_for_run()
        except (RequestNotCompletedError, ArenaAnswerError) as exc:
            return self._failed(lease, attempt, exc)
        except RetryLaterError as exc:
            self.telemetry.info("no run now", reason=exc.reason)
            self._postpone(lease, attempt, self.clock.now() + exc.retry_after_seconds)
            return Finding.OPEN
        if run is not None:
            self._adopt(lease, attempt, run)
            return Finding.OPEN
        if attempt.searches < SEARCHES_REQUIRED:
            self._postpone(lease, attempt, self.clock.now() + SECONDS_BETWEEN_SEARCHES, wake=True)
            return Finding.OPEN
        return Finding.NO_RUN

    def _failed(self, lease: Lease, attempt: Attempt, error: ArenaError) -> Finding:
        """Search again later; give up in the end if the list of runs stays unavailable."""
        self.telemetry.warn("search for a run failed", attempt=attempt.attempt_id, error=str(error))
        refused = isinstance(error, ArenaAnswerError)
        refused_searches = attempt.refused_searches + 1 if refused else 0
        failed_searches = lease.failed_searches + 1
        if refused_searches >= MAX_REFUSED_SEARCHES or failed_searches >= MAX_FAILED_SEARCHES:
            return Finding.REFUSED
        growing = doubled(SECONDS_BETWEEN_SEARCHES, lease.failed_searches, MAX_BACK_OFF_SECONDS)
        seconds = SECONDS_AFTER_REFUSED_SEARCH if refused else growing
        attempt = replace(attempt, refused_searches=refused_searches)
        self._postpone(lease, attempt, self.clock.now() + seconds, failed_searches)
        return Finding.OPEN

    def search_later(
        self, lease: Lease, attempt: Attempt, seconds: float, *, answered: bool = False
    ) -> None:
        """Search after a POST, because its run, or that of an earlier POST, may appear late.

        The first search follows after `seconds`, but at least a minute. `answered` means that the
        last POST certainly started no run: then one search is enough while another user's export
        is in progress, because the runs of earlier POSTs were searched for already.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        at = self.clock.now() + max(seconds, SECONDS_BETWEEN_SEARCHES)
        searches = SEARCHES_REQUIRED - 1 if answered and lease.busy > 1 else 0
        self._postpone(lease, replace(attempt, searches=searches), at, wake=True)

    def _postpone(
        self,
        lease: Lease,
        attempt: Attempt,
        at: float,
        failed_searches: int = 0,
        *,
        wake: bool = False,
    ) -> None:
        """Leave the next search to the first reconcile after `at`; with `wake`, search at `at`."""
        self.ledger.attempts.postpone(
            lease, attempt, not_before=at, failed_searches=failed_searches
        )
        if wake:
            self.monitor.wake(attempt, at - self.clock.now())

    def _adopt(self, lease: Lease, attempt: Attempt, run: Run) -> None:
        self.telemetry.count("RunsAdopted")
        self.telemetry.info("run adopted", attempt=attempt.attempt_id, runGuid=run.guid)
        # Only the answer to our own POST shows who we are: another user's run may look like ours.
        running = self.ledger.attempts.started(lease, attempt, replace(run, creator_guid=None))
        self.monitor.begin(running, attempt.item_count - len(attempt.rejected))

    def _find(self, lease: Lease, attempt: Attempt) -> Run | None:
        """Search pending runs and those that ended after the POST; return the earliest match.

        A run that does not name the creator of our last run is read first: only the user who
        started a run can read it (3024), and our user may have changed.
        """
        wanted = digest(self.ledger.selection(attempt).item_guids)
        candidates, complete = self._candidates(attempt)
        ours = {
            run.guid: run
            for run, window in candidates
            if _may_be_ours(attempt, run, window, wanted)
        }
        known = self.ledger.attempts.known_runs(ours)
        for run in sorted(ours.values(), key=lambda run: run.created_at or 0):
            if run.guid not in known and (
                _is_by(lease, run) or self._is_readable(attempt.group.export_guid, run)
            ):
                return run
        if not complete:
            raise ArenaAnswerError(
                status=200, code=None, message="the list is not complete", call="list export runs"
            )
        return None

    def _is_readable(self, export_guid: ExportGuid, run: Run) -> bool:
        try:
            self.arena.read_run(export_guid, run.guid)
        except RunUnreadableError:
            return False
        return True

    def _candidates(self, attempt: Attempt) -> tuple[list[tuple[Run, Window]], bool]:
        """Return runs, each with the window for the attempt's run, and whether they are complete.

        Each filter is searched in order, because a run moves from one to the next, never back. If a
        filter is refused, the whole list is read.
        """
        export_guid, window, whole = attempt.group.export_guid, _window(attempt, None), False
        runs: list[tuple[Run, Window]] = []
        for filters in (
            {"status": RunStatus.CREATED.value},
            {"status": RunStatus.RUNNING.value},
            None,
        ):
            try:
                found = self.arena.find_runs(
                    export_guid, filters or {"completionDateTimeFrom": format_utc(window.earliest)}
                )
            except ArenaAnswerError:
                found, whole = self.arena.find_runs(export_guid, {}), True
            # Read after the answer: a slow answer only makes the POST seem earlier.
            ahead = (found.arena_now or 0) - self.clock.now()
            if abs(ahead) <= MAX_OFFSET_SECONDS:
                window = _window(attempt, ahead)
            runs += [(run, window) for run in found.runs]
            if whole:
                return runs, found.complete
        return runs, True


def _window(attempt: Attempt, ahead: float | None) -> Window:
    """Return when the attempt's run may have been created, on Arena's clock.

    `ahead` is how many seconds that clock is ahead of ours; None if unknown.
    """
    tolerance = MAX_SKEW_SECONDS if ahead is None else CLOCK_TOLERANCE_SECONDS
    return Window(
        earliest=attempt.first_sent_at + (ahead or 0) - tolerance,
        latest=attempt.sent_at + LATEST_RUN_SECONDS + (tolerance if ahead is None else ahead),
    )


def _may_be_ours(attempt: Attempt, run: Run, window: Window, wanted: str) -> bool:
    """Compare a run's time and items with the attempt's."""
    timely = run.created_at is not None and window.earliest <= run.created_at <= window.latest
    if attempt.group.kind is Kind.DEFINITION:
        return timely  # its criteria are the definition's own
    if run.created_at is not None and not timely:
        return False  # without a time, the items decide
    return run.item_guids is not None and digest(run.item_guids) == wanted


def _is_by(lease: Lease, run: Run) -> bool:
    """Return whether a run names the user who started our last one."""
    return bool(lease.creator_guid) and run.creator_guid == lease.creator_guid
