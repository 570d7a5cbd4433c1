"""Publish the outcome of an ended attempt, settle its requests, free the lease: in this order, safe to run twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.errors import ConditionFailedError
from arena_exports.events import CarriedRequest, RunOutcome, run_events
from arena_exports.ledger.attempts import AttemptState, Outcome
from arena_exports.model import Kind, SetHistory, halves
from arena_exports.runs import epoch_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ledger.attempts import Attempt, Result
    from arena_exports.ledger.definitions import Definition
    from arena_exports.model import AttemptId, Entry, Selection
    from arena_exports.outcomes import Outcomes
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.runs import RunFile

SECONDS_AFTER_AN_ABORT = 60
SECONDS_AFTER_AN_UNREADABLE_RUN = 60
MOST_ABORTS = 2


class Publication:
    """Brings an ended attempt to its end."""

    def __init__(
        self, *, ledger: Ledger, outcomes: Outcomes, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._ledger = ledger
        self._outcomes = outcomes
        self._clock = clock
        self._telemetry = telemetry

    def publish(self, attempt_id: AttemptId) -> None:
        """Conclude an attempt by its id; one that is over already is left alone.

        Raises:
            DeliveryError: not everything could be published; running it again publishes it all with the same ids.
        """
        attempt = self._ledger.lease.attempt(attempt_id)
        if attempt.state is AttemptState.ENDED:
            self.conclude(attempt)

    def conclude(self, attempt: Attempt) -> None:
        """Do what the outcome of an ended attempt asks for.

        Raises:
            DeliveryError: as for `publish`.
        """
        result = attempt.result
        if result is None:
            message = f"attempt {attempt.attempt_id} has not ended"
            raise ValueError(message)
        try:
            self._conclude(attempt, result)
        except ConditionFailedError:
            self._telemetry.event("slot was freed by another copy", attempt=attempt.attempt_id)

    def _conclude(self, attempt: Attempt, result: Result) -> None:
        if result.outcome is Outcome.UNREADABLE:
            self._abandon(attempt)
            return
        selection = self._selection(attempt)
        if result.outcome in (Outcome.COMPLETE, Outcome.DOWNLOADED):
            self._complete(attempt, result, selection)
        elif result.outcome is Outcome.FAILED:
            self._fail(attempt, result, selection)
        elif result.outcome is Outcome.ABORTED and attempt.history.aborts + 1 < MOST_ABORTS:
            self._set_aside_aborted(attempt, selection)
        elif result.outcome in (Outcome.ABORTED, Outcome.NO_FILES):
            self._give_up(attempt, result, selection)
        elif result.outcome is Outcome.REJECTED:
            self._reject(attempt, result, selection)
        else:
            self._settle(attempt, self._definition(attempt).served(self._clock.now()))

    def _selection(self, attempt: Attempt) -> Selection:
        selection = self._ledger.requests.reselect(attempt.group, attempt.slices, attempt.history)
        return selection.without(attempt.rejected)

    def _definition(self, attempt: Attempt) -> Definition:
        return self._ledger.definitions.read(attempt.group.export_guid)

    # ---- results ----------------------------------------------------------------------------------------------

    def _complete(self, attempt: Attempt, result: Result, selection: Selection) -> None:
        files = self._ledger.lease.files(attempt.attempt_id)
        self._outcomes.topic.publish(
            run_events(self._run_outcome(attempt, result, selection, files))
        )
        now, items = self._clock.now(), len(selection.item_guids)
        self._telemetry.count("RunsCompleted")
        if result.criteria_results_count is not None and result.criteria_results_count < items:
            self._telemetry.count("ItemsNotMatched", items - result.criteria_results_count)
        self._telemetry.event(
            "run published", runGuid=attempt.run_guid, items=items, files=len(files)
        )
        self._settle(attempt, self._definition(attempt).succeeded(now, items, _duration(result)))

    def _run_outcome(
        self, attempt: Attempt, result: Result, selection: Selection, files: Sequence[RunFile]
    ) -> RunOutcome:
        return RunOutcome(
            workspace=self._outcomes.workspace,
            export_guid=attempt.group.export_guid,
            run_guid=str(attempt.run_guid),
            run_number=attempt.run_number,
            result=result,
            item_guids=selection.item_guids,
            requests=self._carried(attempt, selection),
            files=files,
            time=epoch_seconds(result.completion_date_time) or attempt.started_at,
        )

    def _carried(self, attempt: Attempt, selection: Selection) -> list[CarriedRequest]:
        """Say for each request how much of it this run carried, and how much is open after it."""
        counts: dict[str, int] = {}
        first: dict[str, Entry] = {}
        for entry in selection.entries:
            counts[entry.request_id] = counts.get(entry.request_id, 0) + len(entry.item_guids)
            first.setdefault(entry.request_id, entry)
        spread = [
            entry.request_id for entry in first.values() if counts[entry.request_id] < entry.total
        ]
        still_open = self._ledger.requests.open_counts(spread, attempt.slices) if spread else {}
        return [
            CarriedRequest(
                entry.request_id,
                entry.correlation_id,
                counts[entry.request_id],
                still_open.get(entry.request_id, 0),
            )
            for entry in first.values()
        ]

    # ---- runs without results ---------------------------------------------------------------------------------

    def _fail(self, attempt: Attempt, result: Result, selection: Selection) -> None:
        """Try a failed set once more as it was, then halve it, down to the item that does it (R8)."""
        now = self._clock.now()
        self._telemetry.count("RunsFailed")
        self._telemetry.warn(
            "run failed", runGuid=attempt.run_guid, items=len(selection.item_guids)
        )
        history = attempt.history
        failed_since = history.first_failed_at or int(now)
        again = SetHistory(history.failures + 1, history.aborts, failed_since)
        definition = self._definition(attempt)
        if not history.failures:
            self._move(attempt, selection, again, definition.failed(now, wait=False))
        elif len(selection.item_guids) > 1:
            self._move_halves(attempt, selection, again, definition.failed(now, wait=False))
        elif definition.last_success_at > failed_since:
            self._give_up_items(attempt, result, selection, definition)
        else:
            self._move(attempt, selection, again, definition.failed(now, wait=True))

    def _give_up_items(
        self, attempt: Attempt, result: Result, selection: Selection, definition: Definition
    ) -> None:
        if attempt.group.kind is Kind.DEFINITION:
            self._give_up(attempt, result, selection)
            return
        message = "every run with this item failed, and runs without it do not"
        self._outcomes.reject(attempt.group, selection.entries, result.error_code, message)
        self._settle(attempt, definition.served(self._clock.now()))

    def _set_aside_aborted(self, attempt: Attempt, selection: Selection) -> None:
        """Submit an aborted set once more, as it was, after a back-off."""
        self._telemetry.count("RunsAborted")
        self._telemetry.warn("run aborted", runGuid=attempt.run_guid)
        history = attempt.history
        again = SetHistory(history.failures, history.aborts + 1, history.first_failed_at)
        now = self._clock.now()
        self._move(
            attempt,
            selection,
            again,
            self._definition(attempt).set_back(now, SECONDS_AFTER_AN_ABORT),
        )

    def _give_up(self, attempt: Attempt, result: Result, selection: Selection) -> None:
        """Publish `run.failed`, put the requests on the dead-letter queue, and settle them."""
        self._telemetry.count("RunsGivenUp")
        self._outcomes.topic.publish(run_events(self._run_outcome(attempt, result, selection, ())))
        self._outcomes.give_up(
            attempt.group, selection.entries, result.error_code, result.error_message
        )
        self._settle(attempt, self._definition(attempt).served(self._clock.now()))

    def _reject(self, attempt: Attempt, result: Result, selection: Selection) -> None:
        self._outcomes.reject(
            attempt.group, selection.entries, result.error_code, result.error_message
        )
        self._settle(attempt, self._definition(attempt).served(self._clock.now()))

    def _abandon(self, attempt: Attempt) -> None:
        """Let the requests of a run that nobody can read pend again."""
        not_before = self._clock.now() + SECONDS_AFTER_AN_UNREADABLE_RUN
        self._ledger.lease.abandon(self._ledger.lease.read(), attempt, not_before=not_before)

    # ---- settle and set aside ---------------------------------------------------------------------------------

    def set_aside(self, attempt: Attempt, selection: Selection) -> None:
        """Make what is left of an attempt a suspect set of its own, and free the slot."""
        self._move(attempt, selection, attempt.history, self._definition(attempt))

    def halve(self, attempt: Attempt, selection: Selection) -> None:
        """Make the two halves of what is left of an attempt suspect sets, and free the slot."""
        self._move_halves(attempt, selection, attempt.history, self._definition(attempt))

    def _move(
        self, attempt: Attempt, selection: Selection, history: SetHistory, definition: Definition
    ) -> None:
        self._move_to(attempt, [selection.entries], history, definition)

    def _move_halves(
        self, attempt: Attempt, selection: Selection, history: SetHistory, definition: Definition
    ) -> None:
        both = [selection.only(half) for half in halves(selection.item_guids)]
        self._move_to(attempt, [entries for entries in both if entries], history, definition)

    def _move_to(
        self,
        attempt: Attempt,
        sets: Sequence[Sequence[Entry]],
        history: SetHistory,
        definition: Definition,
    ) -> None:
        """Write the sets, whose ids derive from the attempt, then settle what they were taken from."""
        fence = self._ledger.lease.fence_of(attempt)
        moved_to = [
            page_id
            for letter, entries in zip("ab", sets, strict=False)
            for page_id in self._ledger.requests.put_set(
                attempt.group, f"{attempt.attempt_id}{letter}", entries, history, fence
            )
        ]
        self._settle(attempt, definition, moved_to)

    def _settle(
        self, attempt: Attempt, definition: Definition, moved_to: Sequence[str] = ()
    ) -> None:
        for part in attempt.slices:
            self._ledger.requests.settle_slice(attempt.group, part, attempt.attempt_id, moved_to)
        self._ledger.lease.settled(attempt, definition)


def _duration(result: Result) -> float | None:
    created, completed = (
        epoch_seconds(result.creation_date_time),
        epoch_seconds(result.completion_date_time),
    )
    return None if created is None or completed is None else max(completed - created, 0.0)
