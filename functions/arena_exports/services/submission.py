"""Start the next export run, or move on what is stuck; batches, schedules and last steps alike.

The slot says what is to be done: idle - gather and POST; submitting and expired - look whether the
POST that was under way came to a run; running - make sure that somebody watches it. An expired
lease is permission to look, never permission to POST (R3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.domain.attempts import AttemptState, Outcome, Result
from arena_exports.domain.errors import (
    ArenaAnswerError,
    ConditionFailedError,
    CriteriaRefusedError,
    DefinitionUnknownError,
    ExportInProgressError,
    ItemsRefusedError,
    NotNowError,
    RequestNotCompletedError,
    TooManyItemsError,
)
from arena_exports.domain.lease import SlotState
from arena_exports.domain.model import Lane
from arena_exports.domain.times import zulu
from arena_exports.services.adoption import SECONDS_BEFORE_A_LOOK, Finding
from arena_exports.services.fairness import next_head

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
    from arena_exports.services.monitoring import Watch
    from arena_exports.services.publication import Publication
    from arena_exports.services.rejections import Outcomes

BREATH_SECONDS = 2.0
MOST_REFUSALS_OF_ITEMS = 10
ITEMS_REJECTED_AT_ONCE = 100
MOST_ITEMS_REJECTED = 5_000  # of one attempt, whose item notes them
# A POST may take as long as the HTTP time-out, and what follows it a little.
SECONDS_FOR_A_POST = 45
FIRST_BACK_OFF_SECONDS = 30
LONGEST_BUSY_SECONDS = 600
LONGEST_DEFINITION_SECONDS = 3600
POSTS_THAT_SUFFICE = 3  # in a row, without a run: the attempt has failed (R3)
# A firewall that checks bodies up to a size refuses larger ones with a page of its own.
FIREWALL_BODY_BYTES = 8_192
_NO_RUN = "Arena started no run and gave no reason, each time that it was asked for these items"


class Submission:
    """Submits export runs, one at a time."""

    def __init__(  # noqa: PLR0913 - the parts that it works with
        self,
        *,
        ledger: Ledger,
        arena: Arena,
        adoption: Adoption,
        watch: Watch,
        publication: Publication,
        outcomes: Outcomes,
        clock: Clock,
        telemetry: Telemetry,
        max_items: int,
        paused: bool,
    ) -> None:
        self._ledger = ledger
        self._arena = arena
        self._adoption = adoption
        self._watch = watch
        self._publication = publication
        self._outcomes = outcomes
        self._clock = clock
        self._telemetry = telemetry
        self._max_items = max_items
        self._paused = paused

    def dispatch(self, deadline: Deadline, *, breathe: bool) -> None:
        """Do what the slot asks for; leave where there is nothing to do, or somebody else does it.

        Args:
            deadline: when this function must be done.
            breathe: whether batches that are being recorded at this moment should catch up first.
        """
        try:
            while deadline.allows(SECONDS_FOR_A_POST) and self._step(deadline, breathe=breathe):
                breathe = False
        except ConditionFailedError:
            self._telemetry.event("lease lost to somebody else")

    def _step(self, deadline: Deadline, *, breathe: bool) -> bool:
        """Do one thing; say whether another look at the slot is worth while."""
        lease, now = self._ledger.lease.read(), self._clock.now()
        if lease.state is SlotState.RUNNING:
            self._watch.ensure(lease)
            return False
        idle = lease.state is SlotState.IDLE
        until = lease.not_before if idle else lease.expires_at
        if until > now:
            reason = "the slot rests" if idle else "a POST is under way or looked for"
            self._telemetry.event("no run now", reason=reason, until=zulu(until))
            return False
        if idle:
            return self._start_next(lease, deadline, breathe=breathe)
        return self._take_over(lease, deadline)

    def _take_over(self, seen: Lease, deadline: Deadline) -> bool:
        """Go on where the holder of an expired lease stopped."""
        lease = self._ledger.lease.take(seen)
        if lease.attempt_id is None:
            self._ledger.lease.release(lease)
            return True
        attempt = self._ledger.lease.attempt(lease.attempt_id)
        if attempt.state is AttemptState.ENDED:
            self._publication.conclude(attempt)
            return True
        match self._adoption.look(lease, attempt):
            case Finding.NO_RUN:
                return self._after_no_run(lease, attempt, deadline)
            case Finding.REFUSED:
                return self._write_off(lease, attempt)
        return False

    def _after_no_run(self, lease: Lease, attempt: Attempt, deadline: Deadline) -> bool:
        """POST once more where no run came of the last POST; say when that makes no sense."""
        now, selection = self._clock.now(), self._ledger.selection(attempt)
        definition = self._ledger.definitions.read(attempt.group.export_guid)
        if _may_be_too_large(attempt, selection):
            return self._shrink(lease, attempt, selection)
        if attempt.unanswered >= (1 if definition.in_doubt else POSTS_THAT_SUFFICE):
            return self._end(attempt, Outcome.FAILED, "RunFailed", _NO_RUN)
        no_trial = not definition.proven and self._ledger.definitions.trials().spent(now)
        if self._paused or no_trial:
            self._give_back(lease, attempt)
            return False
        lease, attempt = self._ledger.lease.begin_again(lease, attempt)
        return self._post(lease, attempt, selection, deadline)

    def _write_off(self, lease: Lease, attempt: Attempt) -> bool:
        """Give up the search for a run where Arena keeps refusing the list of runs.

        A run that was started all the same answers the next POST with 3144 until it has ended.
        """
        self._telemetry.count("RunsUnreadable")
        self._telemetry.warn("search for a run is given up", attempt=attempt.attempt_id)
        self._keep_waiting(lease, attempt)
        return True

    def _start_next(self, seen: Lease, deadline: Deadline, *, breathe: bool) -> bool:
        if next_head(self._ledger, seen.lane, self._clock.now()) is None:
            return False
        if self._paused:
            self._telemetry.event("no run now", reason="exports are paused")
            return False
        try:
            self._arena.check_budget_for_run()
        except NotNowError as exc:
            self._telemetry.event("no run now", reason=exc.reason)
            return False
        lease = self._ledger.lease.take(seen)
        if breathe:
            self._clock.sleep(BREATH_SECONDS)
        head = next_head(self._ledger, lease.lane, self._clock.now())
        if head is None:
            self._ledger.lease.release(lease)
            return False
        selection = self._ledger.requests.select(
            head, self._limit(head.group.export_guid, head.group.lane)
        )
        lease, attempt = self._ledger.lease.begin(lease, selection)
        return self._post(lease, attempt, selection, deadline)

    def _limit(self, export_guid: ExportGuid, lane: Lane) -> int:
        if lane is Lane.SUSPECT:
            return 10**9  # a suspect set goes as the whole that it is
        known = self._ledger.definitions.read(export_guid).limit
        return min(known or self._max_items, self._max_items)

    def _post(  # noqa: PLR0911 - one line for each answer
        self, lease: Lease, attempt: Attempt, selection: Selection, deadline: Deadline
    ) -> bool:
        """POST the attempt, and act on the answer; say whether another step is worth while now."""
        group = attempt.group
        self._count_trial(group.export_guid)
        try:
            run = self._arena.start_run(group.export_guid, group.kind, selection.item_guids)
        except RequestNotCompletedError as exc:
            self._telemetry.count("UnknownPosts")
            self._telemetry.warn(
                "whether a run was started is not known", attempt=attempt.attempt_id, error=str(exc)
            )
            attempt = replace(attempt, last_status=exc.status)
            self._adoption.look_later(lease, attempt, SECONDS_BEFORE_A_LOOK)
            return False
        except ItemsRefusedError as exc:
            return self._refuse_items(lease, attempt, selection, exc, deadline)
        except TooManyItemsError as exc:
            return self._refuse_size(lease, attempt, selection, exc)
        except CriteriaRefusedError as exc:
            return self._end(attempt, Outcome.REJECTED, str(exc.code), exc.arena_message)
        except ExportInProgressError:
            return self._wait_for_slot(lease, attempt)
        except ArenaAnswerError as exc:
            return self._wait_for_definition(lease, attempt, exc)
        except NotNowError as exc:
            self._telemetry.event("no run now", reason=exc.reason)
            return self._come_back(lease, attempt, exc.retry_after_seconds)
        running = self._ledger.lease.started(lease, attempt, run)
        self._watch.begin(running, len(selection.item_guids))
        return False

    def _count_trial(self, export_guid: ExportGuid) -> None:
        """Count a POST for a definition of which no run has succeeded yet: they share a few."""
        if not self._ledger.definitions.read(export_guid).proven:
            self._ledger.definitions.count_trial(self._clock.now())

    def _refuse_items(
        self,
        lease: Lease,
        attempt: Attempt,
        selection: Selection,
        error: ItemsRefusedError,
        deadline: Deadline,
    ) -> bool:
        """Take out the items that Arena named, and send the rest, halved when they are too many."""
        attempt = self._reject_items(lease, attempt, selection, error)
        left = selection.without(attempt.rejected)
        if not left.item_guids:
            return self._end(attempt, Outcome.ALL_ITEMS_REFUSED)
        too_often = attempt.refusals >= MOST_REFUSALS_OF_ITEMS
        if too_often or len(attempt.rejected) >= MOST_ITEMS_REJECTED:
            return self._end(attempt, Outcome.HALVED)
        if not deadline.allows(SECONDS_FOR_A_POST):
            return self._end(attempt, Outcome.SET_ASIDE)
        return self._post(lease, attempt, left, deadline)

    def _reject_items(
        self, lease: Lease, attempt: Attempt, selection: Selection, error: ItemsRefusedError
    ) -> Attempt:
        """Say it and write it down for some items at a time: a restart goes on from there."""
        attempt = replace(attempt, refusals=attempt.refusals + 1)
        item_guids = error.item_guids[: MOST_ITEMS_REJECTED - len(attempt.rejected)]
        for start in range(0, len(item_guids), ITEMS_REJECTED_AT_ONCE):
            named = frozenset(item_guids[start : start + ITEMS_REJECTED_AT_ONCE])
            entries = selection.only(named)
            self._outcomes.reject(attempt.group, entries, str(error.code), error.arena_message)
            attempt = self._ledger.lease.reject_items(lease, attempt, named)
        return attempt

    def _refuse_size(
        self, lease: Lease, attempt: Attempt, selection: Selection, error: TooManyItemsError
    ) -> bool:
        """Send fewer items next time; a single item that is too large alone is rejected."""
        if len(selection.item_guids) > 1:
            return self._shrink(lease, attempt, selection)
        return self._end(
            attempt, Outcome.REJECTED, str(error.code or error.status), error.arena_message
        )

    def _shrink(self, lease: Lease, attempt: Attempt, selection: Selection) -> bool:
        """Send half as many next time."""
        items = len(selection.item_guids)
        self._telemetry.warn("run too large", items=items, attempt=attempt.attempt_id)
        if attempt.rejected or attempt.group.lane is Lane.SUSPECT:
            return self._end(attempt, Outcome.HALVED)
        definition = self._ledger.definitions.read(attempt.group.export_guid).too_large(items)
        self._ledger.lease.abandon(lease, attempt, definition=definition)
        return True

    def _end(self, attempt: Attempt, outcome: Outcome, code: str = "", message: str = "") -> bool:
        """Write down what comes of an attempt without a run, for whoever takes over; then do it."""
        result = Result(outcome, error_code=code, error_message=message)
        self._publication.conclude(self._ledger.lease.ended(attempt, result))
        return True

    def _wait_for_slot(self, lease: Lease, attempt: Attempt) -> bool:
        """Wait for an export in progress (3144): ours of an unknown POST, or a stranger's."""
        self._telemetry.count("LeaseWaits")
        self._telemetry.event("another export is in progress", attempt=attempt.attempt_id)
        seconds = _back_off(lease.busy, LONGEST_BUSY_SECONDS, self._clock.jitter())
        if attempt.follows_unknown:
            busy = replace(lease, busy=lease.busy + 1)
            self._adoption.look_later(busy, _answered(attempt), seconds)
            return False
        self._give_back(lease, attempt, not_before=self._clock.now() + seconds, busy=lease.busy + 1)
        return False

    def _wait_for_definition(self, lease: Lease, attempt: Attempt, error: ArenaAnswerError) -> bool:
        """Keep the requests of a definition that is refused; others may go at once."""
        self._telemetry.count("DefinitionRefused")
        self._telemetry.warn(
            "export definition refused", exportGuid=attempt.group.export_guid, error=str(error)
        )
        unknown = isinstance(error, DefinitionUnknownError)
        definition, now = (
            self._ledger.definitions.read(attempt.group.export_guid),
            self._clock.now(),
        )
        if unknown and definition.is_unknown(now):
            return self._end(attempt, Outcome.REJECTED, str(error.code), error.arena_message)
        if unknown and not definition.proven:
            self._give_back(lease, attempt, definition=definition.unknown(now))
        else:
            self._keep_waiting(lease, attempt)
        return True

    def _keep_waiting(self, lease: Lease, attempt: Attempt) -> None:
        """Return an attempt's requests to pending; their definition backs off, up to an hour."""
        definition = self._ledger.definitions.read(attempt.group.export_guid).refused(
            self._clock.now(), LONGEST_DEFINITION_SECONDS
        )
        self._give_back(lease, attempt, definition=definition)

    def _come_back(self, lease: Lease, attempt: Attempt, seconds: int) -> bool:
        """Nothing was started, and nothing can be for a while."""
        if attempt.follows_unknown:
            self._adoption.look_later(lease, _answered(attempt), seconds)
        else:
            self._give_back(lease, attempt, not_before=self._clock.now() + seconds, busy=lease.busy)
        return False

    def _give_back(
        self,
        lease: Lease,
        attempt: Attempt,
        *,
        not_before: float = 0,
        busy: int = 0,
        definition: Definition | None = None,
    ) -> None:
        """Have what an attempt carries pend again, without the items that are rejected already."""
        if attempt.rejected:
            self._end(attempt, Outcome.SET_ASIDE)
            return
        self._ledger.lease.abandon(
            lease, attempt, not_before=not_before, busy=busy, definition=definition
        )


def _answered(attempt: Attempt) -> Attempt:
    """Return an attempt whose last POST was answered by a wait, and so does not count."""
    return replace(attempt, unanswered=attempt.unanswered - 1)


def _may_be_too_large(attempt: Attempt, selection: Selection) -> bool:
    """Tell whether a large POST was refused by something that is not Arena."""
    refused = 400 <= attempt.last_status < 500  # noqa: PLR2004 - the range of HTTP refusals
    if not refused or len(selection.item_guids) < 2:  # noqa: PLR2004 - what can be halved
        return False
    group = attempt.group
    body = protocol.start_run(group.export_guid, group.kind, selection.item_guids).body
    return len(body) > FIREWALL_BODY_BYTES


def _back_off(count: int, longest: int, jitter: float) -> float:
    """Return a delay in seconds: doubled each time up to the longest, half of it at random."""
    full = min(FIRST_BACK_OFF_SECONDS * 2.0 ** min(count, 20), longest)
    return full / 2 + full / 2 * jitter
