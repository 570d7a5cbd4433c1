"""The function behind the dashboard's first widget, in the translated template."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from infra.checks.template import resources, translated
from infra.local.paths import ROOT
from tests.support.translated import role_statements

HANDLER = (ROOT / "infra" / "operator" / "status" / "handler.py").read_text()
PARTS = {"StatusFunction", "StatusLogGroup", "StatusRole"}


def function() -> dict[str, Any]:
    """Return the function's properties."""
    return resources("AWS::Lambda::Function", "HasDashboard")["StatusFunction"]


def test_status__exists_with_the_dashboard_alone() -> None:
    """Without a dashboard nothing of it is created, and nothing of it costs."""
    found = translated()["Resources"]
    named = {name for name in found if name.startswith("Status")}
    assert named == PARTS
    assert {found[name].get("Condition") for name in PARTS} == {"HasDashboard"}


def test_status__only_reads() -> None:
    """It reads the ledger and measures two queues; it reaches no secret, no topic, no Arena."""
    always = list(role_statements())
    own = [one for one in role_statements("HasDashboard") if one.of == "StatusRole"]
    assert not [one for one in always if one.of == "StatusRole"]
    grants = {(action, place) for one in own for action in one.actions for place in one.resources}
    assert grants == {
        *((f"logs:{name}", "StatusLogGroup") for name in ("CreateLogStream", "PutLogEvents")),
        *((f"dynamodb:{name}", "Ledger") for name in ("GetItem", "BatchGetItem", "Query")),
        *(("sqs:GetQueueAttributes", name) for name in ("IntakeQueue", "DeadLetterQueue")),
    }


def test_status__is_called_by_those_who_may_invoke_it() -> None:
    """There is no public address, and no permission for anybody else."""
    all_conditions = translated()["Conditions"]
    assert not resources("AWS::Lambda::Url", *all_conditions)
    for permission in resources("AWS::Lambda::Permission", *all_conditions).values():
        assert "StatusFunction" not in str(permission["FunctionName"])


def test_status__has_the_variables_that_it_reads() -> None:
    """Every variable of the handler is in the template."""
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', HANDLER)) - {"AWS_LAMBDA_FUNCTION_NAME"}
    variables = function()["Environment"]["Variables"]
    assert len(read) > 7
    assert read <= variables.keys()
    assert variables["EXPORTS_PAUSED"] == {"Ref": "ExportsPaused"}


def test_status__is_the_dashboard_s_first_widget() -> None:
    """It is above everything else, over the whole width, and follows the dashboard's refresh."""
    (dashboard,) = resources("AWS::CloudWatch::Dashboard", "HasDashboard").values()
    text = dashboard["DashboardBody"]["Fn::Sub"][0]
    first = json.loads(text[text.index("[") + 1 : text.index("}}},") + 3])
    assert (first["type"], first["x"], first["y"], first["width"]) == ("custom", 0, 0, 24)
    assert first["properties"]["endpoint"] == "${StatusFunction.Arn}"
    assert first["properties"]["updateOn"]["refresh"] is True


def test_status__has_a_zip_of_its_own() -> None:
    """The other functions' zip has nothing of the operator's package."""
    text = re.sub(r"!(\w+)", "", (ROOT / "template.yaml").read_text())
    template = yaml.safe_load(text)
    sources = {
        name: body["Properties"].get("CodeUri", template["Globals"]["Function"]["CodeUri"])
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::Serverless::Function"
    }
    assert sources.pop("StatusFunction") == "infra/operator/"
    assert set(sources.values()) == {"functions/"}
