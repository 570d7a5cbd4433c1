"""Is it working? One word with its reason, and the figures behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from arena_exports_operator.answers import deliveries, history, timing
from arena_exports_operator.answers.reasons import Cause, Reason, stack_reasons
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Table
    from arena_exports_operator.answers.history import RunSummary
    from arena_exports_operator.answers.snapshot import Snapshot
    from arena_exports_operator.answers.stack_state import StackState

MAX_PAGES_COUNTED = 20_000
LAST_RUNS = 5


class Word(StrEnum):
    """The state of a stack in one word."""

    OK = "OK"  # nothing waits for anything but the run in progress
    WAITING = "WAITING"  # something waits, and continues without help
    DEGRADED = "DEGRADED"  # the stack works, but something needs an operator
    STALLED = "STALLED"  # nothing continues until an operator acts


_STALLED = frozenset({Cause.LOGIN_REFUSED, Cause.CREDENTIALS_UNREADABLE, Cause.RECONCILE_MISSING})
_DEGRADED = frozenset(
    {
        Cause.DEAD_LETTERS,
        Cause.DEFINITION_FAILING,
        Cause.DEFINITION_REFUSED,
        Cause.DEFINITION_UNKNOWN,
        Cause.LOGINS_COOLING_DOWN,
        Cause.RUN_OVERDUE,
    }
)
_OK = frozenset(
    {
        Cause.NEXT_RECONCILE,
        Cause.NOTHING_PENDING,
        Cause.ON_QUEUE,
        Cause.PREPARING,
        Cause.PUBLISHING,
        Cause.RUN_IN_PROGRESS,
    }
)


_WORST_FIRST = (Word.STALLED, Word.DEGRADED, Word.WAITING, Word.OK)


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """The attempt that holds the lease."""

    run_guid: str | None
    export_guid: str
    kind: str
    item_count: int
    state: str
    submitted_at: int
    elapsed_seconds: int
    expected_end_at: int | None
    next_poll_at: int | None


@dataclass(frozen=True, slots=True)
class PendingLane:
    """What is pending in a lane, including the run in progress; a definition run is one item."""

    lane: str
    item_count: int


@dataclass(frozen=True, slots=True)
class BudgetView:
    """Arena's request budget according to the last answer; `hours_left` is a forecast."""

    remaining: int | None
    reserve: int
    resets_at: int | None
    seen_at: int | None
    spent_until_at: int | None
    hours_left: float | None


@dataclass(frozen=True, slots=True)
class SessionView:
    """The session with Arena: `active`, `none`, `refused` or `cooling down`; never its id."""

    state: str
    logins_in_the_last_hour: int
    next_login_at: int | None


@dataclass(frozen=True, slots=True)
class PauseView:
    """A pause; `by_parameter` if the stack's parameter ExportsPaused is true."""

    by_parameter: bool
    until_at: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """The answer. If `pending_counted` is False, more is pending than was counted."""

    word: Word
    reasons: tuple[Reason, ...]
    at: int
    run: CurrentRun | None
    pending: tuple[PendingLane, ...]
    pending_counted: bool
    oldest_recorded_at: int | None
    intake_messages: int | None
    budget: BudgetView
    session: SessionView
    pause: PauseView | None
    last_runs: tuple[RunSummary, ...]
    dead_letters: int | None
    deliveries: int
    deliveries_back_off_until: int | None


def read_status(ledger: Ledger, table: Table, stack_state: StackState, now: float) -> Status:
    """Return the state of the stack; each part reads a bounded amount, whatever is pending."""
    seen = take_snapshot(ledger, stack_state, now)
    reasons = _with_dead_letters(stack_reasons(seen), stack_state.dead_letters or 0)
    lanes, counted = _pending(ledger)
    waiting = deliveries.pending(ledger, table, now)
    return Status(
        word=_word_of(reasons[0]),
        reasons=tuple(reasons),
        at=int(now),
        run=_current_run(seen),
        pending=lanes,
        pending_counted=counted,
        oldest_recorded_at=min((page.recorded_at for page in seen.oldest), default=None),
        intake_messages=stack_state.intake_messages,
        budget=_budget(seen),
        session=_session(seen),
        pause=_pause(seen),
        last_runs=tuple(history.list_runs(table, now, history.RunFilter(), LAST_RUNS)),
        dead_letters=stack_state.dead_letters,
        deliveries=len(waiting.deliveries),
        deliveries_back_off_until=waiting.back_off_until,
    )


def _with_dead_letters(reasons: Sequence[Reason], dead_letters: int) -> list[Reason]:
    """Return the reasons, including dead letters, with the one that decides the word first."""
    entries = counted(dead_letters, "entry")
    text = f"The dead-letter queue has {entries}: see `arena-exports dead-letters list`."
    found = [*reasons, *([Reason(Cause.DEAD_LETTERS, text)] if dead_letters else [])]
    return sorted(found, key=lambda reason: _WORST_FIRST.index(_word_of(reason)))


def _word_of(reason: Reason) -> Word:
    if reason.cause in _STALLED:
        return Word.STALLED
    if reason.cause in _DEGRADED:
        return Word.DEGRADED
    return Word.OK if reason.cause in _OK else Word.WAITING


def _current_run(seen: Snapshot) -> CurrentRun | None:
    attempt = seen.attempt
    if attempt is None:
        return None
    definition, limits = seen.definition(attempt.group), seen.stack_state.poll_limits
    running = attempt.state == "running"
    return CurrentRun(
        run_guid=attempt.run_guid,
        export_guid=attempt.group.export_guid,
        kind=attempt.group.kind.value,
        item_count=attempt.item_count - len(attempt.rejected),
        state=attempt.state.value,
        submitted_at=attempt.sent_at,
        elapsed_seconds=round(seen.now - (attempt.started_at or attempt.sent_at)),
        expected_end_at=timing.expected_end(attempt, definition) if running else None,
        next_poll_at=timing.next_poll(attempt, definition, seen.budget, limits, seen.now)
        if running
        else None,
    )


def _pending(ledger: Ledger) -> tuple[tuple[PendingLane, ...], bool]:
    """Return the pending items of each lane, and whether all pages were counted."""
    items: Counter[str] = Counter()
    pages = list(islice(ledger.requests.pending(), MAX_PAGES_COUNTED + 1))
    for page in pages[:MAX_PAGES_COUNTED]:
        items[page.group.lane.value] += max(page.size - page.position, 1)
    lanes = tuple(PendingLane(lane, count) for lane, count in sorted(items.items()))
    return lanes, len(pages) <= MAX_PAGES_COUNTED


def _budget(seen: Snapshot) -> BudgetView:
    budget = seen.budget
    spent = budget.spent_until if budget.spent_until > seen.now else None
    return BudgetView(
        remaining=budget.remaining,
        reserve=seen.stack_state.reserve,
        resets_at=budget.resets_at,
        seen_at=budget.seen_at or None,
        spent_until_at=spent,
        hours_left=budget.hours_left(),
    )


def _session(seen: Snapshot) -> SessionView:
    session, now = seen.session, seen.now
    waits = session.not_before > now
    recent = sum(1 for at in session.logins if at > now - 3600)
    if session.refused_version:
        state = "refused"
    elif session.version:
        state = "active"
    else:
        state = "cooling down" if waits else "none"
    return SessionView(state, recent, session.not_before if waits else None)


def _pause(seen: Snapshot) -> PauseView | None:
    by_parameter = seen.stack_state.paused_by_parameter
    if seen.pause is None:
        return PauseView(by_parameter=True, until_at=None) if by_parameter else None
    return PauseView(by_parameter=by_parameter, until_at=seen.pause.until or None)
