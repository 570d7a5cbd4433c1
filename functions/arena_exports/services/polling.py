"""Poll a run once, and record how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptOutcome, AttemptState, RunResult
from arena_exports.domain.backoff import doubled
from arena_exports.domain.errors import (
    ArenaAnswerError,
    ConditionFailedError,
    RequestNotCompletedError,
    RetryLaterError,
    RunUnreadableError,
)
from arena_exports.domain.polling import FIRST_POLL_SECONDS, next_wait_seconds
from arena_exports.domain.runs import Phase, RunStatus

if TYPE_CHECKING:
    from arena_exports.arena.client import Arena
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.poll_state import PollState
    from arena_exports.domain.polling import PollLimits
    from arena_exports.domain.runs import Run
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Telemetry

POLLS_WITHOUT_FILES = 3
# A run is written off after this many polls in a row that Arena refused, over this long.
MIN_REFUSED_POLLS = 6
MIN_REFUSED_SECONDS = 600
FIRST_REFUSED_SECONDS = 15
MAX_REFUSED_SECONDS = 240
SECONDS_AFTER_NO_ANSWER = 60
# Of the time waited, so that a day without a session takes the execution only a few hundred steps.
SHARE_WHILE_KEPT_FROM_POLLING = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Poller:
    """Polls a run once."""

    ledger: Ledger
    arena: Arena
    clock: Clock
    telemetry: Telemetry
    run_timeout_seconds: int
    limits: PollLimits
    delivers: bool

    def poll(self, state: PollState) -> PollState:
        """Poll once; return the state with the next wait, or with `ended`."""
        attempt = self.ledger.attempts.get(state.attempt_id)
        if attempt.state is not AttemptState.RUNNING or not state.run_guid:
            return replace(state, ended=True)
        polled = replace(state, polls=state.polls + 1)
        try:
            run = self.arena.read_run(state.export_guid, state.run_guid)
        except RetryLaterError as exc:
            self._warn_if_overdue(state, attempt)
            self.telemetry.info("no poll now", runGuid=state.run_guid, reason=exc.reason)
            waited = self.clock.now() - attempt.started_at
            longer = int(waited * SHARE_WHILE_KEPT_FROM_POLLING)
            return replace(state, wait_seconds=max(exc.retry_after_seconds, longer))
        except RunUnreadableError as exc:
            self.telemetry.count("RunsUnreadable")
            self.telemetry.warn(
                "run cannot be read by this user", runGuid=state.run_guid, error=str(exc)
            )
            return self._end(polled, attempt, RunResult(AttemptOutcome.UNREADABLE))
        except ArenaAnswerError as exc:
            return self._refused(polled, attempt, exc)
        except RequestNotCompletedError as exc:
            self._warn_if_overdue(polled, attempt)
            self.telemetry.warn("poll got no answer", runGuid=state.run_guid, error=str(exc))
            return self._unanswered(polled, attempt)
        answered = replace(polled, refused_polls=0, refused_since=0, unanswered_polls=0)
        return self._classify(answered, attempt, run)

    def _unanswered(self, state: PollState, attempt: Attempt) -> PollState:
        """Poll again later; a download may be what keeps Arena from answering."""
        polls = state.unanswered_polls + 1
        if self.delivers:
            self.ledger.deliveries.count_unanswered_polls(polls)
        wait = max(SECONDS_AFTER_NO_ANSWER, self._next_wait(state, attempt))
        return replace(state, unanswered_polls=polls, wait_seconds=wait)

    def _refused(self, state: PollState, attempt: Attempt, error: ArenaAnswerError) -> PollState:
        """Poll again, later each time: "not found" proves nothing about a run that was created."""
        self._warn_if_overdue(state, attempt)
        self.telemetry.warn("poll was refused", runGuid=state.run_guid, error=str(error))
        now = int(self.clock.now())
        since, polls = state.refused_since or now, state.refused_polls + 1
        if polls >= MIN_REFUSED_POLLS and now - since >= MIN_REFUSED_SECONDS:
            self.telemetry.count("RunsUnreadable")
            self.telemetry.warn("run written off", runGuid=state.run_guid, polls=polls)
            return self._end(state, attempt, RunResult(AttemptOutcome.UNREADABLE))
        wait = int(doubled(FIRST_REFUSED_SECONDS, state.refused_polls, MAX_REFUSED_SECONDS))
        return replace(state, refused_polls=polls, refused_since=since, wait_seconds=wait)

    def _classify(self, state: PollState, attempt: Attempt, run: Run) -> PollState:
        self.telemetry.info(
            "run polled", runGuid=run.guid, status=run.status_text, polls=state.polls
        )
        if run.status is RunStatus.UNKNOWN:
            self.telemetry.count("UnknownStatus")
            self.telemetry.warn(
                "unknown status of the run", runGuid=run.guid, status=run.status_text
            )
        if run.phase is Phase.PENDING:
            self._warn_if_overdue(state, attempt)
            return replace(state, wait_seconds=self._next_wait(state, attempt))
        missing = not run.files and run.criteria_results_count != 0
        if run.phase is Phase.READY and (missing or run.unreadable_files):
            return self._without_files(state, attempt, run)
        return self._end(state, attempt, _result(run, AttemptOutcome(run.status.value)), run)

    def _warn_if_overdue(self, state: PollState, attempt: Attempt) -> None:
        if self.clock.now() - attempt.started_at > self.run_timeout_seconds:
            self.telemetry.count("RunOverdue")
            self.telemetry.warn("run is overdue", runGuid=state.run_guid, polls=state.polls)

    def _next_wait(self, state: PollState, attempt: Attempt) -> int:
        now = self.clock.now()
        return next_wait_seconds(
            self.ledger.definitions.past_runs(attempt.group.export_guid, attempt.item_count),
            now - attempt.started_at,
            self.limits.pace(self.arena.budget(), now, state.own_requests),
        )

    def _without_files(self, state: PollState, attempt: Attempt, run: Run) -> PollState:
        """Poll a few more times if a run is complete and its list of files is not."""
        polls = state.polls_without_files + 1
        if polls <= POLLS_WITHOUT_FILES:
            return replace(
                state, polls_without_files=polls, wait_seconds=FIRST_POLL_SECONDS * polls
            )
        if not run.unreadable_files:
            return self._end(state, attempt, _result(run, AttemptOutcome.NO_FILES), run)
        self.telemetry.count("FilesWithoutGuid", run.unreadable_files)
        self.telemetry.warn(
            "files of the run have no guid", runGuid=run.guid, files=run.unreadable_files
        )
        some = run.files or run.criteria_results_count == 0
        outcome = AttemptOutcome(run.status.value) if some else AttemptOutcome.NO_FILES
        return self._end(state, attempt, _result(run, outcome), run)

    def _end(
        self, state: PollState, attempt: Attempt, result: RunResult, run: Run | None = None
    ) -> PollState:
        if self.delivers and run and run.unreadable_files:
            self.ledger.deliveries.keep_files_without_guid(attempt.attempt_id, run.unreadable_files)
        try:
            self.ledger.attempts.ended(attempt, result, run.files if run else ())
        except ConditionFailedError:
            self.telemetry.info("run was ended by another copy", runGuid=state.run_guid)
        self.telemetry.count("PollsPerRun", state.polls)
        if run and run.duration_seconds is not None:
            delay = self.clock.now() - attempt.started_at - run.duration_seconds
            self.telemetry.seconds("DetectionDelay", max(delay, 0.0))
        return replace(state, ended=True)


def _result(run: Run, outcome: AttemptOutcome) -> RunResult:
    errors = {
        AttemptOutcome.FAILED: ("RunFailed", "Arena ended the run as FAILED: it has no results"),
        AttemptOutcome.ABORTED: ("RunAborted", "Arena's support stopped the run (ABORTED), twice"),
        AttemptOutcome.NO_FILES: (
            "NoFiles",
            "the run is complete and has results, but Arena shows no files",
        ),
    }
    code, message = errors.get(outcome, ("", ""))
    return RunResult(
        outcome=outcome,
        status=run.status.value,
        criteria_results_count=run.criteria_results_count,
        creation_date_time=run.creation_date_time,
        completion_date_time=run.completion_date_time,
        error_code=code,
        error_message=message,
    )
