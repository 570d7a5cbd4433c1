"""Answers in the words that the command and the page both show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.times import format_utc
from arena_exports.ledger.keys import LIFE_SECONDS
from arena_exports_operator.answers.words import counted, how_long, when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports_operator.answers.history import RunSummary
    from arena_exports_operator.answers.requests import RequestRun, RequestView
    from arena_exports_operator.answers.status import (
        BudgetView,
        CurrentRun,
        PauseView,
        Status,
    )

KEPT_DAYS = LIFE_SECONDS // 86_400
RUN_HEADERS = ("submitted", "run", "number", "status", "items", "took", "definition", "error")
REQUEST_RUN_HEADERS = ("submitted", "run", "number", "status", "carried", "refused")
UNKNOWN = (
    f"{{}} is not known: it was never recorded, or has expired (after {KEPT_DAYS} days), or was "
    "rejected as malformed (see `arena-exports dead-letters list`)"
)
NO_RUN = f"there is no run {{}} in the ledger, which keeps runs for {KEPT_DAYS} days"
INCOMPLETE = "; only part of the pending requests and recent runs was searched"


def status_lines(status: Status) -> Iterator[tuple[str, str]]:
    """Yield the label and text of each figure."""
    yield "run", _current(status.run) if status.run else "none in progress"
    yield "pending", _pending(status)
    yield "on the queue", _count(status.intake_messages)
    yield "budget", _budget(status.budget)
    yield "session", _session(status)
    yield "dead letters", _count(status.dead_letters)
    yield "deliveries", _deliveries(status)
    if status.pause:
        yield "pause", _pause(status.pause)


def _deliveries(status: Status) -> str:
    until = status.deliveries_back_off_until
    wait = f", all backing off until {format_utc(until)}" if status.deliveries and until else ""
    return f"{status.deliveries} pending{wait}"


def _current(run: CurrentRun) -> str:
    what = counted(run.item_count, "item") if run.kind == "items" else "its own criteria"
    parts = [
        f"{run.run_guid or 'a POST'} of {run.export_guid} ({what})",
        f"{how_long(run.elapsed_seconds)} so far",
    ]
    if run.expected_end_at:
        parts.append(f"expected end {format_utc(run.expected_end_at)}")
    if run.next_poll_at:
        parts.append(f"next poll at about {format_utc(run.next_poll_at)}")
    return ", ".join(parts)


def _pending(status: Status) -> str:
    if not status.pending:
        return "nothing"
    lanes = ", ".join(f"{lane.item_count} {lane.lane}" for lane in status.pending)
    more = "" if status.pending_counted else " or more"
    oldest = status.at - (status.oldest_recorded_at or status.at)
    return f"{lanes}{more}, the oldest waiting for {how_long(oldest)}"


def _budget(budget: BudgetView) -> str:
    if budget.remaining is None:
        return f"not known yet, reserve {budget.reserve}"
    parts = [f"{budget.remaining} Arena requests left, reserve {budget.reserve}"]
    if budget.resets_at:
        parts.append(f"reset {format_utc(budget.resets_at)}")
    if budget.hours_left is not None:
        parts.append(f"enough for {budget.hours_left:.1f} h at today's rate")
    return ", ".join(parts)


def _session(status: Status) -> str:
    session = status.session
    logins = f"{counted(session.logins_in_the_last_hour, 'login')} in the last hour"
    later = f", next login {when(session.next_login_at)}" if session.next_login_at else ""
    return f"{session.state}, {logins}{later}"


def _pause(pause: PauseView) -> str:
    until = f"until {format_utc(pause.until_at)}" if pause.until_at else "until somebody resumes"
    return f"{until}, by the parameter ExportsPaused" if pause.by_parameter else until


def _count(number: int | None) -> str:
    return "not known" if number is None else str(number)


def run_row(run: RunSummary) -> tuple[str, ...]:
    """Return the cells of a run, for `RUN_HEADERS`."""
    error = f"{run.error_code} {run.error_message or ''}".strip() if run.error_code else ""
    return (
        format_utc(run.submitted_at),
        run.run_guid or "-",
        "-" if run.run_number is None else str(run.run_number),
        run.status,
        _items(run),
        "-" if run.duration_seconds is None else how_long(run.duration_seconds),
        run.export_guid,
        error,
    )


def _items(run: RunSummary) -> str:
    if run.item_count is None:
        return "criteria"
    text = str(run.item_count)
    if run.found_count is not None and run.found_count < run.item_count:
        text += f", {run.found_count} found"
    return text + (f", {run.refused_count} refused" if run.refused_count else "")


def request_lines(view: RequestView) -> Iterator[tuple[str, str]]:
    """Yield what is known of a request."""
    items = "its own criteria"
    if view.item_count is not None:
        items = (
            f"{counted(view.item_count, 'item')}, {view.open_count} of them pending, "
            f"{view.rejected_count} rejected"
        )
    yield "request", view.request_id
    yield "correlation id", view.correlation_id or "-"
    yield "definition", view.export_guid
    yield "lane", view.lane
    yield "recorded", when(view.recorded_at)
    yield "contents", items


def request_run_row(part: RequestRun) -> tuple[str, ...]:
    """Return the cells of a run that carried part of a request."""
    carried = "criteria" if part.carried_count is None else str(part.carried_count)
    return (*run_row(part.run)[:4], carried, str(part.refused_count))
