"""The status page and the dashboard's widget, from a small world."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena_exports.domain.errors import LedgerUnavailableError
from arena_exports.domain.pause import Pause
from arena_exports_operator.answers.find import Found
from arena_exports_operator.answers.history import FileSummary, RunDetail, RunPart, RunSummary
from arena_exports_operator.answers.reasons import Cause, Reason
from arena_exports_operator.answers.status import (
    BudgetView,
    CurrentRun,
    PauseView,
    PendingLane,
    SessionView,
    Status,
    Word,
)
from arena_exports_operator.page.source import Source
from arena_exports_operator.page.surface import Browser, Widget
from arena_exports_operator.page.views import MAX_ROWS, document, found_view, status_view
from status.handler import DOCUMENTATION, handler, show
from tests.events import event
from tests.support.html import Page
from tests.support.operator import stack_state
from tests.support.world import EXPORT, World, attempt_with_lease, items

ARN = "arn:aws:lambda:us-east-1:123456789012:function:arena-exports-StatusFunction-1"
BROWSER = Browser()
WIDGET = Widget(ARN, "light")
RUN = RunSummary(
    attempt_id="a",
    run_guid="RUNGUID0000000000001",
    run_number=1042,
    export_guid="EXPORT00000000000001",
    kind="items",
    lane="normal",
    status="FAILED",
    succeeded=False,
    item_count=17,
    refused_count=3,
    found_count=16,
    submitted_at=1_700_000_000,
    started_at=1_700_000_001,
    completed_at=1_700_000_100,
    duration_seconds=95,
    error_code="ErrorCode",
    error_message="the message",
)
STATUS = Status(
    word=Word.STALLED,
    reasons=(
        Reason(Cause.LOGIN_REFUSED, "The login was refused: see `arena-exports why`."),
        Reason(Cause.PAUSED, "Exports are paused."),
    ),
    at=1_700_000_200,
    run=CurrentRun(
        run_guid="CURRENT0000000000001",
        export_guid="EXPORT00000000000002",
        kind="items",
        item_count=23,
        state="running",
        submitted_at=1_700_000_150,
        elapsed_seconds=45,
        expected_end_at=1_700_000_300,
        next_poll_at=1_700_000_290,
    ),
    pending=(PendingLane("bulk", 29), PendingLane("normal", 31)),
    pending_counted=False,
    oldest_recorded_at=1_699_996_600,
    intake_messages=37,
    budget=BudgetView(4321, 500, 1_700_020_000, 1_700_000_100, None, 5.5),
    session=SessionView("refused", 2, 1_700_000_900),
    pause=PauseView(by_parameter=False, until_at=1_700_003_600),
    last_runs=(RUN,),
    dead_letters=41,
    deliveries=43,
    deliveries_back_off_until=1_700_000_600,
)


@dataclass
class Context:
    """The part of Lambda's context that the handler uses."""

    invoked_function_arn: str = ARN


@pytest.fixture
def world() -> World:
    """A world whose ledger the page reads."""
    return World(settings={"max_items_per_run": 10})


def source(world: World) -> Source:
    """Return a world as the source of views."""
    return Source(world.ledger, world.table, world.clock, lambda: stack_state(world))


def shown(world: World, text: str = "", surface: Any = BROWSER) -> Page:
    """Return what the page shows."""
    return Page(source(world).view(text, surface).body)


@pytest.mark.parametrize("surface", [BROWSER, WIDGET], ids=["page", "widget"])
def test_status__is_shown_whole(surface: Any) -> None:
    """The state and why, the run with its end, what is pending, the budget, runs, and the rest."""
    page = Page(status_view(STATUS, surface).body)
    assert page.texts("p.word") == ["STALLED"]
    assert page.texts("li") == [
        "The login was refused: see arena-exports why.",
        "Exports are paused.",
    ]
    assert page.texts("code") == ["arena-exports why"]
    assert page.figures == {
        "run": "CURRENT0000000000001 of EXPORT00000000000002 (23 items), 45 s so far, expected end "
        "2023-11-14T22:18:20Z, next poll at about 2023-11-14T22:18:10Z",
        "pending": "29 bulk, 31 normal or more, the oldest waiting for 1 h 0 min",
        "on the queue": "37",
        "budget": "4321 Arena requests left, reserve 500, reset 2023-11-15T03:46:40Z, enough for "
        "5.5 h at today's rate",
        "session": "refused, 2 logins in the last hour, next login 2023-11-14T22:28:20Z",
        "dead letters": "41",
        "deliveries": "43 pending, all backing off until 2023-11-14T22:23:20Z",
        "pause": "until 2023-11-14T23:13:20Z",
    }
    assert page.rows == [
        [
            "2023-11-14T22:13:20Z",
            "RUNGUID0000000000001",
            "1042",
            "FAILED",
            "17, 16 found, 3 refused",
            "2 min",
            "EXPORT00000000000001",
            "ErrorCode the message",
        ]
    ]
    assert page.attributes("progress") == [
        {"value": "45", "max": "150", "aria-label": "Part of the expected duration"}
    ]
    assert "As of 2023-11-14T22:16:40Z." in page.text


def test_status__has_each_part_of_the_answer_above() -> None:
    """A part that is added to the answer has a value in the status that the test above shows."""
    empty = [f.name for f in fields(Status) if getattr(STATUS, f.name) in (None, ())]
    assert empty == []


def test_status__of_a_run_without_known_durations_has_no_bar(world: World) -> None:
    """Nothing is promised of a first run, whose end nobody can expect."""
    world.send({"itemGuids": items(1)})
    page = shown(world)
    assert str(attempt_with_lease(world).run_guid) in page.figures["run"]
    assert page.attributes("progress") == []


def test_status__of_an_idle_stack_is_ok(world: World) -> None:
    """The word is also in the title, which a browser shows where the page is in the background."""
    view = source(world).view("", BROWSER)
    assert view.title == "OK - Arena exports"
    page = Page(view.body)
    assert page.texts("p.word") == ["OK"]
    assert "No run yet." in page.text
    assert page.rows == []


def test_status__names_a_pause_and_who_made_it_but_no_address(world: World) -> None:
    """The reason of a pause is somebody's text, and its author may be an e-mail address."""
    until = int(world.clock.now()) + 3600
    world.ledger.pause.write(Pause("<b>", "arn:aws:sts::1:assumed-role/O/jane@example.com", until))
    world.send({"itemGuids": items(1)})
    page = shown(world)
    assert page.texts("p.word") == ["WAITING"]
    assert '("<b>")' in page.texts("li")[0]
    assert "jane" not in page.html


@pytest.mark.parametrize("key", ["message", "correlation", "item", "run", "number"])
def test_find__shows_what_is_known(world: World, key: str) -> None:
    """A request is found by its ids and items, a run by its GUID and number."""
    (message,) = world.send({"itemGuids": items(3), "correlationId": "ECO <23>"})
    world.settle()
    (run,) = world.events("run.completed")
    text = {
        "message": message,
        "correlation": "ECO <23>",
        "item": items(3)[1].lower(),
        "run": run["data"]["runGuid"],
        "number": str(run["data"]["runNumber"]),
    }[key]
    page = shown(world, f" {text} ")
    assert page.attributes("input")[0]["value"] == text
    assert f"What is known of {text}" in page.texts("h2")
    assert run["data"]["runGuid"] in page.text
    assert message in page.text
    assert "ECO <23>" in page.text
    if key in ("run", "number"):
        assert [file["guid"] for file in run["data"]["files"]] <= page.column("file")


def test_find__of_something_unknown_says_so(world: World) -> None:
    """The page names what was searched, and where it may be."""
    page = shown(world, "<i>nothing</i>")
    assert "<i>nothing</i> is not known: it was never recorded" in page.text
    assert "i" not in page.tags


def test_find__of_a_part_says_that_there_may_be_more() -> None:
    """A search that stopped early is not shown as complete."""
    found = Found(runs=(RunDetail(RUN, (), ()),), complete=False)
    assert "There may be more; only part" in Page(found_view(found, "x", BROWSER).body).text
    none = Page(found_view(Found(complete=False), "x", BROWSER).body).text
    assert "is not known" in none
    assert "only part of the pending" in none


def test_find__shows_so_many_rows_and_counts_the_others() -> None:
    """An answer of Lambda has at most 6 MB."""
    parts = tuple(RunPart(f"request-{n}", None, 1) for n in range(MAX_ROWS + 7))
    found = Found(runs=(RunDetail(RUN, parts, (FileSummary("FILE", None),)),))
    page = Page(found_view(found, "x", BROWSER).body)
    assert len(page.column("request")) == MAX_ROWS
    assert "There are 7 more" in page.text


def test_page__has_links_where_the_widget_has_calls(world: World) -> None:
    """Each leads to the same: a run of the list, and back; the widget has no addresses."""
    world.send({"itemGuids": items(3)})
    world.settle()
    guid = world.events("run.completed")[0]["data"]["runGuid"]
    assert {"href": f"./?find={guid}"} in shown(world).attributes("a")
    assert {"href": "./"} in shown(world, guid).attributes("a")
    for text, wanted in (("", guid), (guid, "")):
        page = shown(world, text, WIDGET)
        assert page.attributes("a") == []
        calls = page.attributes("cwdb-action")
        assert calls == [{"action": "call", "endpoint": ARN}] * len(calls)
        assert {"find": wanted} in [json.loads(t) for t in page.texts("cwdb-action") if t]


@pytest.mark.parametrize("surface", [BROWSER, WIDGET], ids=["page", "widget"])
def test_search__is_a_labelled_form(world: World, surface: Any) -> None:
    """The box has a label and its text again; in the widget a call sends the form's fields."""
    page = shown(world, "ECO-1", surface)
    (box,) = page.attributes("input")
    assert (box["name"], box["value"]) == ("find", "ECO-1")
    assert page.attributes("label") == [{"for": box["id"]}]
    if surface is WIDGET:
        assert page.attributes("form") == [{"role": "search"}]
        assert page.texts("cwdb-action")[0] == ""
    else:
        assert page.attributes("form")[0]["method"] == "get"


def test_document__is_a_whole_page(world: World) -> None:
    """The page says its language, its encoding and that it fits a phone."""
    html = document(source(world).view("", BROWSER), "/refresh.js")
    page = Page(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert {"charset": "utf-8"} in page.attributes("meta")
    assert page.texts("title") == ["OK - Arena exports"]
    assert page.attributes("script") == [{"src": "/refresh.js", "defer": "defer"}]


def test_ledger__that_cannot_be_read_is_said(world: World) -> None:
    """The page says why, instead of an error of the server."""

    def fail() -> Any:
        raise LedgerUnavailableError("no answer from <DynamoDB>")

    view = replace(source(world), read_stack_state=fail).view("", BROWSER)
    page = Page(view.body)
    assert view.title.startswith("UNKNOWN")
    assert "The status cannot be read: the ledger cannot be read" in page.text
    assert "<DynamoDB>" in page.text


def hostile() -> st.SearchStrategy[str]:
    """Return texts that try to become markup."""
    known = ["<script>x</script>", '"><b>', "<!--", "`</li><b>`"]
    texts = st.sampled_from(known) | st.text(st.sampled_from("<>&\"'/=`b "))
    return texts.map("x{}".format)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile(), hostile(), st.sampled_from([BROWSER, WIDGET]))
def test_outside__never_becomes_markup(one: str, two: str, surface: Any) -> None:
    """Texts of senders, of Arena and of operators leave the elements of the page as they are."""

    def tags(text: str, more: str) -> list[str]:
        run = replace(RUN, run_guid=text, error_code=more, error_message=text)
        reason = Reason(Cause.PAUSED, f"paused by {text} ({more})".replace("`", "'"))
        status = replace(STATUS, last_runs=(run,), reasons=(reason,))
        detail = RunDetail(run, (RunPart(text, more, 1),), (FileSummary(more, text),))
        found = Found(runs=(detail,))
        views = (status_view(status, surface), found_view(found, text, surface))
        return [tag for view in views for tag in Page(view.body).tags]

    assert tags(one, two) == tags("x", "y")


def test_handler__describes_itself() -> None:
    """CloudWatch asks for the documentation before it adds a widget."""
    assert handler(event("cloudwatch_widget_describe"), Context()) == DOCUMENTATION


def test_handler__shows_the_status(world: World) -> None:
    """CloudWatch's event has no text to search, and the theme of the console."""
    page = Page(show(event("cloudwatch_widget"), Context(), source(world)))
    assert page.texts("p.word") == ["OK"]
    assert {"class": "ax light"} in page.attributes("div")


def test_handler__finds_what_the_form_says(world: World) -> None:
    """The fields of the form come with the call, and with it the dark theme."""
    world.send({"itemGuids": items(1), "correlationId": "ECO-7"})
    asked = event("cloudwatch_widget")
    asked["widgetContext"] |= {"theme": "dark", "forms": {"all": {"find": "ECO-7"}}}
    page = Page(show(asked, Context(), source(world)))
    assert page.figures["correlation id"] == "ECO-7"
    assert page.figures["definition"] == EXPORT
    assert {"class": "ax dark"} in page.attributes("div")


def test_handler__follows_a_link_whatever_the_form_says(world: World) -> None:
    """A link back to the status works while the search box still has a text."""
    asked = event("cloudwatch_widget") | {"find": ""}
    asked["widgetContext"]["forms"] = {"all": {"find": "ECO-7"}}
    assert Page(show(asked, Context(), source(world))).texts("p.word") == ["OK"]
