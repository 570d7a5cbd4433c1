"""Look whether a POST whose answer is unknown came to a run, and adopt it (R3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.errors import (
    ArenaAnswerError,
    NotNowError,
    RequestNotCompletedError,
    RunUnreadableError,
)
from arena_exports.model import Kind, digest
from arena_exports.runs import RunStatus, zulu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports.arena import Arena
    from arena_exports.ledger import Ledger
    from arena_exports.ledger.attempts import Attempt
    from arena_exports.ledger.items import Lease
    from arena_exports.model import ExportGuid
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.runs import Run
    from arena_exports.watching import Watch

# Arena's HTTP time-out (30 s) plus a minute: no run comes to exist later than that.
SECONDS_BEFORE_A_LOOK = 90
SECONDS_BETWEEN_LOOKS = 60
LOOKS_THAT_SUFFICE = 2
LONGEST_BACK_OFF_SECONDS = 600
# Counted from when the attempt was written: submit's time-out (120 s), and then the same again.
LATEST_RUN_SECONDS = 220
# Arena tells whole seconds, its Date header may be one behind, and the clocks of two functions some
# seconds apart. An older run of ours does no harm: the ledger knows it.
CLOCK_TOLERANCE_SECONDS = 10
LARGEST_OFFSET_SECONDS = 86_400  # a Date beyond it is not Arena's time


class Adoption:
    """Finds the run that an attempt became."""

    def __init__(
        self, *, ledger: Ledger, arena: Arena, watch: Watch, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._ledger = ledger
        self._arena = arena
        self._watch = watch
        self._clock = clock
        self._telemetry = telemetry

    def look(self, lease: Lease, attempt: Attempt) -> tuple[Lease, Attempt] | None:
        """Adopt the attempt's run, or after enough empty looks return what may be POSTed again.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        earliest = attempt.sent_at + SECONDS_BEFORE_A_LOOK
        if earliest > self._clock.now():
            self._postpone(lease, attempt, earliest, looks=attempt.looks)
            return None
        try:
            run = self._find(lease, attempt)
            looks = attempt.looks + 1
            if run is None and looks >= LOOKS_THAT_SUFFICE:
                self._arena.check_budget_for_run()
        except (RequestNotCompletedError, ArenaAnswerError) as exc:
            self._telemetry.warn(
                "could not look for a run", attempt=attempt.attempt_id, error=str(exc)
            )
            seconds = min(
                SECONDS_BETWEEN_LOOKS * 2 ** min(lease.failed_looks, 10), LONGEST_BACK_OFF_SECONDS
            )
            self._postpone(
                lease, attempt, self._clock.now() + seconds, attempt.looks, lease.failed_looks + 1
            )
            return None
        except NotNowError as exc:
            self._telemetry.event("no run now", reason=exc.reason)
            self._postpone(
                lease, attempt, self._clock.now() + exc.retry_after_seconds, attempt.looks
            )
            return None
        if run is not None:
            self._adopt(lease, attempt, run)
            return None
        if looks < LOOKS_THAT_SUFFICE:
            self._postpone(lease, attempt, self._clock.now() + SECONDS_BETWEEN_LOOKS, looks)
            return None
        return self._ledger.lease.begin_again(lease, attempt)

    def look_later(self, lease: Lease, attempt: Attempt, seconds: float = 0) -> None:
        """Begin to look anew: a run of an earlier POST may stand in the way of a later one.

        Raises:
            ConditionFailedError: the lease was lost.
        """
        self._postpone(
            lease, attempt, self._clock.now() + max(seconds, SECONDS_BETWEEN_LOOKS), looks=0
        )

    def _postpone(
        self, lease: Lease, attempt: Attempt, at: float, looks: int, failed_looks: int = 0
    ) -> None:
        self._ledger.lease.postpone(
            lease, attempt, not_before=at, looks=looks, failed_looks=failed_looks
        )

    def _adopt(self, lease: Lease, attempt: Attempt, run: Run) -> None:
        self._telemetry.count("RunsAdopted")
        self._telemetry.event("run adopted", attempt=attempt.attempt_id, runGuid=run.guid)
        # Only the answer to a POST of ours tells who we are: a stranger's run may look like ours.
        running = self._ledger.lease.started(lease, attempt, replace(run, creator_guid=None))
        self._watch.begin(running, attempt.item_count - len(attempt.rejected))

    def _find(self, lease: Lease, attempt: Attempt) -> Run | None:
        """Look at what is pending and at what ended since; of several runs, take the earliest.

        Not at the whole list. A run moves from one filter to the next, never back. Where it does
        not name the creator of our last run it is read: only the user who started a run may (3024),
        and that user may be another one since.
        """
        wanted = digest(self._ledger.selection(attempt).item_guids)
        ours = {
            run.guid: run
            for run, offset in self._candidates(attempt)
            if self._may_be_ours(attempt, run, offset, wanted)
        }
        known = self._ledger.lease.known_runs(ours)
        for run in sorted(ours.values(), key=lambda run: run.created_at or 0):
            if run.guid not in known and (
                _is_by(lease, run) or self._is_readable(attempt.group.export_guid, run)
            ):
                return run
        return None

    def _is_readable(self, export_guid: ExportGuid, run: Run) -> bool:
        try:
            self._arena.read_run(export_guid, run.guid)
        except RunUnreadableError:
            return False
        return True

    def _candidates(self, attempt: Attempt) -> Iterator[tuple[Run, float]]:
        """Yield runs, each with how far Arena's clock is ahead of ours."""
        offset = 0.0
        for filters in (
            {"status": RunStatus.CREATED.value},
            {"status": RunStatus.RUNNING.value},
            None,
        ):
            since = attempt.first_sent_at + offset - CLOCK_TOLERANCE_SECONDS
            try:
                found = self._arena.find_runs(
                    attempt.group.export_guid, filters or {"completionDateTimeFrom": zulu(since)}
                )
            except RunUnreadableError:
                return  # no such definition, or none of ours: no run of it can be read, ever
            # Read after the answer: one that took long makes the POST seem earlier, no more.
            ahead = (found.arena_now or 0) - self._clock.now()
            if abs(ahead) <= LARGEST_OFFSET_SECONDS:
                offset = ahead
            for run in found.runs:
                yield run, offset

    def _may_be_ours(self, attempt: Attempt, run: Run, offset: float, wanted: str) -> bool:
        """Compare a run with the attempt: when, and which items."""
        earliest = attempt.first_sent_at + offset - CLOCK_TOLERANCE_SECONDS
        latest = attempt.sent_at + offset + LATEST_RUN_SECONDS
        timely = run.created_at is not None and earliest <= run.created_at <= latest
        if attempt.group.kind is Kind.DEFINITION:
            return timely  # its criteria are the definition's own
        if run.created_at is not None and not timely:
            return False  # where it does not say when, its items tell
        return run.item_guids is not None and digest(run.item_guids) == wanted


def _is_by(lease: Lease, run: Run) -> bool:
    """Say whether a run names the user who started our last one."""
    return bool(lease.creator_guid) and run.creator_guid == lease.creator_guid
