"""The template as CloudFormation gets it: what the linters and the emulator do not see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from arena_exports.adapters.http import WHOLE_TIMEOUT_SECONDS
from arena_exports.ledger.lease import LEASE_SECONDS
from arena_exports.sessions import LOGIN_SECONDS
from arena_exports.submission import SECONDS_FOR_A_POST
from tests.support.asl import DEFINITION

ROOT = Path(__file__).parents[2]
CONTRACT_PARAMETERS = {
    "ArenaBaseUrl",
    "ArenaCredentialsSecretArn",
    "DefaultExportGuid",
    "BatchingWindowSeconds",
    "MaxItemsPerRun",
    "RunTimeoutSeconds",
    "RequestBudgetReserve",
    "ScheduledExportGuid",
    "ScheduledExportExpression",
    "AlarmEmail",
    "LogLevel",
    "LogRetentionDays",
    "WorkspaceName",
}
CONTRACT_OUTPUTS = {
    "IntakeQueueUrl",
    "IntakeQueueArn",
    "DeadLetterQueueUrl",
    "OutcomeTopicArn",
    "StateMachineArn",
    "LedgerTableName",
    "SessionSecretArn",
    "DashboardName",
}


class NoManagedPolicies:
    """The template uses none."""

    def load(self) -> dict[str, str]:
        """Return an empty map."""
        return {}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """Return the template after SAM's transform."""
    parsed = yaml_parse((ROOT / "template.yaml").read_text())
    for resource in parsed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/key"
    parsed["Globals"]["Function"].pop("CodeUri")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        translated: dict[str, Any] = transform(parsed, {}, NoManagedPolicies())
    return translated


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the properties of a resource."""
    return dict(template["Resources"][name]["Properties"])


def statements(template: dict[str, Any], role: str) -> list[tuple[set[str], str]]:
    """Return a role's grants: actions, and the resource as text."""
    (policy,) = properties(template, role)["Policies"]
    return [
        (
            set(s["Action"] if isinstance(s["Action"], list) else [s["Action"]]),
            yaml.safe_dump(s["Resource"]),
        )
        for s in policy["PolicyDocument"]["Statement"]
    ]


def roles_that_may(template: dict[str, Any], action: str, resource: str) -> set[str]:
    """Return the roles that grant an action on a resource with that in its name."""
    return {
        name
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::IAM::Role"
        for actions, target in statements(template, name)
        if action in actions and resource in target
    }


def test_template__has_the_contract_s_names(template: dict[str, Any]) -> None:
    """Parameters and outputs are those of the contract; further ones have defaults."""
    parameters = template["Parameters"]
    assert parameters.keys() >= CONTRACT_PARAMETERS
    assert {n for n, p in parameters.items() if "Default" not in p} == {"ArenaCredentialsSecretArn"}
    assert template["Outputs"].keys() == CONTRACT_OUTPUTS


@pytest.mark.parametrize(
    "url",
    [
        "https://api.arenasolutions.com/v1",
        "https://api.arenagov.com/v1",
        "https://api.europe.arenaplm.com/v1",
        "https://api.uk.arenaplm.com/v1",
        "https://api.arenaplm.cn/v1",
        "http://127.0.0.1:8081/v1",
        "http://localhost:1",
    ],
)
def test_base_url__accepted(template: dict[str, Any], url: str) -> None:
    """Arena's five addresses, and a stand-in on loopback."""
    assert re.fullmatch(template["Parameters"]["ArenaBaseUrl"]["AllowedPattern"], url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.arenasolutions.com/v1",
        "https://api.arenasolutions.com",
        "https://api.arenasolutions.com./v1",
        "https://API.arenasolutions.com/v1",
        "https://api.arenasolutions.com:443/v1",
        "https://api.arenasolutions.com/v1/",
        "https://user@api.arenasolutions.com/v1",
        "https://api.arenasolutions.com.evil.example/v1",
        "https://apixarenasolutions.com/v1",
        "http://169.254.169.254/v1",
        "http://127.0.0.1/v1",
        "http://localhost.evil.example:80/v1",
        "http://localhost:80@evil.example/v1",
        "",
    ],
)
def test_base_url__refused(template: dict[str, Any], url: str) -> None:
    """FAULT 45: anything else is refused in the template already."""
    assert not re.fullmatch(template["Parameters"]["ArenaBaseUrl"]["AllowedPattern"], url)


def test_queues__hold_messages_long_enough(template: dict[str, Any]) -> None:
    """Six times the function's time-out plus the longest window.

    The DLQ keeps longer than the queue.
    """
    intake, dead = properties(template, "IntakeQueue"), properties(template, "DeadLetterQueue")
    timeout = properties(template, "SubmitFunction")["Timeout"]
    window = template["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    assert intake["VisibilityTimeout"] >= 6 * timeout + window
    assert dead["MessageRetentionPeriod"] > intake["MessageRetentionPeriod"]
    assert intake["MaximumMessageSize"] == dead["MaximumMessageSize"] == 1024 * 1024
    assert intake["RedrivePolicy"]["maxReceiveCount"] >= 3


def test_event_source__reports_partial_failures(template: dict[str, Any]) -> None:
    """Batches are large, wait for the window, and fail message by message."""
    (mapping,) = [
        body["Properties"]
        for body in template["Resources"].values()
        if body["Type"] == "AWS::Lambda::EventSourceMapping"
    ]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] % 98 == 0
    assert template["Parameters"]["BatchingWindowSeconds"]["MinValue"] >= 1
    assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2


def test_time_outs__fit_together(template: dict[str, Any]) -> None:
    """The lease outlives submit and Arena's answer; a Task outlives its function."""
    submit = properties(template, "SubmitFunction")["Timeout"]
    assert submit + WHOLE_TIMEOUT_SECONDS < LEASE_SECONDS
    assert SECONDS_FOR_A_POST > WHOLE_TIMEOUT_SECONDS
    assert properties(template, "SessionFunction")["Timeout"] < LOGIN_SECONDS
    for state, function in {
        "Poll": "PollFunction",
        "Publish": "PublishFunction",
        "Submit what piled up": "SubmitFunction",
    }.items():
        timeout = properties(template, function)["Timeout"]
        assert DEFINITION["States"][state]["TimeoutSeconds"] > timeout


def test_roles__grant_no_wildcard(template: dict[str, Any]) -> None:
    """No action and no resource is a wildcard, and each function has a role of its own."""
    roles = [n for n, body in template["Resources"].items() if body["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 6
    for role in roles:
        for actions, resource in statements(template, role):
            assert not any("*" in action for action in actions)
            assert resource.strip() not in ("'*'", "*")
    used = [
        str(body["Properties"]["Role"])
        for body in template["Resources"].values()
        if body["Type"] == "AWS::Lambda::Function"
    ]
    assert len(set(used)) == len(used) == 4


def test_roles__who_may_do_what(template: dict[str, Any]) -> None:
    """Only session reads the credentials; who reads the session, publishes, logs in, is known."""
    read = "secretsmanager:GetSecretValue"
    assert roles_that_may(template, read, "ArenaCredentialsSecretArn") == {"SessionRole"}
    assert roles_that_may(template, read, "SessionSecret") == {
        "SubmitRole",
        "PollRole",
        "SessionRole",
    }
    assert roles_that_may(template, "secretsmanager:PutSecretValue", "") == {"SessionRole"}
    assert roles_that_may(template, "sns:Publish", "OutcomeTopic") == {"SubmitRole", "PublishRole"}
    invoke = "lambda:InvokeFunction"
    assert roles_that_may(template, invoke, "SessionFunction") == {"SubmitRole", "PollRole"}
    assert roles_that_may(template, invoke, "SubmitFunction") == {"ExportRunRole", "ScheduleRole"}
    assert roles_that_may(template, "states:StartExecution", "export-run") == {"SubmitRole"}


def test_names__of_the_state_machine_agree(template: dict[str, Any]) -> None:
    """Submit knows the state machine by its name, because each of the two must know the other."""
    name = properties(template, "ExportRunStateMachine")["StateMachineName"]["Fn::Sub"]
    arn = properties(template, "SubmitFunction")["Environment"]["Variables"]["STATE_MACHINE_ARN"]
    assert arn["Fn::Sub"].endswith(f":stateMachine:{name}")


def test_nothing__has_a_fixed_name(template: dict[str, Any]) -> None:
    """A second stack beside the first works."""
    fixed = [
        (name, key)
        for name, body in template["Resources"].items()
        for key, value in body.get("Properties", {}).items()
        if re.fullmatch(r"\w*Name", key) and key != "MetricName" and isinstance(value, str)
    ]
    assert fixed == []


def test_ledger__is_kept(template: dict[str, Any]) -> None:
    """The ledger survives its stack, expires what is settled, and can be restored."""
    ledger = template["Resources"]["Ledger"]
    assert ledger["DeletionPolicy"] == ledger["UpdateReplacePolicy"] == "Retain"
    settings = ledger["Properties"]
    assert settings["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert settings["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
