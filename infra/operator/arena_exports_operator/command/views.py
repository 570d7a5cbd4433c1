"""Answers as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.times import format_utc
from arena_exports_operator.answers.status import Word
from arena_exports_operator.answers.words import counted, without_addresses
from arena_exports_operator.command.output import (
    console,
    how_long,
    print_lines,
    print_table,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from arena_exports_operator.answers.find import Found
    from arena_exports_operator.answers.history import RunDetail, RunSummary
    from arena_exports_operator.answers.reasons import Reason
    from arena_exports_operator.answers.requests import RequestView
    from arena_exports_operator.answers.status import BudgetView, CurrentRun, Status
    from arena_exports_operator.answers.why import Why

_STYLES = {
    Word.OK: "bold green",
    Word.WAITING: "bold cyan",
    Word.DEGRADED: "bold yellow",
    Word.STALLED: "bold red",
}
_RUN_HEADERS = ("submitted", "run", "number", "status", "items", "took", "definition", "error")


def show_status(status: Status) -> None:
    """Write the state of the stack."""
    out = console()
    out.print(status.word.value, style=_STYLES[status.word], end="  ")
    _sentences(status.reasons)
    print_lines(_status_lines(status))
    if status.last_runs:
        out.print("\nLast runs", style="bold")
        show_runs(status.last_runs)


def _status_lines(status: Status) -> Iterator[tuple[str, str]]:
    yield "run", _current(status.run) if status.run else "none in progress"
    yield "pending", _pending(status)
    yield "on the queue", _count(status.intake_messages)
    yield "budget", _budget(status.budget)
    yield "session", _session(status)
    yield "dead letters", _count(status.dead_letters)
    yield "deliveries", f"{status.deliveries} pending"


def _current(run: CurrentRun) -> str:
    what = counted(run.item_count, "item") if run.kind == "items" else "its own criteria"
    parts = [
        f"{run.run_guid or 'a POST'} of {run.export_guid} ({what})",
        f"for {how_long(run.elapsed_seconds)}",
    ]
    if run.expected_end_at:
        parts.append(f"expected end {format_utc(run.expected_end_at)}")
    if run.next_poll_at:
        parts.append(f"next poll about {format_utc(run.next_poll_at)}")
    return ", ".join(parts)


def _pending(status: Status) -> str:
    if not status.pending:
        return "nothing"
    lanes = ", ".join(f"{lane.item_count} {lane.lane}" for lane in status.pending)
    more = "" if status.pending_counted else " or more"
    oldest = status.at - (status.oldest_recorded_at or status.at)
    return f"{lanes}{more}, the oldest for {how_long(oldest)}"


def _budget(budget: BudgetView) -> str:
    if budget.remaining is None:
        return f"not known yet, reserve {budget.reserve}"
    parts = [f"{budget.remaining} Arena requests left, reserve {budget.reserve}"]
    if budget.resets_at:
        parts.append(f"reset {format_utc(budget.resets_at)}")
    if budget.hours_left is not None:
        parts.append(f"spent in {budget.hours_left:.1f} h at today's rate")
    return ", ".join(parts)


def _session(status: Status) -> str:
    session = status.session
    logins = f"{counted(session.logins_in_the_last_hour, 'login')} in the last hour"
    later = f", next login {when(session.next_login_at)}" if session.next_login_at else ""
    return f"{session.state}, {logins}{later}"


def _count(number: int | None) -> str:
    return "not known" if number is None else str(number)


def show_why(why: Why) -> None:
    """Write the sentence, then what else holds, indented."""
    _sentences((why.reason, *why.also))


def _sentences(reasons: Iterable[Reason]) -> None:
    out = console()
    for number, reason in enumerate(reasons):
        indent = "  " if number else ""
        out.print(f"{indent}{without_addresses(reason.sentence)}", soft_wrap=True)


def show_runs(runs: Iterable[RunSummary]) -> None:
    """Write a line for each run."""
    print_table(_RUN_HEADERS, map(_run_row, runs))


def _run_row(run: RunSummary) -> tuple[str, ...]:
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


def show_run(detail: RunDetail) -> None:
    """Write a run, its requests and its files."""
    show_runs([detail.run])
    if detail.requests:
        console().print()
        rows = ((p.request_id, p.correlation_id or "-", str(p.item_count)) for p in detail.requests)
        print_table(("request", "correlation id", "items"), rows)
    if detail.files:
        console().print()
        print_table(("file", "title"), ((f.guid, f.title or "-") for f in detail.files))


def show_found(found: Found) -> None:
    """Write requests with their runs, then runs."""
    for view in found.requests:
        _show_request(view)
    for detail in found.runs:
        show_run(detail)


def _show_request(view: RequestView) -> None:
    items = "its own criteria"
    if view.item_count is not None:
        items = (
            f"{counted(view.item_count, 'item')}, {view.open_count} of them pending, "
            f"{view.rejected_count} rejected"
        )
    print_lines(
        [
            ("request", view.request_id),
            ("correlation id", view.correlation_id or "-"),
            ("definition", view.export_guid),
            ("lane", view.lane),
            ("recorded", when(view.recorded_at)),
            ("contents", items),
        ]
    )
    _sentences(view.reasons)
    if view.runs:
        rows = (
            (*_run_row(p.run)[:4], _share(p.carried_count), str(p.refused_count)) for p in view.runs
        )
        print_table(("submitted", "run", "number", "status", "carried", "refused"), rows)
    console().print()


def _share(count: int | None) -> str:
    return "criteria" if count is None else str(count)
