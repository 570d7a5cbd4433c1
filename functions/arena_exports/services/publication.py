"""Publish the outcome of an ended attempt, then settle its requests and free the lease.

It is safe to run twice, even while an older copy still runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptOutcome, AttemptState
from arena_exports.domain.definitions import MAX_DOUBT_SECONDS
from arena_exports.domain.deliveries import delivery_of
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.events import CarriedRequest, EndedRun, run_events
from arena_exports.domain.model import Kind
from arena_exports.domain.times import duration_seconds, epoch_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports.domain.attempts import Attempt, RunResult
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.deliveries import Delivery
    from arena_exports.domain.model import AttemptId, Entry, RequestId, Selection
    from arena_exports.domain.runs import RunFile
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.services.isolation import Isolation
    from arena_exports.services.rejections import Rejections

SECONDS_AFTER_AN_UNREADABLE_RUN = 60
MAX_ABORTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Concludes ended attempts."""

    ledger: Ledger
    isolation: Isolation
    rejections: Rejections
    clock: Clock
    telemetry: Telemetry
    delivers: bool

    def publish(self, attempt_id: AttemptId) -> None:
        """Conclude an attempt by its id, unless that is done already.

        Raises:
            MessagingError: not everything was published; a retry publishes the same ids.
        """
        attempt = self.ledger.attempts.get(attempt_id)
        if attempt.state is AttemptState.ENDED:
            self.conclude(attempt)

    def conclude(self, attempt: Attempt) -> None:
        """Do what the outcome of an ended attempt requires.

        Raises:
            MessagingError: as for `publish`.
        """
        if attempt.result is None:
            message = f"attempt {attempt.attempt_id} has not ended"
            raise ValueError(message)
        try:
            self._conclude(attempt, attempt.result)
        except ConditionFailedError:
            self.telemetry.info("lease was released by another copy", attempt=attempt.attempt_id)

    def _conclude(self, attempt: Attempt, result: RunResult) -> None:
        actions: dict[AttemptOutcome, Callable[[Attempt, RunResult], None]] = {
            AttemptOutcome.COMPLETE: self._complete,
            AttemptOutcome.DOWNLOADED: self._complete,
            AttemptOutcome.FAILED: self._fail,
            AttemptOutcome.ABORTED: self._abort,
            AttemptOutcome.NO_FILES: self._dead_letter,
            AttemptOutcome.UNREADABLE: self._void,
            AttemptOutcome.REJECTED: self._reject,
            AttemptOutcome.ALL_ITEMS_REFUSED: self._settle,
            AttemptOutcome.SET_ASIDE: self._quarantine,
            AttemptOutcome.HALVED: self._halve,
        }
        actions[result.outcome](attempt, result)

    def _complete(self, attempt: Attempt, result: RunResult) -> None:
        """Publish `run.completed`; count the items that Arena did not match."""
        selection = self.ledger.selection(attempt)
        files = self.ledger.attempts.files(attempt.attempt_id)
        requests = self._publish(attempt, result, selection, files)
        items = len(selection.item_guids)
        self.telemetry.count("RunsCompleted")
        matched = result.criteria_results_count
        if matched is not None and matched < items:
            self.telemetry.count("ItemsNotMatched", items - matched)
        run = {"runGuid": attempt.run_guid, "exportGuid": attempt.group.export_guid}
        self.telemetry.info("run published", **run, items=items, files=len(files))
        for request in requests:
            self.telemetry.info(
                "request exported",
                requestId=request.request_id,
                correlationId=request.correlation_id,
                **run,
                items=request.item_count,
                open=request.open_count,
            )
        duration = duration_seconds(result.creation_date_time, result.completion_date_time)
        if duration is not None:
            self.ledger.definitions.note_duration(items, duration)
        definition = self._definition(attempt).succeeded(self.clock.now(), items, duration)
        self.ledger.settle(attempt, definition, delivery=self._delivery(attempt))

    def _delivery(self, attempt: Attempt) -> Delivery | None:
        """Return the delivery of a run's files, if the stack delivers files."""
        if not self.delivers:
            return None
        files = self.ledger.file_counts(attempt)
        return delivery_of(attempt, self.rejections.workspace, files, self.clock.now())

    def _fail(self, attempt: Attempt, result: RunResult) -> None:
        """Isolate what makes the attempt fail; reject it once it is alone."""
        selection = self.ledger.selection(attempt)
        self._report_failure(attempt, len(selection.item_guids))
        if self.isolation.after_failure(attempt, selection):
            return
        if attempt.group.kind is Kind.DEFINITION:
            self._dead_letter(attempt, result)
        else:
            self._reject(attempt, result)

    def _report_failure(self, attempt: Attempt, items: int) -> None:
        carried = {"exportGuid": attempt.group.export_guid, "items": items}
        if attempt.run_guid is not None:
            self.telemetry.count("RunsFailed")
            self.telemetry.warn("run failed", runGuid=attempt.run_guid, **carried)
            return
        self.telemetry.warn("no run was started", attempt=attempt.attempt_id, **carried)
        if self._definition(attempt).in_doubt:
            self.telemetry.count("DefinitionRefused")

    def _abort(self, attempt: Attempt, result: RunResult) -> None:
        """Submit an aborted run again; give it up the second time."""
        self.telemetry.count("RunsAborted")
        self.telemetry.warn(
            "run aborted", runGuid=attempt.run_guid, exportGuid=attempt.group.export_guid
        )
        if attempt.history.aborts + 1 < MAX_ABORTS:
            self.isolation.after_abort(attempt, self.ledger.selection(attempt))
        else:
            self._dead_letter(attempt, result)

    def _dead_letter(self, attempt: Attempt, result: RunResult) -> None:
        """Publish `run.failed`, and send its requests to the dead-letter queue."""
        self.telemetry.count("RunsGivenUp")
        self._publish(attempt, result, self.ledger.selection(attempt), ())
        self._settle_pages(
            attempt,
            lambda entries: self.rejections.dead_letter(
                attempt.group, entries, result.error_code, result.error_message
            ),
        )

    def _reject(self, attempt: Attempt, result: RunResult) -> None:
        """Publish `request.rejected` for each request, and send it to the dead-letter queue."""
        self._settle_pages(
            attempt,
            lambda entries: self.rejections.reject(
                attempt.group, entries, result.error_code, result.error_message
            ),
        )

    def _void(self, attempt: Attempt, _result: RunResult) -> None:
        """Return the requests of an unreadable run to pending, without rejected items.

        Their definition backs off: otherwise it would start a run each minute and make others wait.
        """
        if attempt.rejected:
            self.isolation.quarantine(attempt, self.ledger.selection(attempt))
            return
        now = self.clock.now()
        self.ledger.attempts.void(
            self.ledger.lease.read(),
            attempt,
            not_before=now + SECONDS_AFTER_AN_UNREADABLE_RUN,
            definition=self._definition(attempt).refused(now, MAX_DOUBT_SECONDS),
        )

    def _quarantine(self, attempt: Attempt, _result: RunResult) -> None:
        self.isolation.quarantine(attempt, self.ledger.selection(attempt))

    def _halve(self, attempt: Attempt, _result: RunResult) -> None:
        self.isolation.halve(attempt, self.ledger.selection(attempt))

    def _settle(self, attempt: Attempt, _result: RunResult) -> None:
        self.ledger.settle(attempt, self._definition(attempt).served(self.clock.now()))

    def _settle_pages(self, attempt: Attempt, deliver: Callable[[Sequence[Entry]], None]) -> None:
        """Deliver and settle page by page, so that a retry resumes after the last page."""
        requests, group = self.ledger.requests, attempt.group
        for part in requests.unsettled(group, attempt.slices):
            selection = requests.load_selection(group, [part], attempt.history)
            deliver(selection.without(attempt.rejected).entries)
            requests.settle_slice(group, part, attempt.attempt_id)
        self.ledger.settle(attempt, self._definition(attempt).served(self.clock.now()))

    def _definition(self, attempt: Attempt) -> Definition:
        return self.ledger.definitions.read(attempt.group.export_guid)

    def _publish(
        self, attempt: Attempt, result: RunResult, selection: Selection, files: Sequence[RunFile]
    ) -> list[CarriedRequest]:
        """Publish the run's events; return what they say about each request."""
        requests = self._carried(attempt, selection)
        outcome = EndedRun(
            workspace=self.rejections.workspace,
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
        # A copy that was overtaken would count the open items after a later run.
        self.ledger.lease.check(attempt)
        if self.delivers:
            counts = {request.request_id: request.open_count for request in requests}
            self.ledger.deliveries.keep_open_counts(attempt.attempt_id, counts)
        self.rejections.topic.publish(events)
        return requests

    def _carried(self, attempt: Attempt, selection: Selection) -> list[CarriedRequest]:
        """Return for each request how many items this run carried, and how many are still open."""
        carried: dict[RequestId, int] = {}
        totals: dict[RequestId, Entry] = {}
        for entry in selection.entries:
            carried[entry.request_id] = carried.get(entry.request_id, 0) + len(entry.item_guids)
            totals.setdefault(entry.request_id, entry)
        spread = [name for name, entry in totals.items() if carried[name] < entry.total]
        still_open = self.ledger.requests.open_counts(spread, attempt.slices)
        return [
            CarriedRequest(name, entry.correlation_id, carried[name], still_open.get(name, 0))
            for name, entry in totals.items()
        ]
