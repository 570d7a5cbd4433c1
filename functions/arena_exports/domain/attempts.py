"""An attempt: what is submitted, recorded before the POST, and the run that it becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.domain.model import (
        AttemptId,
        Group,
        ItemGuid,
        PageSlice,
        RunGuid,
        Selection,
        SetHistory,
    )


class AttemptState(StrEnum):
    """How far an attempt has come."""

    SENDING = "sending"  # a POST may be in progress, or its answer is unknown
    RUNNING = "running"  # Arena answered with a run
    ENDED = "ended"  # the outcome is known and not yet published
    SETTLED = "settled"  # published and settled, set aside, or given up
    VOID = "void"  # it led to no run, or to an unreadable one: its requests are pending
    REPLACED = "replaced"  # two searches found no run: another attempt has its contents


class AttemptOutcome(StrEnum):
    """How an attempt ended; the first four are Arena's statuses."""

    COMPLETE = "COMPLETE"
    DOWNLOADED = "DOWNLOADED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    NO_FILES = "NoFiles"
    UNREADABLE = "Unreadable"
    REJECTED = "Rejected"  # the POST was refused for all items, for good
    ALL_ITEMS_REFUSED = "AllItemsRefused"  # Arena refused every item by name; they were rejected
    SET_ASIDE = "SetAside"  # no run: what is left is submitted again on its own
    HALVED = "Halved"  # no run: what is left is submitted in halves


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended; `error_code` and `error_message` are "" without an error."""

    outcome: AttemptOutcome
    status: str = ""
    criteria_results_count: int | None = None
    creation_date_time: str | None = None
    completion_date_time: str | None = None
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt.

    Times are epoch seconds on our clock. `sent_at` is the last time a POST was sent,
    `first_sent_at` the first one whose outcome is unknown: a run that is adopted was created after
    it. `refusals` counts POSTs that Arena refused because of named items. `unanswered` counts POSTs
    in a row without a run or a definite code, including the last one; `last_status` is the HTTP
    status of that one's answer, 0 for none. `searches` counts searches that found nothing,
    `refused_searches` those in a row that Arena refused. `rejected` are items that Arena refused by
    name; they are settled and not part of the run.
    """

    attempt_id: AttemptId
    group: Group
    slices: tuple[PageSlice, ...]
    history: SetHistory
    item_count: int
    state: AttemptState
    sent_at: int
    first_sent_at: int
    refusals: int = 0
    searches: int = 0
    rejected: frozenset[ItemGuid] = frozenset()
    run_guid: RunGuid | None = None
    run_number: int | None = None
    started_at: int = 0
    execution_number: int = 1
    result: RunResult | None = None
    unanswered: int = 1
    last_status: int = 0
    refused_searches: int = 0

    @property
    def follows_unknown(self) -> bool:
        """Whether an earlier POST with these contents may still yield a run."""
        return self.first_sent_at < self.sent_at


def new_attempt(attempt_id: AttemptId, selection: Selection, now: float) -> Attempt:
    """Return the attempt to submit a selection."""
    return Attempt(
        attempt_id=attempt_id,
        group=selection.group,
        slices=selection.slices,
        history=selection.history,
        item_count=len(selection.item_guids),
        state=AttemptState.SENDING,
        sent_at=int(now),
        first_sent_at=int(now),
    )


def successor(old: Attempt, attempt_id: AttemptId, now: float) -> Attempt:
    """Return a new attempt with the contents of `old`, for whose POST two searches found no run."""
    return replace(
        old,
        attempt_id=attempt_id,
        state=AttemptState.SENDING,
        sent_at=int(now),
        searches=0,
        unanswered=old.unanswered + 1,
        last_status=0,
        refused_searches=0,
    )
