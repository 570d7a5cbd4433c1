"""Metrics, the alarms and the dashboard that watch them, and the page that explains them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.translated import ROOT, resources

OWN = "ArenaExports"
AWS_METRICS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"),
    ("AWS/Lambda", "Errors", "FunctionName"),
    ("AWS/States", "ExecutionsFailed", "StateMachineArn"),
}
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "functions").rglob("*.py")))
RUNBOOK = (ROOT / "infra" / "runbook.md").read_text()
README = (ROOT / "README.md").read_text()
ALARMS = resources("AWS::CloudWatch::Alarm")


def counted() -> set[str]:
    """Return the names of the metrics that the functions' code counts."""
    plain = set(re.findall(r'telemetry\.(?:count|seconds)\(\s*"(\w+)"', SOURCES))
    purposes = set(re.findall(r'purpose="(\w+)"', SOURCES))
    assert 'count(f"ArenaRequestsTo{request.purpose}")' in SOURCES
    return plain | {f"ArenaRequestsTo{purpose}" for purpose in purposes}


def widgets() -> list[dict[str, Any]]:
    """Return the dashboard's widgets; what is substituted stands there by its name."""
    (dashboard,) = resources("AWS::CloudWatch::Dashboard").values()
    text = dashboard["DashboardBody"]["Fn::Sub"]
    numbers = re.sub(r'"value": \$\{\w+\}', '"value": 0', text)
    found: list[dict[str, Any]] = json.loads(numbers)["widgets"]
    return found


def dashboard_metrics() -> list[tuple[str, str, str, str]]:
    """Return namespace, name, dimension and its value of each metric on the dashboard."""
    return [
        tuple(metric[:4])
        for widget in widgets()
        for metric in widget["properties"].get("metrics", ())
    ]


def test_metrics__exist() -> None:
    """There are some, so that the tests below say something."""
    assert len(counted()) > 25
    assert len(ALARMS) == 16
    assert len(dashboard_metrics()) > 30


@pytest.mark.parametrize("name", ALARMS)
def test_alarm__watches_a_metric_that_exists(name: str) -> None:
    """One of ours, under the stack's name; or one of AWS, of a resource of the stack."""
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
    """In its description and in a row of the runbook, at its begin and at its end."""
    alarm = ALARMS[name]
    assert len(alarm["AlarmDescription"].split(". ")) >= 2
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    rows = [row.split("|") for row in RUNBOOK.splitlines() if row.startswith("| ")]
    (row,) = [row for row in rows if re.search(rf"\b{name}\b", row[1])]
    assert all(cell.strip() for cell in row[1:6])


def test_functions__count_under_the_stack_s_name() -> None:
    """So that two stacks in one account do not add up."""
    for function in resources("AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == OWN


def test_dashboard__shows_metrics_that_exist() -> None:
    """Of the same kinds as the alarms'."""
    for namespace, name, dimension, value in dashboard_metrics():
        if namespace == OWN:
            assert (name in counted(), dimension, value) == (True, "service", "${AWS::StackName}")
        else:
            assert (namespace, name, dimension) in AWS_METRICS


def test_dashboard__answers_in_the_order_of_the_questions() -> None:
    """On call one asks: is it flowing, what is stuck, how much budget is left, what failed."""
    texts = [w["properties"]["markdown"] for w in widgets() if w["type"] == "text"]
    assert [re.findall(r"flowing|stuck|budget|failed", text) for text in texts] == [
        ["flowing"],
        ["stuck"],
        ["budget"],
        ["failed"],
    ]
    rows = [(widget["y"], widget["x"]) for widget in widgets()]
    assert rows == sorted(rows)
    (alarms,) = [w["properties"]["alarms"] for w in widgets() if w["type"] == "alarm"]
    assert alarms == [f"${{{name}.Arn}}" for name in ALARMS]


def test_readme__has_every_metric_in_its_table() -> None:
    """And none that does not exist."""
    section = README.split("## Metrics")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert named == counted()


def test_runbook__asks_for_lines_that_exist() -> None:
    """Every message in a query is one that the code logs."""
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
