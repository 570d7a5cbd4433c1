"""Start the next export run, or move on what is stuck; batches, schedules and last steps alike.

The slot says what is to be done: idle - gather and POST; submitting and expired - look whether the
POST that was under way came to a run; running - make sure that somebody watches it. An expired
lease is permission to look, never permission to POST (R3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.adoption import SECONDS_BEFORE_A_LOOK
from arena_exports.errors import (
    ArenaAnswerError,
    ConditionFailedError,
    CriteriaRefusedError,
    ExportInProgressError,
    ItemsRefusedError,
    NotNowError,
    RequestNotCompletedError,
    TooManyItemsError,
)
from arena_exports.ledger.attempts import AttemptState, Outcome, Result
from arena_exports.ledger.items import SlotState
from arena_exports.model import Lane
from arena_exports.runs import zulu
from arena_exports.turns import next_head

if TYPE_CHECKING:
    from arena_exports.adoption import Adoption
    from arena_exports.arena import Arena
    from arena_exports.deadline import Deadline
    from arena_exports.ledger import Ledger
    from arena_exports.ledger.attempts import Attempt
    from arena_exports.ledger.definitions import Definition
    from arena_exports.ledger.items import Lease
    from arena_exports.model import ExportGuid, Selection
    from arena_exports.outcomes import Outcomes
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.publication import Publication
    from arena_exports.watching import Watch

BREATH_SECONDS = 2.0
MOST_REFUSALS_OF_ITEMS = 10
ITEMS_REJECTED_AT_ONCE = 100
MOST_ITEMS_REJECTED = 5_000  # of one attempt, whose item notes them
# A POST may take as long as the HTTP time-out, and what follows it a little.
SECONDS_FOR_A_POST = 45
FIRST_BACK_OFF_SECONDS = 30
LONGEST_BUSY_SECONDS = 600
LONGEST_DEFINITION_SECONDS = 3600


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
        again = self._adoption.look(lease, attempt)
        if again is None:
            return False
        lease, attempt = again
        if self._paused:
            self._give_back(lease, attempt)
            return False
        return self._post(lease, attempt, self._ledger.selection(attempt), deadline)

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
        try:
            run = self._arena.start_run(group.export_guid, group.kind, selection.item_guids)
        except RequestNotCompletedError as exc:
            self._telemetry.count("UnknownPosts")
            self._telemetry.warn(
                "whether a run was started is not known", attempt=attempt.attempt_id, error=str(exc)
            )
            self._adoption.look_later(lease, attempt, SECONDS_BEFORE_A_LOOK)
            return False
        except ItemsRefusedError as exc:
            return self._refuse_items(lease, attempt, selection, exc, deadline)
        except TooManyItemsError as exc:
            return self._shrink(lease, attempt, selection, exc)
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

    def _shrink(
        self, lease: Lease, attempt: Attempt, selection: Selection, error: TooManyItemsError
    ) -> bool:
        """Send half as many next time; a single item that is too large alone is rejected."""
        items = selection.item_guids
        self._telemetry.warn("run too large", items=len(items), errorCode=error.code)
        if len(items) <= 1:
            return self._end(
                attempt, Outcome.REJECTED, str(error.code or error.status), error.arena_message
            )
        if attempt.rejected or attempt.group.lane is Lane.SUSPECT:
            return self._end(attempt, Outcome.HALVED)
        definition = self._ledger.definitions.read(attempt.group.export_guid).too_large(len(items))
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
        if attempt.follows_unknown:
            self._adoption.look_later(lease, attempt)
            return False
        seconds = _back_off(lease.busy, LONGEST_BUSY_SECONDS, self._clock.jitter())
        self._give_back(lease, attempt, not_before=self._clock.now() + seconds, busy=lease.busy + 1)
        return False

    def _wait_for_definition(self, lease: Lease, attempt: Attempt, error: ArenaAnswerError) -> bool:
        """Keep the requests of a definition that is refused; others may go at once."""
        self._telemetry.count("DefinitionRefused")
        self._telemetry.warn(
            "export definition refused", exportGuid=attempt.group.export_guid, error=str(error)
        )
        definition = self._ledger.definitions.read(attempt.group.export_guid).refused(
            self._clock.now(), LONGEST_DEFINITION_SECONDS
        )
        self._give_back(lease, attempt, definition=definition)
        return True

    def _come_back(self, lease: Lease, attempt: Attempt, seconds: int) -> bool:
        """Nothing was started, and nothing can be for a while."""
        if attempt.follows_unknown:
            self._adoption.look_later(lease, attempt, seconds)
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


def _back_off(count: int, longest: int, jitter: float) -> float:
    """Return a delay in seconds: doubled each time up to the longest, half of it at random."""
    full = min(FIRST_BACK_OFF_SECONDS * 2.0 ** min(count, 20), longest)
    return full / 2 + full / 2 * jitter
