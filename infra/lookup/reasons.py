"""Explains from the ledger why a request is pending, in sentences with times in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.definitions import MAX_TRIALS_A_DAY
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.model import Kind, Lane
from arena_exports.domain.times import format_utc
from arena_exports.services.adoption import SEARCHES_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.budget import Budget
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import Group
    from arena_exports.domain.session_state import SessionState
    from arena_exports.ledger import Ledger


def reasons(ledger: Ledger, groups: Collection[Group], now: float) -> Iterator[str]:
    """Yield why the pending items of these groups wait: definition, lease, session, or budget."""
    known = ledger.definitions.read_many(group.export_guid for group in groups)
    trials = ledger.definitions.trials()
    for definition in known.values():
        yield from _of_definition(definition, now)
        if not definition.proven and not trials.allow(now):
            yield _of_trials(definition)
    for group in groups:
        if group.lane is Lane.SUSPECT:
            yield _of_suspects(known[group.export_guid], now)
    lease = ledger.lease.read()
    budget = ledger.budget.read()
    if lease.state is not LeaseState.IDLE:
        yield _of_held_lease(ledger, lease, now)
    elif lease.not_before > now:
        yield _of_delayed_lease(lease)
    elif ready := [group for group in groups if _may_go(known[group.export_guid], group, now)]:
        soon = trials.allow(now) or any(known[group.export_guid].proven for group in ready)
        yield _of_idle_lease(budget, soon=soon)
    else:
        yield "No run is in progress."
    yield from _of_session(ledger.session.read(), now)
    if budget.spent_until > now:
        yield f"The day's Arena requests are used up until {format_utc(budget.spent_until)}."


def _may_go(definition: Definition, group: Group, now: float) -> bool:
    suspects = definition.suspects_not_before if group.lane is Lane.SUSPECT else 0
    return max(definition.not_before, suspects) <= now


def _of_definition(definition: Definition, now: float) -> Iterator[str]:
    if definition.refusals:
        at = f"at {format_utc(definition.not_before)}"
        yield (
            f"Arena refuses export definition {definition.export_guid} (consecutive refusals: "
            f"{definition.refusals}). The next attempt follows "
            f"{at if definition.not_before > now else 'when the lease is free'}. "
            'Arena\'s answer is in the log lines "export definition refused".'
        )
    elif definition.unknown_at:
        yield (
            f"Arena does not know export definition {definition.export_guid}. After one more "
            f"attempt, not before {format_utc(definition.not_before)}, its requests are rejected."
        )
    elif definition.not_before > now:
        yield (
            f"The last {definition.failures} attempts for export definition "
            f"{definition.export_guid} failed. The next one follows at "
            f"{format_utc(definition.not_before)}."
        )


def _of_trials(definition: Definition) -> str:
    return (
        f"No run of export definition {definition.export_guid} has succeeded yet. All such "
        f"definitions share one POST a minute and {MAX_TRIALS_A_DAY} a day."
    )


def _of_suspects(definition: Definition, now: float) -> str:
    text = "An attempt with these items failed. They are retried separately, then in halves"
    if definition.suspects_not_before <= now:
        return f"{text}."
    return (
        f"{text}, not before {format_utc(definition.suspects_not_before)} (consecutive failed "
        f"attempts for export definition {definition.export_guid}: {definition.failures})."
    )


def _of_held_lease(ledger: Ledger, lease: Lease, now: float) -> str:
    if lease.attempt_id is None:
        return (
            f"The next run is being prepared, until {format_utc(lease.held_until)} at the latest."
        )
    attempt = ledger.attempts.get(lease.attempt_id)
    run = f"{f'run {attempt.run_guid}' if attempt.run_guid else 'an attempt'} {_contents(attempt)}"
    if attempt.state is AttemptState.ENDED:
        return f"The lease is held: {run} has ended and is being published."
    if lease.state is LeaseState.RUNNING:
        return (
            f"The lease is held: {run} has been in progress since {format_utc(attempt.started_at)}."
        )
    later = lease.held_until > now
    when = (
        f"at {format_utc(lease.held_until)}" if later else "at the next reconcile, within a minute"
    )
    return (
        f"The lease is held: a POST {_contents(attempt)} was sent at "
        f"{format_utc(attempt.sent_at)}, and its outcome is unknown. The next search for its run "
        f"follows {when} (searches without a result: {attempt.searches} of {SEARCHES_REQUIRED}; "
        f"failed searches: {lease.failed_searches})."
    )


def _contents(attempt: Attempt) -> str:
    items = attempt.item_count - len(attempt.rejected)
    what = "its own criteria" if attempt.group.kind is Kind.DEFINITION else f"{items} items"
    return f"of export definition {attempt.group.export_guid} ({what})"


def _of_delayed_lease(lease: Lease) -> str:
    text = f"No run is in progress, and none starts before {format_utc(lease.not_before)}"
    if lease.busy:
        return f"{text}: another export is in progress in Arena (3144 answers: {lease.busy})."
    return f"{text}."


def _of_idle_lease(budget: Budget, *, soon: bool) -> str:
    left = ""
    if budget.remaining is not None:
        reset = f", reset at {format_utc(budget.resets_at)}" if budget.resets_at else ""
        left = f" ({budget.remaining} at {format_utc(budget.seen_at)}{reset})"
    starts = "The next reconcile, within a minute, starts one"
    if not soon:
        starts = "A reconcile starts one as soon as that limit permits"
    return (
        f"No run is in progress. {starts}, unless "
        f"ExportsPaused is true or the remaining requests{left} are down to RequestBudgetReserve."
    )


def _of_session(session: SessionState, now: float) -> Iterator[str]:
    if session.refused_code == "CredentialsUnreadable":
        yield "The credentials secret cannot be read. Every reconcile tries again."
    elif session.refused_version:
        yield (
            f"The login was refused ({session.refused_code}). It is retried when the credentials "
            "secret has a new version."
        )
    elif session.not_before > now:
        at = format_utc(session.not_before)
        yield f"If the session has ended, the next login is not before {at}."
