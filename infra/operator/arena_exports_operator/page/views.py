"""The views: the status, the result of a search, and a failure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from arena_exports.domain.times import format_utc
from arena_exports_operator.answers.texts import (
    INCOMPLETE,
    REQUEST_RUN_HEADERS,
    RUN_HEADERS,
    UNKNOWN,
    request_lines,
    request_run_row,
    run_row,
    status_lines,
)
from arena_exports_operator.page.markup import Markup, element, joined
from arena_exports_operator.page.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from arena_exports_operator.answers.find import Found
    from arena_exports_operator.answers.history import RunDetail
    from arena_exports_operator.answers.reasons import Reason
    from arena_exports_operator.answers.requests import RequestView
    from arena_exports_operator.answers.status import CurrentRun, Status
    from arena_exports_operator.page.surface import Surface

MAX_ROWS = 200
_NAME = "Arena exports"
_RUN = RUN_HEADERS.index("run")
_MORE = "There are {} more; the command arena-exports shows all of them."


@dataclass(frozen=True, slots=True)
class View:
    """What is shown, and the title of the window that shows it."""

    title: str
    body: Markup


def status_view(status: Status, surface: Surface) -> View:
    """Return the state in one word with its reasons, the figures behind it, and the last runs."""
    word = element("p", status.word.value, class_=f"word {status.word.value.lower()}")
    state = element("section", word, _sentences(status.reasons), class_="state", aria_label="State")
    runs = _run_table(RUN_HEADERS, map(run_row, status.last_runs), surface, "Last runs")
    return _view(
        surface,
        "",
        status.word.value,
        state,
        _figures([*status_lines(status)], {"run": _progress(status.run)}),
        element("h2", "Last runs"),
        runs if status.last_runs else element("p", "No run yet."),
        element("p", f"As of {format_utc(status.at)}.", class_="note"),
    )


def found_view(found: Found, text: str, surface: Surface) -> View:
    """Return what is known of a text: requests with their runs, then runs."""
    unknown = f"{UNKNOWN.format(text)}{'' if found.complete else INCOMPLETE}."
    return _view(
        surface,
        text,
        text,
        element("p", surface.link("Back to the status", "")),
        element("h2", f"What is known of {text}"),
        *(_request(view, surface) for view in found.requests),
        *(_run(detail, surface) for detail in found.runs),
        *([element("p", unknown)] if found.empty else []),
        *(
            []
            if found.empty or found.complete
            else [element("p", f"There may be more{INCOMPLETE}.")]
        ),
    )


def failure_view(sentence: str, surface: Surface) -> View:
    """Return why nothing can be shown."""
    word = element("p", "UNKNOWN", class_="word stalled")
    why = element("p", sentence)
    return _view(
        surface, "", "UNKNOWN", element("section", word, why, class_="state", role="alert")
    )


def document(view: View, script: str) -> str:
    """Return a whole page with a view, and the address of a script."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", view.title),
        element("script", src=script, defer="defer"),
    )
    return f"<!doctype html>\n{element('html', head, element('body', view.body), lang='en')}\n"


def _view(surface: Surface, searched: str, title: str, *parts: Markup) -> View:
    """Return the frame of every view; the class switches off the console's own styles."""
    head = element("header", element("h1", _NAME), surface.search(searched))
    plain = element("div", class_="cwdb-no-default-styles")
    inner = element("main", plain, head, *parts)
    frame = element("div", inner, class_=f"ax {surface.theme}")
    return View(f"{title} - {_NAME}", joined([element("style", STYLE), frame]))


def _sentences(reasons: Sequence[Reason]) -> Markup:
    return element("ul", *(element("li", *_with_code(reason.sentence)) for reason in reasons))


def _with_code(sentence: str) -> Iterator[str]:
    """Yield the parts of a sentence; those between backticks are commands."""
    for number, part in enumerate(sentence.split("`")):
        yield element("code", part) if number % 2 else part


def _figures(lines: Iterable[tuple[str, str]], more: dict[str, Markup] | None = None) -> Markup:
    """Return labels with their texts; `more` is shown after the text of its label."""
    extra = more or {}
    return element(
        "dl",
        *(
            element("div", element("dt", label), element("dd", text, extra.get(label, Markup())))
            for label, text in lines
        ),
    )


def _progress(run: CurrentRun | None) -> Markup:
    """Return a progress bar if the run's end can be estimated."""
    if run is None or run.expected_end_at is None:
        return Markup()
    whole = max(run.expected_end_at - run.submitted_at, 1)
    done = min(run.elapsed_seconds, whole)
    name = "Part of the expected duration"
    return element("progress", value=str(done), max=str(whole), aria_label=name)


def _run_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], surface: Surface, caption: str
) -> Markup:
    """Return a table of runs, each with a link to what is known of it."""
    linked = ([*row[:_RUN], _run_link(row[_RUN], surface), *row[_RUN + 1 :]] for row in rows)
    return _table(headers, linked, caption)


def _run_link(guid: str, surface: Surface) -> str:
    return guid if guid == "-" else surface.link(guid, guid)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Markup:
    """Return a table of the first rows, which scrolls sideways if it is too wide."""
    remaining = iter(rows)
    shown = [
        element("tr", *(element("td", cell) for cell in row)) for row in islice(remaining, MAX_ROWS)
    ]
    more = sum(1 for _ in remaining)
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in headers)))
    table = element("table", head, element("tbody", *shown))
    frame = element("div", table, class_="table", role="region", aria_label=caption, tabindex="0")
    return joined([frame, *([element("p", _MORE.format(more), class_="note")] if more else [])])


def _request(view: RequestView, surface: Surface) -> Markup:
    runs = _run_table(REQUEST_RUN_HEADERS, map(request_run_row, view.runs), surface, "Its runs")
    parts = [
        _sentences(view.reasons),
        _figures(request_lines(view)),
        *([runs] if view.runs else []),
    ]
    return element("section", *parts)


def _run(detail: RunDetail, surface: Surface) -> Markup:
    return element("section", *_run_parts(detail, surface))


def _run_parts(detail: RunDetail, surface: Surface) -> Iterator[Markup]:
    yield _run_table(RUN_HEADERS, [run_row(detail.run)], surface, "The run")
    if detail.requests:
        parts = (
            (surface.link(p.request_id, p.request_id), p.correlation_id or "-", str(p.item_count))
            for p in detail.requests
        )
        yield element("h2", "Requests")
        yield _table(("request", "correlation id", "items"), parts, "Requests")
    if detail.files:
        yield element("h2", "Files")
        yield _table(("file", "title"), ((f.guid, f.title or "-") for f in detail.files), "Files")
