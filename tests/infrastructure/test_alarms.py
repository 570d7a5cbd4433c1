"""Metrics, alarms, and dashboard, and their documentation."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jmespath
import pytest

from arena_exports.domain import definitions, deliveries, polling
from arena_exports.domain.errors import LedgerUnavailableError
from arena_exports.ledger.deliveries import LANE_SECONDS
from arena_exports.services import login, submission
from tests.support.asl import DEFINITION
from tests.support.fakes import InMemoryTable
from tests.support.translated import ROOT, resources
from tests.support.world import World

if TYPE_CHECKING:
    from arena_exports.ports import Item, Key

OWN = "ArenaExports"
AWS_METRICS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName"),
    ("AWS/Lambda", "Errors", "FunctionName"),
    ("AWS/States", "ExecutionsFailed", "StateMachineArn"),
}
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "functions").rglob("*.py")))
RUNBOOK = (ROOT / "infra" / "runbook.md").read_text()
METRICS = (ROOT / "infra" / "metrics.md").read_text()
OPTIONS = ("HasSchedule", "DeliversFiles")
ALARMS = resources("AWS::CloudWatch::Alarm", *OPTIONS)
RECONCILE_SECONDS = 60


def _seconds(function: str, wait: str | None = None) -> int:
    """Return the timeout of a function, plus the wait after its failure."""
    timeout: int = resources("AWS::Lambda::Function")[function]["Timeout"]
    return timeout + (DEFINITION["States"][wait]["Seconds"] if wait else 0)


MAX_GAPS = {
    "DefinitionRefusedAlarm": submission.MAX_DEFINITION_SECONDS,
    "DeliveryBlockedAlarm": deliveries.MAX_RETRY_SECONDS,
    "LoginRefusedAlarm": login.REFUSED_SECONDS,
    "RunOverdueAlarm": polling.MAX_GAP_SECONDS,
    "SessionDuelAlarm": login.COOL_DOWN_SECONDS,
}
"""The longest time in which a lasting cause counts nothing."""
HEALING = {
    "RunFailedAlarm": definitions.MAX_DOUBT_SECONDS + RECONCILE_SECONDS,
    "ExecutionFailedAlarm": RECONCILE_SECONDS,
    "SubmitErrorsAlarm": RECONCILE_SECONDS,
    "PollErrorsAlarm": _seconds("PollFunction", "Wait after a failed poll"),
    "PublishErrorsAlarm": _seconds("PublishFunction", "Wait after a failed publish"),
    "SessionErrorsAlarm": _seconds("SessionFunction") + 2 * RECONCILE_SECONDS,
    "DeliverErrorsAlarm": LANE_SECONDS + RECONCILE_SECONDS,
}
"""Alarms on errors that are retried, and the longest time between errors of a lasting cause."""


def counted() -> dict[str, str]:
    """Return the metrics that the functions' code counts, and their units."""
    calls = re.findall(r'telemetry\.(count|seconds)\(\s*"(\w+)"(?: if \w+ else "(\w+)")?', SOURCES)
    purposes = re.findall(r'purpose="(\w+)"', SOURCES)
    assert 'count(f"ArenaRequestsTo{request.purpose}")' in SOURCES
    units = {
        name: {"count": "Count", "seconds": "Seconds"}[call]
        for call, *names in calls
        for name in filter(None, names)
    }
    return units | {f"ArenaRequestsTo{purpose}": "Count" for purpose in purposes}


def widgets(*options: str) -> list[dict[str, Any]]:
    """Return the dashboard's widgets, with the names of substitutions."""
    (dashboard,) = resources("AWS::CloudWatch::Dashboard", "HasDashboard", *options).values()
    text, own = dashboard["DashboardBody"]["Fn::Sub"]
    for name, value in own.items():
        text = text.replace(f"${{{name}}}", value["Fn::Sub"] if value else "")
    numbers = re.sub(r'"value": \$\{\w+\}', '"value": 0', text)
    found: list[dict[str, Any]] = json.loads(numbers)["widgets"]
    return found


def dashboard_metrics() -> list[tuple[str, str, str, str]]:
    """Return namespace, name, dimension and its value of each metric on the dashboard."""
    return [
        tuple(metric[:4])
        for widget in widgets(*OPTIONS)
        for metric in widget["properties"].get("metrics", ())
        if isinstance(metric[0], str)  # and no expression of others
    ]


def test_metrics__exist() -> None:
    """There are metrics and alarms, so that the tests below are not vacuous."""
    assert len(counted()) > 25
    assert len(ALARMS) > 12
    assert len(dashboard_metrics()) > 30


@pytest.mark.parametrize("name", ALARMS)
def test_alarm__watches_a_metric_that_exists(name: str) -> None:
    """The metric is ours, with the stack's name, or an AWS metric of a resource of the stack."""
    alarm = ALARMS[name]
    (dimension,) = alarm["Dimensions"]
    if alarm["Namespace"] == OWN:
        assert alarm["MetricName"] in counted()
        assert dimension == {"Name": "service", "Value": {"Ref": "AWS::StackName"}}
    else:
        metric = (alarm["Namespace"], alarm["MetricName"], dimension["Name"])
        assert metric in AWS_METRICS
        assert isinstance(dimension["Value"], dict)


@pytest.mark.parametrize("name", ALARMS)
def test_alarm__tells_somebody_what_to_do(name: str) -> None:
    """The description and the runbook have instructions, and the topic gets begin and end."""
    alarm = ALARMS[name]
    assert len(alarm["AlarmDescription"].split(". ")) >= 2
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    rows = [row.split("|") for row in RUNBOOK.splitlines() if row.startswith("| ")]
    (row,) = [row for row in rows if re.search(rf"\b{name}\b", row[1])]
    assert all(cell.strip() for cell in row[1:6])


@pytest.mark.parametrize("name", MAX_GAPS)
def test_alarm__lasts_as_long_as_its_cause(name: str) -> None:
    """The alarm does not end between two attempts while the cause lasts."""
    alarm = ALARMS[name]
    assert alarm["Threshold"] == 0
    assert alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) == 1
    seconds = alarm["Period"] * alarm["EvaluationPeriods"]
    assert seconds > MAX_GAPS[name] + RECONCILE_SECONDS


@pytest.mark.parametrize("name", HEALING)
def test_alarm__of_what_heals_by_itself_needs_two_periods_of_three(name: str) -> None:
    """A single error raises no alarm; a lasting cause has errors in two of any three periods.

    That is true if its errors are at most one and a half periods apart.
    """
    alarm = ALARMS[name]
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3, 2)
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (0, "notBreaching")
    assert HEALING[name] <= 1.5 * alarm["Period"]


def test_alarms__on_errors_are_all_known_to_heal_or_to_need_somebody() -> None:
    """Every alarm is listed as one that heals by itself or one that needs a person."""
    need_somebody = {
        "BudgetAlarm": "find out who spends the requests, or lower the reserve",
        "DeadLetterAlarm": "fix the cause and send the entries again",
        "DefinitionRefusedAlarm": "fix the definition or the user's right to it",
        "DeliveryBlockedAlarm": "let the stack write to the bucket, or the user read files",
        "DeliveryLateAlarm": "find out why files wait for hours",
        "IntakeWaitingAlarm": "enable the event source mapping",
        "LoginRefusedAlarm": "change the password",
        "OldestPendingAlarm": "find out why an item waits for hours",
        "RunOverdueAlarm": "have Arena's support abort the run",
        "RunUnreadableAlarm": "restore the user's access rights",
        "ScheduleDeadLetterAlarm": "send the request again",
        "SessionDuelAlarm": "give whoever logs in a user of their own",
        "UndeliverableFilesAlarm": "fix the cause and deliver the run again",
    }
    assert ALARMS.keys() == need_somebody.keys() | HEALING.keys()
    assert not need_somebody.keys() & HEALING.keys()


class DownTable(InMemoryTable):
    """A ledger that cannot be read."""

    def get(self, key: Key) -> Item | None:
        raise LedgerUnavailableError(str(key))


def test_failed_reconcile__measures_nothing() -> None:
    """A failed reconcile measures nothing, so OldestPendingAlarm also covers it.

    Therefore a submission that fails after a batch of messages needs no alarm of its own: the next
    reconcile does the same work, and its failure is an error of the function.
    """
    world = World(table=DownTable())
    with pytest.raises(LedgerUnavailableError):
        world.reconcile()
    assert "OldestPendingAge" not in world.telemetry.metrics
    alarm = ALARMS["OldestPendingAlarm"]
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 15 * 60


def test_metrics__are_shown_or_alarmed() -> None:
    """Every metric is used, because each costs $0.30 a month, and metrics.md lists its uses."""
    shown = {name for namespace, name, *_ in dashboard_metrics() if namespace == OWN}
    alarms: dict[str, list[str]] = {}
    for name, alarm in ALARMS.items():
        alarms.setdefault(alarm["MetricName"], []).append(name)
    used = {
        name: ["dashboard"] * (name in shown) + alarms.get(name, []) for name in sorted(counted())
    }
    assert [name for name, where in used.items() if not where] == []
    rows = [row.split("|") for row in METRICS.splitlines() if row.startswith("| `")]
    assert {row[1].strip(" `"): row[7].strip().split(", ") for row in rows} == used


def test_alarms__know_what_missing_data_means() -> None:
    """Missing data are an alarm only for the metric that is measured every minute."""
    missing = {
        name: alarm["TreatMissingData"]
        for name, alarm in ALARMS.items()
        if alarm["TreatMissingData"] != "notBreaching"
    }
    assert missing == {
        "BudgetAlarm": "ignore",
        "DeadLetterAlarm": "ignore",
        "IntakeWaitingAlarm": "ignore",
        "OldestPendingAlarm": "breaching",
        "ScheduleDeadLetterAlarm": "ignore",
    }


def test_functions__count_under_the_stack_s_name() -> None:
    """Metrics have the stack's name, so that two stacks in one account are not added up."""
    for function in resources("AWS::Lambda::Function", "DeliversFiles").values():
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == OWN


def test_dashboard__shows_metrics_that_exist() -> None:
    """The dashboard shows only metrics that exist."""
    for namespace, name, dimension, value in dashboard_metrics():
        if namespace == OWN:
            assert (name in counted(), dimension, value) == (True, "service", "${AWS::StackName}")
        else:
            assert (namespace, name, dimension) in AWS_METRICS


@pytest.mark.parametrize("options", [OPTIONS, ("DeliversFiles",), ("HasSchedule",), ()], ids=str)
def test_dashboard__answers_in_the_order_of_the_questions(options: tuple[str, ...]) -> None:
    """The order is: is it flowing, what is stuck, how much budget is left, what failed.

    The last question, whether files are delivered, is only there with delivery. Each alarm is shown
    where it exists.
    """
    found = widgets(*options)
    texts = [w["properties"]["markdown"] for w in found if w["type"] == "text"]
    questions = ["flowing", "stuck", "budget", "failed"]
    assert [re.findall(r"flowing|stuck|budget|failed|delivered", text) for text in texts] == [
        [question] for question in questions + ["delivered"] * ("DeliversFiles" in options)
    ]
    rows = [(widget["y"], widget["x"]) for widget in found]
    assert rows == sorted(rows)
    (alarms,) = [w["properties"]["alarms"] for w in found if w["type"] == "alarm"]
    assert alarms == [f"${{{name}.Arn}}" for name in resources("AWS::CloudWatch::Alarm", *options)]


@pytest.mark.parametrize("options", [(), ("DeliversFiles",)], ids=str)
def test_dashboard__fills_its_grid(options: tuple[str, ...]) -> None:
    """The widgets fill 24 columns without gaps and overlaps."""
    cells = [
        (widget["y"] + row, widget["x"] + column)
        for widget in widgets(*options)
        for row in range(widget["height"])
        for column in range(widget["width"])
    ]
    rows = max(row for row, _ in cells) + 1
    assert sorted(cells) == [(row, column) for row in range(rows) for column in range(24)]


def test_dashboard__calculates_with_metrics_that_are_shown_beside_it() -> None:
    """An expression refers to metrics of its own widget by their ids."""
    for widget in widgets(*OPTIONS):
        metrics = widget["properties"].get("metrics", ())
        ids = {m[-1]["id"] for m in metrics if isinstance(m[0], str) and "id" in m[-1]}
        used = {
            name for m in metrics if isinstance(m[0], dict) for name in m[0]["expression"].split()
        }
        assert used - {"/"} == ids


def test_metrics_page__describes_every_metric() -> None:
    """The page describes exactly the metrics that exist, with their units."""
    rows = [row.split("|") for row in METRICS.splitlines() if row.startswith("| `")]
    described = {row[1].strip(" `"): row[2].strip() for row in rows}
    assert len(described) == len(rows)
    assert described == counted()


def test_runbook__prints_the_lines_that_insights_finds() -> None:
    """Each result becomes a line with its values, as the AWS CLI formats text."""
    (expression,) = re.findall(r'get-query-results .*--query "([^"]+)"', RUNBOOK)
    results = [
        [
            {"field": "@timestamp", "value": "2026-01-31 12:00:00.000"},
            {"field": "message", "value": message},
            {"field": "@ptr", "value": "Cl8KJgoi"},
        ]
        for message in ("request recorded", "run submitted")
    ]
    rows = jmespath.search(expression, {"status": "Complete", "results": results})
    assert ["\t".join(row) for row in rows] == [
        "2026-01-31 12:00:00.000 | request recorded",
        "2026-01-31 12:00:00.000 | run submitted",
    ]


def test_runbook__keeps_the_parameters_that_it_does_not_set() -> None:
    """`set_parameter` keeps the values of all other parameters."""
    (expression,) = re.findall(r"--query \"(Stacks\[0\]\.Parameters.+)\"\)$", RUNBOOK, re.MULTILINE)
    parameters = [{"ParameterKey": name} for name in ("LogLevel", "ExportsPaused", "AlarmEmail")]
    found = jmespath.search(
        expression.replace("$1", "ExportsPaused"), {"Stacks": [{"Parameters": parameters}]}
    )
    assert found == [
        ["ParameterKey=LogLevel,UsePreviousValue=true"],
        ["ParameterKey=AlarmEmail,UsePreviousValue=true"],
    ]


def test_runbook__has_the_steps_of_a_first_deployment() -> None:
    """There are seven steps in order, each with a command."""
    section = RUNBOOK.split("## A first deployment")[1].split("\n## ")[0]
    assert re.findall(r"^(\d)\. \*\*", section, re.MULTILINE) == list("1234567")
    steps = re.split(r"^\d\. \*\*", section, flags=re.MULTILINE)[1:]
    assert all("```sh" in step for step in steps)


def test_runbook__asks_for_lines_that_exist() -> None:
    """Every message in a query is a message of the code."""
    queries = re.findall(r"insights '([^']+)'", RUNBOOK)
    assert len(queries) >= 6
    messages = {
        message
        for query in queries
        for found in re.findall(r'message (?:= |in \[)("[^\]|]+")', query)
        for message in re.findall(r'"([^"]+)"', found)
    }
    assert len(messages) >= 6
    for message in messages:
        assert f'"{message}"' in SOURCES, message
    for field in re.findall(r"\b(requestId|correlationId|runGuid|exportGuid|errorCode)\b", RUNBOOK):
        assert f"{field}=" in SOURCES
