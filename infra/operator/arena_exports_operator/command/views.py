"""Answers as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports_operator.answers.status import Word
from arena_exports_operator.answers.texts import (
    REQUEST_RUN_HEADERS,
    RUN_HEADERS,
    request_lines,
    request_run_row,
    run_row,
    status_lines,
)
from arena_exports_operator.answers.words import for_terminal
from arena_exports_operator.command.output import console, print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena_exports_operator.answers.find import Found
    from arena_exports_operator.answers.history import RunDetail, RunSummary
    from arena_exports_operator.answers.reasons import Reason
    from arena_exports_operator.answers.requests import RequestView
    from arena_exports_operator.answers.status import Status
    from arena_exports_operator.answers.why import Why

_STYLES = {
    Word.OK: "bold green",
    Word.WAITING: "bold cyan",
    Word.DEGRADED: "bold yellow",
    Word.STALLED: "bold red",
}


def show_status(status: Status) -> None:
    """Write the state of the stack."""
    out = console()
    out.print(status.word.value, style=_STYLES[status.word], end="  ")
    _sentences(status.reasons)
    print_lines(status_lines(status))
    if status.last_runs:
        out.print("\nLast runs", style="bold")
        show_runs(status.last_runs)


def show_why(why: Why) -> None:
    """Write the sentence, then further reasons, indented."""
    _sentences((why.reason, *why.also))


def _sentences(reasons: Iterable[Reason]) -> None:
    out = console()
    for number, reason in enumerate(reasons):
        indent = "  " if number else ""
        out.print(f"{indent}{for_terminal(reason.sentence)}", soft_wrap=True)


def show_runs(runs: Iterable[RunSummary]) -> None:
    """Write a line for each run."""
    print_table(RUN_HEADERS, map(run_row, runs))


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
    print_lines(request_lines(view))
    _sentences(view.reasons)
    if view.runs:
        print_table(REQUEST_RUN_HEADERS, map(request_run_row, view.runs))
    console().print()
