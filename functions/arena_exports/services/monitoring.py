"""Monitor a run: start its execution, restart one that stopped, poll where the run should end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from arena_exports.domain import polling
from arena_exports.domain.attempts import AttemptOutcome, AttemptState, RunResult
from arena_exports.domain.backoff import doubled
from arena_exports.domain.errors import (
    ArenaAnswerError,
    ConditionFailedError,
    RequestNotCompletedError,
    RetryLaterError,
    RunUnreadableError,
)
from arena_exports.domain.model import RunGuid, camel_case
from arena_exports.domain.runs import Phase, RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.arena.client import Arena
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import AttemptId, ExportGuid
    from arena_exports.domain.runs import Run
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Executions, Telemetry

POLLS_WITHOUT_FILES = 3
# Asked again five times and more, over ten minutes and more, before a run is written off.
MIN_REFUSED_POLLS = 6
MIN_REFUSED_SECONDS = 600
FIRST_REFUSED_SECONDS = 15
MAX_REFUSED_SECONDS = 240
MAX_WAKE_SECONDS = 3600  # an execution may take a day; the reconcile schedule does the rest
SECONDS_AFTER_NO_ANSWER = 60
# Of the time waited: a day without a session is some hundred steps of the execution, no more.
SHARE_WHILE_KEPT_FROM_POLLING = 0.01


@dataclass(frozen=True, slots=True)
class PollState:
    """The state of an execution: names and numbers only.

    `wait_seconds` is how long to wait before the next poll; `polls` counts polls,
    `polls_without_files` those that found a run complete but without all of its files,
    `refused_polls` those in a row that were refused, the first of them at `refused_since` (epoch
    seconds, 0 for none). Without a `run_guid` it is a wait for a search, nothing to poll.
    """

    attempt_id: AttemptId
    export_guid: ExportGuid
    run_guid: RunGuid
    wait_seconds: int
    polls: int = 0
    polls_without_files: int = 0
    ended: bool = False
    refused_polls: int = 0
    refused_since: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the state as the state machine carries it."""
        return {camel_case(name): value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> PollState:
        """Read what `to_json` returned, also what an older release did."""
        names = (name for name in PollState.__slots__ if camel_case(name) in state)
        return PollState(**{name: state[camel_case(name)] for name in names})


class RunMonitor:
    """Starts executions for runs, as submit does."""

    def __init__(self, *, ledger: Ledger, executions: Executions, telemetry: Telemetry) -> None:
        self._ledger = ledger
        self._executions = executions
        self._telemetry = telemetry

    def begin(self, attempt: Attempt, items: int) -> None:
        """Start to poll a run that was just submitted or adopted."""
        self._telemetry.count("RunsSubmitted")
        self._telemetry.count("ItemsPerRun", items)
        self._telemetry.info(
            "run submitted",
            runGuid=attempt.run_guid,
            exportGuid=attempt.group.export_guid,
            attempt=attempt.attempt_id,
            items=items,
        )
        self._start(attempt)

    def ensure(self, lease: Lease) -> None:
        """Make sure that an execution polls the run in progress; restart one that stopped."""
        attempt = self._ledger.attempts.get(_named(lease.attempt_id))
        status = self._executions.status(_name(attempt))
        if status == "RUNNING":
            return
        if status is not None:
            if self._ledger.lease.read() != lease:
                return  # it ended in between, as it should
            attempt = self._ledger.attempts.restart_execution(attempt)
            self._telemetry.warn(
                "run watched again",
                runGuid=attempt.run_guid,
                executionNumber=attempt.execution_number,
            )
        self._start(attempt)

    def wake(self, attempt: Attempt, seconds: float) -> None:
        """Call submit after so many seconds, by an execution whose run is not known yet.

        It waits, finds nothing to poll or publish, and ends with its last step. Where it cannot be
        started, the reconcile schedule does the same within a minute.
        """
        wait = min(-int(-seconds // 1), MAX_WAKE_SECONDS)
        state = PollState(attempt.attempt_id, attempt.group.export_guid, RunGuid(""), wait)
        name = f"{attempt.attempt_id}-search-{attempt.searches}-{attempt.unanswered}"
        self._executions.start(name, state.to_json())

    def _start(self, attempt: Attempt) -> None:
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        wait = polling.first_wait_seconds(definition.durations_for(attempt.item_count))
        state = PollState(attempt.attempt_id, attempt.group.export_guid, _run_guid(attempt), wait)
        self._executions.start(_name(attempt), state.to_json())


class Poller:
    """Polls a run once."""

    def __init__(  # noqa: PLR0913 - the parts that it works with
        self,
        *,
        ledger: Ledger,
        arena: Arena,
        clock: Clock,
        telemetry: Telemetry,
        run_timeout_seconds: int,
        reserve: int,
    ) -> None:
        self._ledger = ledger
        self._arena = arena
        self._clock = clock
        self._telemetry = telemetry
        self._run_timeout_seconds = run_timeout_seconds
        self._reserve = reserve

    def poll(self, state: PollState) -> PollState:
        """Poll once; return the state with how long to wait, or with `ended`."""
        attempt = self._ledger.attempts.get(state.attempt_id)
        if attempt.state is not AttemptState.RUNNING or not state.run_guid:
            return replace(state, ended=True)
        looked = replace(state, polls=state.polls + 1)
        try:
            run = self._arena.read_run(state.export_guid, state.run_guid)
        except RetryLaterError as exc:
            self._say_if_overdue(state, attempt)
            self._telemetry.info("no poll now", runGuid=state.run_guid, reason=exc.reason)
            waited = self._clock.now() - attempt.started_at
            longer = int(waited * SHARE_WHILE_KEPT_FROM_POLLING)
            return replace(state, wait_seconds=max(exc.retry_after_seconds, longer))
        except RunUnreadableError as exc:
            self._telemetry.count("RunsUnreadable")
            self._telemetry.warn(
                "run cannot be read by this user", runGuid=state.run_guid, error=str(exc)
            )
            return self._end(looked, attempt, RunResult(AttemptOutcome.UNREADABLE))
        except ArenaAnswerError as exc:
            return self._refused(looked, attempt, exc)
        except RequestNotCompletedError as exc:
            self._say_if_overdue(looked, attempt)
            self._telemetry.warn("poll brought no answer", runGuid=state.run_guid, error=str(exc))
            return replace(
                looked, wait_seconds=max(SECONDS_AFTER_NO_ANSWER, self._next_wait(attempt))
            )
        return self._classify(replace(looked, refused_polls=0, refused_since=0), attempt, run)

    def _refused(self, state: PollState, attempt: Attempt, error: ArenaAnswerError) -> PollState:
        """Poll again, ever later: "not found" says nothing about a run that was created."""
        self._say_if_overdue(state, attempt)
        self._telemetry.warn("poll was refused", runGuid=state.run_guid, error=str(error))
        now = int(self._clock.now())
        since, polls = state.refused_since or now, state.refused_polls + 1
        if polls >= MIN_REFUSED_POLLS and now - since >= MIN_REFUSED_SECONDS:
            self._telemetry.count("RunsUnreadable")
            self._telemetry.warn("run is written off", runGuid=state.run_guid, polls=polls)
            return self._end(state, attempt, RunResult(AttemptOutcome.UNREADABLE))
        wait = int(doubled(FIRST_REFUSED_SECONDS, state.refused_polls, MAX_REFUSED_SECONDS))
        return replace(state, refused_polls=polls, refused_since=since, wait_seconds=wait)

    def _classify(self, state: PollState, attempt: Attempt, run: Run) -> PollState:
        self._telemetry.info(
            "run polled", runGuid=run.guid, status=run.status_text, polls=state.polls
        )
        if run.status is RunStatus.UNKNOWN:
            self._telemetry.count("UnknownStatus")
            self._telemetry.warn(
                "status of the run is not known", runGuid=run.guid, status=run.status_text
            )
        if run.phase is Phase.PENDING:
            self._say_if_overdue(state, attempt)
            return replace(state, wait_seconds=self._next_wait(attempt))
        missing = not run.files and run.criteria_results_count != 0
        if run.phase is Phase.READY and (missing or run.unreadable_files):
            return self._without_files(state, attempt, run)
        return self._end(state, attempt, _result(run, AttemptOutcome(run.status.value)), run)

    def _say_if_overdue(self, state: PollState, attempt: Attempt) -> None:
        if self._clock.now() - attempt.started_at > self._run_timeout_seconds:
            self._telemetry.count("RunOverdue")
            self._telemetry.warn("run is overdue", runGuid=state.run_guid, polls=state.polls)

    def _next_wait(self, attempt: Attempt) -> int:
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        return polling.next_wait_seconds(
            definition.durations_for(attempt.item_count),
            self._clock.now() - attempt.started_at,
            scarcity=polling.scarcity(self._arena.budget().remaining, self._reserve),
        )

    def _without_files(self, state: PollState, attempt: Attempt, run: Run) -> PollState:
        """Poll a few times more where a run is complete and its list of files is not."""
        polls = state.polls_without_files + 1
        if polls <= POLLS_WITHOUT_FILES:
            return replace(
                state, polls_without_files=polls, wait_seconds=polling.FIRST_POLL_SECONDS * polls
            )
        if not run.unreadable_files:
            return self._end(state, attempt, _result(run, AttemptOutcome.NO_FILES), run)
        self._telemetry.count("FilesWithoutGuid", run.unreadable_files)
        self._telemetry.warn(
            "files of the run have no guid", runGuid=run.guid, files=run.unreadable_files
        )
        some = run.files or run.criteria_results_count == 0
        outcome = AttemptOutcome(run.status.value) if some else AttemptOutcome.NO_FILES
        return self._end(state, attempt, _result(run, outcome), run)

    def _end(
        self, state: PollState, attempt: Attempt, result: RunResult, run: Run | None = None
    ) -> PollState:
        try:
            self._ledger.attempts.ended(attempt, result, run.files if run else ())
        except ConditionFailedError:
            self._telemetry.info("run was ended by another copy", runGuid=state.run_guid)
        self._telemetry.count("PollsPerRun", state.polls)
        if run and run.duration_seconds is not None:
            delay = self._clock.now() - attempt.started_at - run.duration_seconds
            self._telemetry.seconds("DetectionDelay", max(delay, 0.0))
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


def _name(attempt: Attempt) -> str:
    """Return the execution's name: one for each watch, as AWS refuses a used one for 90 days."""
    return f"{_run_guid(attempt)}-{attempt.execution_number}"


def _run_guid(attempt: Attempt) -> RunGuid:
    if attempt.run_guid is None:
        message = f"attempt {attempt.attempt_id} has no run"
        raise ValueError(message)
    return attempt.run_guid


def _named(attempt_id: AttemptId | None) -> AttemptId:
    if attempt_id is None:
        message = "the lease is running without an attempt"
        raise ValueError(message)
    return attempt_id
