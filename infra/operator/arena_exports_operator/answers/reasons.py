"""Why something waits: one sentence for each state, with the time of the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.definitions import MAX_TRIALS_A_DAY, SECONDS_BETWEEN_TRIALS
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import Kind, Lane
from arena_exports.domain.times import format_utc
from arena_exports.services.adoption import SEARCHES_REQUIRED
from arena_exports.services.login import LOGINS_BEFORE_COOL_DOWN
from arena_exports_operator.answers import timing
from arena_exports_operator.answers.words import counted, without_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.model import Group
    from arena_exports_operator.answers.snapshot import Snapshot

RECONCILE_SECONDS = 60
# Reconcile runs every minute. If it is this late, it is not working.
STALLED_SECONDS = 300


class Cause(StrEnum):
    """Why something waits, or how it ended; the values are part of the JSON output."""

    NOTHING_PENDING = "NothingPending"
    ON_QUEUE = "OnQueue"
    RUN_IN_PROGRESS = "RunInProgress"
    RUN_OVERDUE = "RunOverdue"
    PUBLISHING = "Publishing"
    PREPARING = "Preparing"
    POST_UNRESOLVED = "PostUnresolved"
    PAUSED = "Paused"
    PAUSED_BY_PARAMETER = "PausedByParameter"
    ARENA_BUSY = "ArenaBusy"
    BACKING_OFF = "BackingOff"
    BUDGET_SPENT = "BudgetSpent"
    RATE_LIMITED = "RateLimited"
    BUDGET_RESERVED = "BudgetReserved"
    LOGIN_REFUSED = "LoginRefused"
    CREDENTIALS_UNREADABLE = "CredentialsUnreadable"
    LOGINS_COOLING_DOWN = "LoginsCoolingDown"
    LOGIN_FAILED = "LoginFailed"
    DEFINITION_REFUSED = "DefinitionRefused"
    DEFINITION_UNKNOWN = "DefinitionUnknown"
    DEFINITION_FAILING = "DefinitionFailing"
    DEFINITION_UNPROVEN = "DefinitionUnproven"
    SUSPECT_SET = "SuspectSet"
    NEXT_RECONCILE = "NextReconcile"
    RECONCILE_MISSING = "ReconcileMissing"
    DELIVERING = "Delivering"
    DEAD_LETTERS = "DeadLetters"
    EXPORTED = "Exported"
    DEAD_LETTER = "DeadLetter"


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence, and the time of the next attempt or check (None: unknown, or never)."""

    cause: Cause
    sentence: str
    next_at: int | None = None


def group_reasons(seen: Snapshot, group: Group) -> list[Reason]:
    """Return why pending requests of a group wait, the decisive reason first."""
    return list(_reasons(seen, group)) or [_reconcile_reason(seen, group)]


def stack_reasons(seen: Snapshot) -> list[Reason]:
    """Return why nothing moves, the decisive reason first: that of the group that may go first."""
    if seen.attempt is not None and not _stops_everything(seen):
        return [attempt_reason(seen, seen.attempt), *filter(None, [_pause_reason(seen)])]
    if not seen.oldest:
        return [
            _lease_reason(seen) or _nothing_pending_reason(seen),
            *filter(None, [_pause_reason(seen)]),
        ]
    groups = [pending.group for pending in seen.oldest]
    return group_reasons(seen, min(groups, key=seen.ready_at))


def _stops_everything(seen: Snapshot) -> bool:
    """Report whether not even the run in progress can be polled."""
    return _refused_login_reason(seen) is not None


def _reasons(seen: Snapshot, group: Group) -> Iterator[Reason]:
    """Yield why a group waits; those after the first may apply at the same time."""
    definition, ready = seen.definition(group), seen.ready_at(group) <= seen.now
    yield from filter(None, [_refused_login_reason(seen), _pause_reason(seen)])
    own = _definition_reason(seen, definition) or _suspects_reason(seen, definition, group)
    if own and not ready:
        yield own
    yield from filter(None, (reason(seen) for reason in _GENERAL))
    if own and ready:
        yield own
    if not definition.proven and not seen.trials.allow(seen.now):
        yield _trials_reason(seen, definition)


def _refused_login_reason(seen: Snapshot) -> Reason | None:
    session = seen.session
    if not session.refused_version:
        return None
    if session.refused_code == "CredentialsUnreadable":
        return Reason(
            Cause.CREDENTIALS_UNREADABLE,
            "The credentials secret cannot be read. It is read again at each reconcile, once a "
            "minute.",
            _within_a_minute(seen),
        )
    return Reason(
        Cause.LOGIN_REFUSED,
        f"The login was refused ({session.refused_code}). It is retried within two minutes after "
        "the credentials secret gets a new version, not before.",
    )


def _pause_reason(seen: Snapshot) -> Reason | None:
    if seen.pause is not None:
        pause = seen.pause
        until = f"until {format_utc(pause.until)}" if pause.until else "until somebody resumes"
        return Reason(
            Cause.PAUSED,
            f"Exports are paused {until} by {without_addresses(pause.by)} "
            f'("{without_addresses(pause.reason)}"): requests are recorded, and no new run starts.',
            pause.until or None,
        )
    if seen.stack_state.paused_by_parameter:
        return Reason(
            Cause.PAUSED_BY_PARAMETER,
            "Exports are paused by the stack's parameter ExportsPaused: requests are recorded, and "
            "no new run starts until the parameter is false.",
        )
    return None


def _definition_reason(seen: Snapshot, definition: Definition) -> Reason | None:
    name, at = definition.export_guid, definition.not_before
    if definition.refusals:
        return Reason(
            Cause.DEFINITION_REFUSED,
            f"Arena refuses export definition {name} (consecutive refusals: "
            f"{definition.refusals}). It is tried again {_when(seen, at)}.",
            at,
        )
    if definition.unknown_at:
        return Reason(
            Cause.DEFINITION_UNKNOWN,
            f"Arena does not know export definition {name}. It is tried once more, "
            f"{_when(seen, at)}; then its requests are rejected.",
            at,
        )
    if at > seen.now:
        return Reason(
            Cause.DEFINITION_FAILING,
            f"The last {definition.failures} attempts for export definition {name} failed. It is "
            f"tried again {_when(seen, at)}.",
            at,
        )
    return None


def _suspects_reason(seen: Snapshot, definition: Definition, group: Group) -> Reason | None:
    if group.lane is not Lane.SUSPECT:
        return None
    at = definition.suspects_not_before
    return Reason(
        Cause.SUSPECT_SET,
        "An attempt with these items failed, so they are retried separately, then in halves, "
        f"{_when(seen, at)} (consecutive failed attempts for export definition "
        f"{definition.export_guid}: {definition.failures}).",
        at or None,
    )


def _when(seen: Snapshot, at: int) -> str:
    return f"at {format_utc(at)}" if at > seen.now else "when its turn comes"


def _lease_reason(seen: Snapshot) -> Reason | None:
    lease = seen.lease
    if seen.attempt is not None:
        return attempt_reason(seen, seen.attempt)
    if lease.state is LeaseState.IDLE:
        return None
    if lease.held_until < seen.now - STALLED_SECONDS:
        return _missing_reconcile_reason()
    return Reason(
        Cause.PREPARING,
        f"The next run is being prepared, which ends by {format_utc(lease.held_until)}.",
        lease.held_until,
    )


def attempt_reason(seen: Snapshot, attempt: Attempt, *, own: bool = False) -> Reason:
    """Return the progress of the attempt that holds the lease, for which everything pending waits.

    With `own`, the attempt carries the request in question.
    """
    if attempt.state is AttemptState.ENDED:
        name = f"run {attempt.run_guid}" if attempt.run_guid else "an attempt"
        return Reason(
            Cause.PUBLISHING,
            f"{_carrier(name, attempt, own=own)} has ended and is being published.",
            _within_a_minute(seen),
        )
    if seen.lease.state is LeaseState.RUNNING:
        return _run_reason(seen, attempt, own=own)
    return _unknown_post_reason(seen, attempt, own=own)


def _run_reason(seen: Snapshot, attempt: Attempt, *, own: bool) -> Reason:
    definition = seen.definition(attempt.group)
    end = timing.expected_end(attempt, definition)
    limits = seen.stack_state.poll_limits
    poll = timing.next_poll(attempt, definition, seen.budget, limits, seen.now)
    expected = (
        f"is expected to end at about {format_utc(end)}" if end else "has no estimated end yet"
    )
    overdue = seen.now - attempt.started_at > seen.stack_state.run_timeout_seconds
    late = " It is overdue: check it in Arena." if overdue else ""
    return Reason(
        Cause.RUN_OVERDUE if overdue else Cause.RUN_IN_PROGRESS,
        f"{_carrier(f'run {attempt.run_guid}', attempt, own=own)} has been in progress "
        f"since {format_utc(attempt.started_at)}, {expected}, and is polled next at about "
        f"{format_utc(poll)}.{late}",
        poll,
    )


def _carrier(name: str, attempt: Attempt, *, own: bool) -> str:
    """Return the subject of a sentence about an attempt; `own`: of the request in question."""
    full = f"{name} {contents(attempt)}"
    return f"It is part of {full}, which" if own else full[0].upper() + full[1:]


def _unknown_post_reason(seen: Snapshot, attempt: Attempt, *, own: bool) -> Reason:
    at = seen.lease.held_until
    if at < seen.now - STALLED_SECONDS:
        return _missing_reconcile_reason()
    next_at = at if at > seen.now else _within_a_minute(seen)
    return Reason(
        Cause.POST_UNRESOLVED,
        f"{_carrier('a POST', attempt, own=own)} was sent at "
        f"{format_utc(attempt.sent_at)}, and it is not known whether it started a run. Arena's "
        f"runs are searched next at {format_utc(next_at)} (searches without a result: "
        f"{attempt.searches} of {SEARCHES_REQUIRED}, failed searches: "
        f"{seen.lease.failed_searches}).",
        next_at,
    )


def contents(attempt: Attempt) -> str:
    """Return what an attempt carries, in words."""
    items = counted(attempt.item_count - len(attempt.rejected), "item")
    what = "its own criteria" if attempt.group.kind is Kind.DEFINITION else items
    return f"of export definition {attempt.group.export_guid} ({what})"


def _budget_reason(seen: Snapshot) -> Reason | None:
    budget, reserve = seen.budget, seen.stack_state.reserve
    if budget.spent_until > seen.now and budget.remaining != 0:
        return Reason(
            Cause.RATE_LIMITED,
            "Too many requests were sent to Arena at once (429). The next one follows at "
            f"{format_utc(budget.spent_until)}.",
            budget.spent_until,
        )
    if budget.spent_until > seen.now:
        return Reason(
            Cause.BUDGET_SPENT,
            f"The day's Arena requests are used up until {format_utc(budget.spent_until)}.",
            budget.spent_until,
        )
    wait = budget.wait_seconds(seen.now, reserve)
    if not wait:
        return None
    at = round(seen.now + wait)
    return Reason(
        Cause.BUDGET_RESERVED,
        f"Only {budget.remaining} of the day's Arena requests were left at "
        f"{format_utc(budget.seen_at)}, and new runs stop at {reserve} (RequestBudgetReserve). "
        f"They resume at {format_utc(at)}.",
        at,
    )


def _session_reason(seen: Snapshot) -> Reason | None:
    """Return why there is no session, if that keeps runs from starting."""
    session, lease = seen.session, seen.lease
    lacks_session = not session.version or (lease.not_before > seen.now and not lease.busy)
    if session.not_before <= seen.now or not lacks_session:
        return None
    at = session.not_before
    if len(session.logins) >= LOGINS_BEFORE_COOL_DOWN:
        return Reason(
            Cause.LOGINS_COOLING_DOWN,
            "Somebody else logs in as the machine user, which ends its session: the next login "
            f"follows at {format_utc(at)}.",
            at,
        )
    return Reason(
        Cause.LOGIN_FAILED,
        "The last login failed because Arena did not answer, or locked the account for five "
        f"minutes. It is tried again at {format_utc(at)}.",
        at,
    )


def _back_off_reason(seen: Snapshot) -> Reason | None:
    lease = seen.lease
    if lease.state is not LeaseState.IDLE or lease.not_before <= seen.now:
        return None
    at = format_utc(lease.not_before)
    if lease.busy:
        return Reason(
            Cause.ARENA_BUSY,
            "Arena runs one export at a time, and another one is in progress (3144 answers: "
            f"{lease.busy}). The next attempt follows at {at}.",
            lease.not_before,
        )
    return Reason(
        Cause.BACKING_OFF,
        f"The last attempt did not succeed; the next one follows at {at}.",
        lease.not_before,
    )


_GENERAL: tuple[Callable[[Snapshot], Reason | None], ...] = (
    _lease_reason,
    _budget_reason,
    _session_reason,
    _back_off_reason,
)


def _trials_reason(seen: Snapshot, definition: Definition) -> Reason:
    posts, spent = seen.trials.posts, seen.trials.spent(seen.now)
    first_of_the_day = posts[-min(len(posts), MAX_TRIALS_A_DAY)] + 86_400
    at = first_of_the_day if spent else posts[-1] + SECONDS_BETWEEN_TRIALS
    return Reason(
        Cause.DEFINITION_UNPROVEN,
        f"No run of export definition {definition.export_guid} has succeeded yet. All such "
        f"definitions share one POST a minute and {MAX_TRIALS_A_DAY} a day; the next may be sent "
        f"at {format_utc(at)}.",
        at,
    )


def _reconcile_reason(seen: Snapshot, group: Group) -> Reason:
    recorded = min(p.recorded_at for p in seen.oldest if p.group == group)
    since = max(recorded, seen.lease.not_before, seen.ready_at(group))
    if _could_go(seen, group) and since < seen.now - STALLED_SECONDS:
        return _missing_reconcile_reason()
    return Reason(
        Cause.NEXT_RECONCILE,
        "The next reconcile, within a minute, starts a run.",
        _within_a_minute(seen),
    )


def _could_go(seen: Snapshot, group: Group) -> bool:
    """Report whether the ledger knows no reason why the group's run could not start."""
    return seen.definition(group).proven and seen.ready_at(group) <= seen.now


def _missing_reconcile_reason() -> Reason:
    return Reason(
        Cause.RECONCILE_MISSING,
        f"A run should have started more than {STALLED_SECONDS // 60} minutes ago: reconcile is "
        "not running, or fails. Run `arena-exports doctor`.",
    )


def _nothing_pending_reason(seen: Snapshot) -> Reason:
    waiting = seen.stack_state.intake_messages
    if waiting:
        return queue_reason(seen, waiting)
    return Reason(
        Cause.NOTHING_PENDING, "Nothing is pending: every request that was recorded is finished."
    )


def queue_reason(seen: Snapshot, messages: int) -> Reason:
    """Return why messages on the intake queue wait."""
    window = seen.stack_state.window_seconds
    return Reason(
        Cause.ON_QUEUE,
        f"Not recorded yet: {counted(messages, 'message')} on the intake queue, where messages are "
        f"collected for {window} seconds (BatchingWindowSeconds).",
        round(seen.now + window),
    )


def _within_a_minute(seen: Snapshot) -> int:
    return round(seen.now + RECONCILE_SECONDS)
