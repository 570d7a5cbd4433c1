"""The dashboard's first widget: its function, deployed and called as CloudWatch calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from status.handler import DOCUMENTATION
from tests.events import event
from tests.support.html import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Case

pytestmark = pytest.mark.e2e


def endpoint(case: Case) -> str:
    """Return the function that the dashboard's first widget calls."""
    found = case.stack.clients.cloudwatch.get_dashboard(
        DashboardName=case.stack.outputs["DashboardName"]
    )
    widget: dict[str, Any] = json.loads(found["DashboardBody"])["widgets"][0]
    assert widget["type"] == "custom"
    return str(widget["properties"]["endpoint"])


def show(case: Case, asked: dict[str, Any]) -> str:
    """Call the function, as the console does."""
    reply = case.stack.clients.functions.invoke(
        FunctionName=endpoint(case), Payload=json.dumps(asked)
    )
    assert reply.get("FunctionError") is None
    return str(json.loads(reply["Payload"].read()))


def test_widget__shows_the_status_and_finds_a_request(
    case: Case, new_guids: Callable[[int], list[str]]
) -> None:
    """What the ledger and the queues hold is shown under the function's own role."""
    (guid,) = new_guids(1)
    case.stack.send({"itemGuids": [guid], "correlationId": f"ECO-{guid}"}, "no GUID")
    completed, _ = sorted(case.wait_for_events(2), key=lambda e: str(e.event["type"]), reverse=True)
    page = Page(show(case, event("cloudwatch_widget")))
    assert page.texts("p.word") == ["DEGRADED"]
    assert page.figures["dead letters"] == "1"
    run = str(completed.event["data"]["runGuid"])
    assert run in page.column("run")
    asked = event("cloudwatch_widget")
    asked["widgetContext"]["forms"]["all"] = {"find": f"ECO-{guid}"}
    found = Page(show(case, asked))
    assert found.column("run") == [run]
    assert {"action": "call", "endpoint": endpoint(case)} in found.attributes("cwdb-action")


def test_widget__describes_itself(case: Case) -> None:
    """CloudWatch shows the documentation where a widget is added to a dashboard."""
    assert show(case, event("cloudwatch_widget_describe")) == DOCUMENTATION
