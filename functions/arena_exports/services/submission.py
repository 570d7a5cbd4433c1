"""Submit one attempt to Arena: one POST, and what follows from each answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.domain.attempts import AttemptOutcome, RunResult
from arena_exports.domain.backoff import doubled
from arena_exports.domain.errors import (
    ArenaAnswerError,
    CriteriaRefusedError,
    DefinitionUnknownError,
    ExportInProgressError,
    ItemsRefusedError,
    RequestNotCompletedError,
    RetryLaterError,
    TooManyItemsError,
)
from arena_exports.domain.model import Lane
from arena_exports.services.adoption import SECONDS_BEFORE_SEARCH

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
    from arena_exports.services.monitoring import RunMonitor
    from arena_exports.services.publication import Publication
    from arena_exports.services.rejections import Rejections

MAX_REFUSALS_OF_ITEMS = 10
ITEMS_REJECTED_AT_ONCE = 100
MAX_ITEMS_REJECTED = 5_000  # of one attempt, whose ledger item lists them
# The HTTP timeout, plus a margin for what follows the answer.
SECONDS_FOR_A_POST = 45
FIRST_BACK_OFF_SECONDS = 30
MAX_BUSY_SECONDS = 600
MAX_DEFINITION_SECONDS = 3600
# A firewall that inspects bodies up to some size refuses larger ones with its own page.
FIREWALL_BODY_BYTES = 8_192
_NOT_ABOUT_SIZE = frozenset({401, 407, 408})  # no session, a proxy's login, a timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Submits attempts; a returned bool says whether the lease may require another step now."""

    ledger: Ledger
    arena: Arena
    adoption: Adoption
    monitor: RunMonitor
    publication: Publication
    rejections: Rejections
    clock: Clock
    telemetry: Telemetry

    def submit(
        self, lease: Lease, attempt: Attempt, selection: Selection, deadline: Deadline
    ) -> bool:
        """POST an attempt; if Arena refuses items by name, reject them and POST the rest."""
        while True:
            try:
                return self._post(lease, attempt, selection)
            except ItemsRefusedError as exc:
                attempt = self._reject_items(lease, attempt, selection, exc)
            selection = selection.without(attempt.rejected)
            in_time = deadline.allows(SECONDS_FOR_A_POST, self.clock.now())
            outcome = _after_refused_items(attempt, selection, in_time=in_time)
            if outcome is not None:
                return self.end(attempt, outcome)

    def _post(  # noqa: PLR0911 - one return for each answer
        self, lease: Lease, attempt: Attempt, selection: Selection
    ) -> bool:
        """POST once, and act on the answer.

        Raises:
            ItemsRefusedError: Arena refused items of the selection by name.
        """
        group = attempt.group
        trial = self._count_trial(group.export_guid)
        try:
            run = self.arena.start_run(group.export_guid, group.kind, selection.item_guids)
        except RequestNotCompletedError as exc:
            return self._search_later(lease, attempt, exc)
        except ItemsRefusedError:
            raise
        except TooManyItemsError as exc:
            return self._refuse_size(lease, attempt, selection, exc)
        except CriteriaRefusedError as exc:
            return self.end(attempt, AttemptOutcome.REJECTED, str(exc.code), exc.arena_message)
        except ExportInProgressError:
            return self._wait_for_other_export(lease, attempt)
        except ArenaAnswerError as exc:
            return self._refuse_definition(lease, attempt, exc)
        except RetryLaterError as exc:
            self.telemetry.info("no run now", reason=exc.reason)
            if trial:
                self.ledger.definitions.take_back_trial()
            return self._retry_after(lease, attempt, exc.retry_after_seconds)
        running = self.ledger.attempts.started(lease, attempt, run)
        self.monitor.begin(running, len(selection.item_guids))
        return False

    def _count_trial(self, export_guid: ExportGuid) -> bool:
        """Count a POST for a definition without a successful run; return whether this is one."""
        trial = not self.ledger.definitions.read(export_guid).proven
        if trial:
            self.ledger.definitions.count_trial(self.clock.now())
        return trial

    def _search_later(
        self, lease: Lease, attempt: Attempt, error: RequestNotCompletedError
    ) -> bool:
        self.telemetry.count("UnknownPosts")
        self.telemetry.warn(
            "whether a run was started is not known", attempt=attempt.attempt_id, error=str(error)
        )
        answered = replace(attempt, last_status=error.status)
        self.adoption.search_later(lease, answered, SECONDS_BEFORE_SEARCH)
        return False

    def _reject_items(
        self, lease: Lease, attempt: Attempt, selection: Selection, error: ItemsRefusedError
    ) -> Attempt:
        """Publish and record rejections in batches, so that a retry resumes after the last one."""
        attempt = replace(attempt, refusals=attempt.refusals + 1)
        item_guids = error.item_guids[: MAX_ITEMS_REJECTED - len(attempt.rejected)]
        for start in range(0, len(item_guids), ITEMS_REJECTED_AT_ONCE):
            named = frozenset(item_guids[start : start + ITEMS_REJECTED_AT_ONCE])
            entries = selection.only(named)
            self.rejections.reject(attempt.group, entries, str(error.code), error.arena_message)
            attempt = self.ledger.attempts.reject_items(lease, attempt, named)
        return attempt

    def _refuse_size(
        self, lease: Lease, attempt: Attempt, selection: Selection, error: TooManyItemsError
    ) -> bool:
        """Send fewer items next time; reject a single item that is too large."""
        if len(selection.item_guids) > 1:
            return self.shrink(lease, attempt, selection)
        return self.end(
            attempt, AttemptOutcome.REJECTED, str(error.code or error.status), error.arena_message
        )

    def shrink(self, lease: Lease, attempt: Attempt, selection: Selection) -> bool:
        """Send half as many items next time."""
        items = len(selection.item_guids)
        self.telemetry.warn("run too large", items=items, attempt=attempt.attempt_id)
        if attempt.rejected or attempt.group.lane is Lane.SUSPECT:
            return self.end(attempt, AttemptOutcome.HALVED)
        definition = self.ledger.definitions.read(attempt.group.export_guid).too_large(items)
        self.ledger.attempts.void(lease, attempt, definition=definition)
        return True

    def end(
        self, attempt: Attempt, outcome: AttemptOutcome, code: str = "", message: str = ""
    ) -> bool:
        """Record how an attempt without a run ended, so that a retry knows it, and conclude it."""
        result = RunResult(outcome, error_code=code, error_message=message)
        self.publication.conclude(self.ledger.attempts.ended(attempt, result))
        return True

    def _wait_for_other_export(self, lease: Lease, attempt: Attempt) -> bool:
        """Wait for the export in progress (3144): another user's, or ours from an unknown POST."""
        self.telemetry.count("LeaseWaits")
        self.telemetry.info("another export is in progress", attempt=attempt.attempt_id)
        seconds = _back_off(lease.busy, MAX_BUSY_SECONDS, self.clock.jitter())
        busy = replace(lease, busy=lease.busy + 1)
        return self._retry_after(busy, attempt, seconds)

    def _retry_after(self, lease: Lease, attempt: Attempt, seconds: float) -> bool:
        """Wait: no run was started, and none can be for a while."""
        if attempt.follows_unknown:
            uncounted = replace(attempt, unanswered=attempt.unanswered - 1)
            self.adoption.search_later(lease, uncounted, seconds, answered=True)
        else:
            self.requeue(lease, attempt, not_before=self.clock.now() + seconds, busy=lease.busy)
        return False

    def _refuse_definition(self, lease: Lease, attempt: Attempt, error: ArenaAnswerError) -> bool:
        """Keep the requests of a refused definition; others may be submitted at once."""
        self.telemetry.count("DefinitionRefused")
        self.telemetry.warn(
            "export definition refused", exportGuid=attempt.group.export_guid, error=str(error)
        )
        now = self.clock.now()
        definition = self.ledger.definitions.read(attempt.group.export_guid)
        unknown = isinstance(error, DefinitionUnknownError) and not definition.proven
        if unknown and definition.is_unknown(now):
            return self.end(attempt, AttemptOutcome.REJECTED, str(error.code), error.arena_message)
        if unknown:
            self.requeue(lease, attempt, definition=definition.unknown(now))
        else:
            self.back_off_definition(lease, attempt)
        return True

    def back_off_definition(self, lease: Lease, attempt: Attempt) -> None:
        """Return an attempt's requests to pending; their definition backs off, up to an hour."""
        definition = self.ledger.definitions.read(attempt.group.export_guid).refused(
            self.clock.now(), MAX_DEFINITION_SECONDS
        )
        self.requeue(lease, attempt, definition=definition)

    def requeue(
        self,
        lease: Lease,
        attempt: Attempt,
        *,
        not_before: float = 0,
        busy: int = 0,
        definition: Definition | None = None,
    ) -> None:
        """Return an attempt's requests to pending, without the items that were rejected."""
        if attempt.rejected:
            self.end(attempt, AttemptOutcome.SET_ASIDE)
            return
        self.ledger.attempts.void(
            lease, attempt, not_before=not_before, busy=busy, definition=definition
        )


def _after_refused_items(
    attempt: Attempt, left: Selection, *, in_time: bool
) -> AttemptOutcome | None:
    """Return how an attempt ends after a refusal of items; None if the rest may be sent now."""
    if not left.item_guids:
        return AttemptOutcome.ALL_ITEMS_REFUSED
    too_often = attempt.refusals >= MAX_REFUSALS_OF_ITEMS
    if too_often or len(attempt.rejected) >= MAX_ITEMS_REJECTED:
        return AttemptOutcome.HALVED
    return None if in_time else AttemptOutcome.SET_ASIDE


def may_be_too_large(attempt: Attempt, selection: Selection) -> bool:
    """Return whether a large POST may have been refused by something other than Arena."""
    refused = 400 <= attempt.last_status < 500  # noqa: PLR2004 - the range of HTTP refusals
    refused = refused and attempt.last_status not in _NOT_ABOUT_SIZE
    if not refused or len(selection.item_guids) < 2:  # noqa: PLR2004 - what can be halved
        return False
    group = attempt.group
    body = protocol.start_run(group.export_guid, group.kind, selection.item_guids).body
    return len(body) > FIREWALL_BODY_BYTES


def _back_off(count: int, longest: int, jitter: float) -> float:
    """Return a delay in seconds: doubled each time up to the longest, with half of it random."""
    full = doubled(FIRST_BACK_OFF_SECONDS, count, longest)
    return full / 2 + full / 2 * jitter
