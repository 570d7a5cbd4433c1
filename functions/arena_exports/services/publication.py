"""Publish the outcome of an ended attempt, then settle its requests and free the lease.

It is safe to run twice, also while an older copy of itself still runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptState, Outcome
from arena_exports.domain.definitions import LONGEST_DOUBT_SECONDS
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.events import CarriedRequest, RunOutcome, run_events
from arena_exports.domain.model import Kind
from arena_exports.domain.times import duration_seconds, epoch_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports.domain.attempts import Attempt, Result
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.model import AttemptId, Entry, RequestId, Selection
    from arena_exports.domain.runs import RunFile
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.services.isolation import Isolation
    from arena_exports.services.rejections import Outcomes

SECONDS_AFTER_AN_UNREADABLE_RUN = 60
MOST_ABORTS = 2


class Publication:
    """Brings an ended attempt to its end."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        isolation: Isolation,
        outcomes: Outcomes,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._ledger = ledger
        self._isolation = isolation
        self._outcomes = outcomes
        self._clock = clock
        self._telemetry = telemetry

    def publish(self, attempt_id: AttemptId) -> None:
        """Conclude an attempt by its id; one that is over already is left alone.

        Raises:
            DeliveryError: not everything was published; running it again publishes the same ids.
        """
        attempt = self._ledger.lease.attempt(attempt_id)
        if attempt.state is AttemptState.ENDED:
            self.conclude(attempt)

    def conclude(self, attempt: Attempt) -> None:
        """Do what the outcome of an ended attempt asks for.

        Raises:
            DeliveryError: as for `publish`.
        """
        if attempt.result is None:
            message = f"attempt {attempt.attempt_id} has not ended"
            raise ValueError(message)
        try:
            self._conclude(attempt, attempt.result)
        except ConditionFailedError:
            self._telemetry.event("slot was freed by another copy", attempt=attempt.attempt_id)

    def _conclude(self, attempt: Attempt, result: Result) -> None:
        """Do what each outcome asks for."""
        actions: dict[Outcome, Callable[[Attempt, Result], None]] = {
            Outcome.COMPLETE: self._complete,
            Outcome.DOWNLOADED: self._complete,
            Outcome.FAILED: self._fail,
            Outcome.ABORTED: self._abort,
            Outcome.NO_FILES: self._give_up,
            Outcome.UNREADABLE: self._abandon,
            Outcome.REJECTED: self._reject,
            Outcome.ALL_ITEMS_REFUSED: self._settle,
            Outcome.SET_ASIDE: self._set_aside,
            Outcome.HALVED: self._halve,
        }
        actions[result.outcome](attempt, result)

    def _complete(self, attempt: Attempt, result: Result) -> None:
        """Publish `run.completed`; a metric says where fewer items matched than were asked for."""
        selection = self._ledger.selection(attempt)
        files = self._ledger.lease.files(attempt.attempt_id)
        requests = self._publish(attempt, result, selection, files)
        items = len(selection.item_guids)
        self._telemetry.count("RunsCompleted")
        matched = result.criteria_results_count
        if matched is not None and matched < items:
            self._telemetry.count("ItemsNotMatched", items - matched)
        run = {"runGuid": attempt.run_guid, "exportGuid": attempt.group.export_guid}
        self._telemetry.event("run published", **run, items=items, files=len(files))
        for request in requests:
            self._telemetry.event(
                "request exported",
                requestId=request.request_id,
                correlationId=request.correlation_id,
                **run,
                items=request.item_count,
                open=request.open_count,
            )
        duration = duration_seconds(result.creation_date_time, result.completion_date_time)
        definition = self._definition(attempt).succeeded(self._clock.now(), items, duration)
        self._ledger.settle(attempt, definition)

    def _fail(self, attempt: Attempt, result: Result) -> None:
        """Isolate what makes the attempt fail; reject it once it is alone."""
        selection = self._ledger.selection(attempt)
        self._report_failure(attempt, len(selection.item_guids))
        if self._isolation.after_failure(attempt, selection):
            return
        if attempt.group.kind is Kind.DEFINITION:
            self._give_up(attempt, result)
        else:
            self._reject(attempt, result)

    def _report_failure(self, attempt: Attempt, items: int) -> None:
        carried = {"exportGuid": attempt.group.export_guid, "items": items}
        if attempt.run_guid is not None:
            self._telemetry.count("RunsFailed")
            self._telemetry.warn("run failed", runGuid=attempt.run_guid, **carried)
            return
        self._telemetry.warn("no run was started", attempt=attempt.attempt_id, **carried)
        if self._definition(attempt).in_doubt:
            self._telemetry.count("DefinitionRefused")

    def _abort(self, attempt: Attempt, result: Result) -> None:
        """Submit an aborted run once more; give it up the second time."""
        self._telemetry.count("RunsAborted")
        self._telemetry.warn(
            "run aborted", runGuid=attempt.run_guid, exportGuid=attempt.group.export_guid
        )
        if attempt.history.aborts + 1 < MOST_ABORTS:
            self._isolation.after_abort(attempt, self._ledger.selection(attempt))
        else:
            self._give_up(attempt, result)

    def _give_up(self, attempt: Attempt, result: Result) -> None:
        """Publish `run.failed`, and put its requests on the dead-letter queue."""
        self._telemetry.count("RunsGivenUp")
        self._publish(attempt, result, self._ledger.selection(attempt), ())
        self._settle_pages(
            attempt,
            lambda entries: self._outcomes.give_up(
                attempt.group, entries, result.error_code, result.error_message
            ),
        )

    def _reject(self, attempt: Attempt, result: Result) -> None:
        """Publish `request.rejected` for each request, and put it on the dead-letter queue."""
        self._settle_pages(
            attempt,
            lambda entries: self._outcomes.reject(
                attempt.group, entries, result.error_code, result.error_message
            ),
        )

    def _abandon(self, attempt: Attempt, _result: Result) -> None:
        """Return the requests of a run that nobody can read to pending, but for rejected items.

        Their definition backs off: it would start a run each minute, and others would wait.
        """
        if attempt.rejected:
            self._isolation.set_aside(attempt, self._ledger.selection(attempt))
            return
        now = self._clock.now()
        self._ledger.lease.abandon(
            self._ledger.lease.read(),
            attempt,
            not_before=now + SECONDS_AFTER_AN_UNREADABLE_RUN,
            definition=self._definition(attempt).refused(now, LONGEST_DOUBT_SECONDS),
        )

    def _set_aside(self, attempt: Attempt, _result: Result) -> None:
        self._isolation.set_aside(attempt, self._ledger.selection(attempt))

    def _halve(self, attempt: Attempt, _result: Result) -> None:
        self._isolation.halve(attempt, self._ledger.selection(attempt))

    def _settle(self, attempt: Attempt, _result: Result) -> None:
        self._ledger.settle(attempt, self._definition(attempt).served(self._clock.now()))

    def _settle_pages(self, attempt: Attempt, say: Callable[[Sequence[Entry]], None]) -> None:
        """Say it page by page, each settled before the next: a restart goes on from there."""
        requests, group = self._ledger.requests, attempt.group
        for part in requests.unsettled(group, attempt.slices):
            selection = requests.reselect(group, [part], attempt.history)
            say(selection.without(attempt.rejected).entries)
            requests.settle_slice(group, part, attempt.attempt_id)
        self._ledger.settle(attempt, self._definition(attempt).served(self._clock.now()))

    def _definition(self, attempt: Attempt) -> Definition:
        return self._ledger.definitions.read(attempt.group.export_guid)

    def _publish(
        self, attempt: Attempt, result: Result, selection: Selection, files: Sequence[RunFile]
    ) -> list[CarriedRequest]:
        """Publish the run's events; return what they say of each request."""
        requests = self._carried(attempt, selection)
        outcome = RunOutcome(
            workspace=self._outcomes.workspace,
            export_guid=attempt.group.export_guid,
            run_guid=str(attempt.run_guid),
            run_number=attempt.run_number,
            result=result,
            item_guids=selection.item_guids,
            requests=requests,
            files=files,
            time=epoch_seconds(result.completion_date_time) or attempt.started_at,
        )
        events = run_events(outcome)
        # A copy that was overtaken would say of later runs what is open after them.
        self._ledger.lease.check(attempt)
        self._outcomes.topic.publish(events)
        return requests

    def _carried(self, attempt: Attempt, selection: Selection) -> list[CarriedRequest]:
        """Say for each request how much of it this run carried, and how much is open after it."""
        carried: dict[RequestId, int] = {}
        totals: dict[RequestId, Entry] = {}
        for entry in selection.entries:
            carried[entry.request_id] = carried.get(entry.request_id, 0) + len(entry.item_guids)
            totals.setdefault(entry.request_id, entry)
        spread = [name for name, entry in totals.items() if carried[name] < entry.total]
        still_open = self._ledger.requests.open_counts(spread, attempt.slices)
        return [
            CarriedRequest(name, entry.correlation_id, carried[name], still_open.get(name, 0))
            for name, entry in totals.items()
        ]
