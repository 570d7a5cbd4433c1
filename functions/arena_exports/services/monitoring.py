"""Monitor a run: start its execution, and restart one that stopped."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from arena_exports.domain.model import RunGuid
from arena_exports.domain.poll_state import PollState
from arena_exports.domain.polling import first_wait_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import AttemptId
    from arena_exports.domain.polling import PollLimits
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Executions, Telemetry

MAX_WAKE_SECONDS = 3600  # an execution may take a day; the reconcile schedule does the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMonitor:
    """Starts the executions that poll runs."""

    ledger: Ledger
    executions: Executions
    clock: Clock
    telemetry: Telemetry
    limits: PollLimits
    own_requests: Callable[[], int]  # how many the stack's backlog and deliveries need

    def begin(self, attempt: Attempt, items: int) -> None:
        """Start polling a run that was just submitted or adopted."""
        self.telemetry.count("RunsSubmitted")
        self.telemetry.count("ItemsPerRun", items)
        self.telemetry.info(
            "run submitted",
            runGuid=attempt.run_guid,
            exportGuid=attempt.group.export_guid,
            attempt=attempt.attempt_id,
            items=items,
        )
        self._start(attempt)

    def ensure(self, lease: Lease) -> None:
        """Make sure that an execution polls the run in progress; restart one that stopped."""
        attempt = self.ledger.attempts.get(_named(lease.attempt_id))
        status = self.executions.status(_name(attempt))
        if status == "RUNNING":
            return
        if status is not None:
            if self.ledger.lease.read() != lease:
                return  # the run has ended in the meantime
            attempt = self.ledger.attempts.restart_execution(attempt)
            self.telemetry.warn(
                "execution restarted",
                runGuid=attempt.run_guid,
                executionNumber=attempt.execution_number,
            )
        self._start(attempt)

    def wake(self, attempt: Attempt, seconds: float) -> None:
        """Invoke submit after `seconds`, through an execution without a run.

        It waits, finds nothing to poll or publish, and ends with its last step. If it cannot be
        started, the reconcile schedule invokes submit within a minute.
        """
        wait = min(ceil(seconds), MAX_WAKE_SECONDS)
        state = PollState(attempt.attempt_id, attempt.group.export_guid, RunGuid(""), wait)
        name = f"{attempt.attempt_id}-search-{attempt.searches}-{attempt.unanswered}"
        self.executions.start(name, state.to_json())

    def _start(self, attempt: Attempt) -> None:
        export_guid, needed = attempt.group.export_guid, self.own_requests()
        wait = first_wait_seconds(
            self.ledger.definitions.past_runs(export_guid, attempt.item_count),
            self.limits.pace(self.ledger.budget.read(), self.clock.now(), needed),
        )
        state = PollState(
            attempt.attempt_id, export_guid, _run_guid(attempt), wait, own_requests=needed
        )
        self.executions.start(_name(attempt), state.to_json())


def _name(attempt: Attempt) -> str:
    """Return the execution's name; it is numbered because AWS refuses a used one for 90 days."""
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
