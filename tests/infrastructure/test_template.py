"""The template as CloudFormation gets it: what the linters and the emulator do not see."""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.adapters.http import WHOLE_TIMEOUT_SECONDS
from arena_exports.domain.errors import SettingsError
from arena_exports.domain.polling import next_wait_seconds
from arena_exports.ledger.lease import LEASE_SECONDS
from arena_exports.services.login import LOGIN_SECONDS
from arena_exports.services.monitoring import SHARE_WHILE_KEPT_FROM_POLLING
from arena_exports.services.submission import SECONDS_FOR_A_POST
from arena_exports.wiring.settings import ARENA_HOSTS, checked_base_url
from infra.checks.template import resources, translated
from infra.local import launch
from infra.local.paths import ROOT
from tests.support import addresses
from tests.support.asl import DEFINITION
from tests.support.properties import thorough

if TYPE_CHECKING:
    from collections.abc import Callable

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


@pytest.fixture
def template() -> dict[str, Any]:
    """Return the template after SAM's transform."""
    return translated()


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the properties of a resource."""
    return dict(template["Resources"][name]["Properties"])


def test_template__has_the_contract_s_names(template: dict[str, Any]) -> None:
    """Parameters and outputs are those of the contract; further ones have defaults."""
    parameters = template["Parameters"]
    assert parameters.keys() >= CONTRACT_PARAMETERS
    assert {n for n, p in parameters.items() if "Default" not in p} == {"ArenaCredentialsSecretArn"}
    assert template["Outputs"].keys() == CONTRACT_OUTPUTS


def test_dashboard__can_be_left_out(template: dict[str, Any]) -> None:
    """It is made unless it is turned off; then its output is absent, too."""
    assert template["Parameters"]["CreateDashboard"]["Default"] == "true"
    has = template["Conditions"]["HasDashboard"]
    assert has == {"Fn::Equals": [{"Ref": "CreateDashboard"}, "true"]}
    assert template["Outputs"]["DashboardName"]["Condition"] == "HasDashboard"
    assert not resources("AWS::CloudWatch::Dashboard")
    assert resources("AWS::CloudWatch::Dashboard", "HasDashboard").keys() == {"Dashboard"}


def test_outputs__exist_where_their_resource_does(template: dict[str, Any]) -> None:
    """An output of a resource that a condition leaves out would fail the deployment."""
    for output in template["Outputs"].values():
        (name,) = re.findall(r"'(?:Ref|Fn::GetAtt)': \[?'(\w+)", str(output["Value"]))
        assert output.get("Condition") == template["Resources"][name].get("Condition")


@pytest.mark.parametrize("mode", ["PassThrough", "Active"])
def test_tracing__is_one_parameter(template: dict[str, Any], mode: str) -> None:
    """Functions and state machine are traced by X-Ray when it says so; by default they are not."""
    parameter = template["Parameters"]["Tracing"]
    assert parameter["Default"] == "PassThrough"
    assert mode in parameter["AllowedValues"]
    for function in resources("AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": {"Ref": "Tracing"}}
    true = ("HasTracing",) if mode == "Active" else ()
    (machine,) = resources("AWS::StepFunctions::StateMachine", *true).values()
    assert machine["TracingConfiguration"] == {"Enabled": mode == "Active"}


def test_runtime__of_the_local_stack_is_allowed(template: dict[str, Any]) -> None:
    """A local stack runs on the Python that starts it, or is told of the newest one."""
    allowed = template["Parameters"]["Runtime"]["AllowedValues"]
    assert "python{}.{}".format(*launch.NEWEST_RUNTIME) == allowed[-1]
    expected = "python{}.{}".format(*sys.version_info[:2])
    assert launch.DEFAULTS["Runtime"] == (expected if expected in allowed else allowed[-1])


def allows_base_url(url: str) -> bool:
    """Tell whether the template lets an address pass; CloudFormation matches the whole of it."""
    pattern = translated()["Parameters"]["ArenaBaseUrl"]["AllowedPattern"]
    return re.fullmatch(pattern, url) is not None


@pytest.mark.parametrize("url", addresses.ACCEPTED)
def test_base_url__accepted(url: str) -> None:
    """Arena's five addresses, and a stand-in on loopback."""
    assert allows_base_url(url)


@pytest.mark.parametrize("url", addresses.REFUSED)
def test_base_url__refused(url: str) -> None:
    """FAULT 45: anything else is refused in the template already."""
    assert not allows_base_url(url)


@thorough()
@given(
    st.sampled_from(addresses.ACCEPTED),
    st.integers(0, 40),
    st.integers(0, 2),
    st.text(st.characters() | st.sampled_from("/:@.?#\\019av"), max_size=2),
)
def test_base_url__property_template_and_code_agree(
    url: str, at: int, removed: int, put: str
) -> None:
    """Whatever is put into an address, or taken out: both let it pass, or neither does."""
    changed = url[:at] + put + url[at + removed :]
    try:
        accepted = bool(checked_base_url(changed))
    except SettingsError:
        accepted = False
    assert allows_base_url(changed) == accepted


def test_tls__is_wanted_at_each_address_of_arena(template: dict[str, Any]) -> None:
    """A host that HasTls forgets would be served without the policies that refuse plain HTTP."""
    pattern = template["Parameters"]["ArenaBaseUrl"]["AllowedPattern"]
    (hosts,) = re.findall(r"\^\(https://api\\\.\(([^)]+)\)/v1\|http://", pattern)
    allowed = {f"https://api.{host}/v1" for host in hosts.replace("\\", "").split("|")}
    compared = [one["Fn::Equals"] for one in template["Conditions"]["HasTls"]["Fn::Or"]]
    assert {url for _, url in compared} == allowed
    assert allowed == {f"https://{host}/v1" for host in ARENA_HOSTS}
    assert all(parameter == {"Ref": "ArenaBaseUrl"} for parameter, _ in compared)


def test_queues__hold_messages_long_enough(template: dict[str, Any]) -> None:
    """Visible again after six time-outs and a window; the DLQs keep for as long as SQS can."""
    intake, dead = properties(template, "IntakeQueue"), properties(template, "DeadLetterQueue")
    timeout = properties(template, "SubmitFunction")["Timeout"]
    window = template["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    assert intake["VisibilityTimeout"] >= 6 * timeout + window
    assert dead["MessageRetentionPeriod"] > intake["MessageRetentionPeriod"]
    assert intake["MaximumMessageSize"] == dead["MaximumMessageSize"] == 1024 * 1024
    undelivered = properties(template, "ScheduleDeadLetterQueue")
    assert dead["MessageRetentionPeriod"] == undelivered["MessageRetentionPeriod"] == 14 * 86_400


def test_queue__gives_up_after_some_receives(template: dict[str, Any]) -> None:
    """AWS wants five at least: throttled deliveries count as receives. An hour's outage takes more.

    `tests/functional/test_redelivery.py` has the sum.
    """
    redrive = properties(template, "IntakeQueue")["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == 10
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def test_event_source__reports_partial_failures() -> None:
    """Batches are large, wait for the window, and fail message by message.

    Submit leaves half of the ten executions that a new account has to the others.
    """
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["IntakeQueue", "Arn"]}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] % 98 == 0
    assert mapping["MaximumBatchingWindowInSeconds"] == {"Ref": "BatchingWindowSeconds"}
    assert translated()["Parameters"]["BatchingWindowSeconds"]["MinValue"] >= 1
    assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 5


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
    applied = ledger["Properties"]
    assert applied["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert applied["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert applied["DeletionProtectionEnabled"] is True


def test_tasks__have_a_time_out_and_named_retries() -> None:
    """Only what is Lambda's fault is tried again at once; the machine ends, too, some day."""
    tasks = [state for state in DEFINITION["States"].values() if state["Type"] == "Task"]
    assert len(tasks) == 3
    for task in tasks:
        assert 0 < task["TimeoutSeconds"] < 900
        errors = [name for retry in task["Retry"] for name in retry["ErrorEquals"]]
        assert errors
        assert all(name.startswith("Lambda.") for name in errors)
        assert all("MaxDelaySeconds" in retry for retry in task["Retry"])
        assert task["Catch"][0]["ErrorEquals"] == ["States.ALL"]
    assert DEFINITION["TimeoutSeconds"] == 86_400


def test_execution__ends_far_below_the_event_limit() -> None:
    """FAULT 36: Step Functions allows 25,000; a run that takes longer is watched again."""
    assert 0 < _rounds(lambda waited: next_wait_seconds((), waited)) * 9 < 20_000
    kept = _rounds(lambda waited: max(1, int(waited * SHARE_WHILE_KEPT_FROM_POLLING)))
    assert 0 < kept * 9 < 20_000
    states = DEFINITION["States"]
    tries = 1 + states["Poll"]["Retry"][0]["MaxAttempts"]
    for state in ("Wait after a failed poll", "Wait after a failed publish"):
        seconds: int = states[state]["Seconds"]
        failed = _rounds(partial(_always, seconds))
        assert 0 < failed * (3 * tries + 4) < 20_000


def _always(seconds: int, _waited: float) -> float:
    return seconds


def _rounds(next_wait: Callable[[float], float]) -> int:
    """Count the rounds of an execution until its time-out."""
    waited, rounds = 0.0, 0
    while waited < DEFINITION["TimeoutSeconds"]:
        rounds += 1
        waited += next_wait(waited)
    return rounds


def test_functions__can_be_deployed_in_a_new_account() -> None:
    """No reserved concurrency: such an account has ten executions in all."""
    functions = resources("AWS::Lambda::Function")
    assert len(functions) == 4
    for function in functions.values():
        assert "ReservedConcurrentExecutions" not in function
        assert function["Timeout"] <= 300


def test_reconcile__is_not_piled_up() -> None:
    """Lambda drops an invocation that could not begin within the minute; the next one comes."""
    (applied,) = resources("AWS::Lambda::EventInvokeConfig").values()
    assert applied["MaximumRetryAttempts"] == 0
    assert applied["MaximumEventAgeInSeconds"] == 60


def test_schedules__keep_what_they_could_not_deliver() -> None:
    """A scheduled export is somebody's request; a reconcile is followed by another one.

    Reconcile goes straight to submit, the export to the queue.
    """
    schedules = resources("AWS::Scheduler::Schedule", "HasSchedule")
    targets = {name: schedule["Target"] for name, schedule in schedules.items()}
    assert {name: target["Arn"]["Fn::GetAtt"][0] for name, target in targets.items()} == {
        "ReconcileSchedule": "SubmitFunction",
        "ExportSchedule": "IntakeQueue",
    }
    kept = targets["ExportSchedule"]["DeadLetterConfig"]["Arn"]
    assert kept == {"Fn::GetAtt": ["ScheduleDeadLetterQueue", "Arn"]}
    assert "DeadLetterConfig" not in targets["ReconcileSchedule"]
    for target in targets.values():
        assert 60 <= target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600
    assert schedules["ExportSchedule"]["ScheduleExpressionTimezone"]
    assert resources("AWS::Scheduler::Schedule").keys() == {"ReconcileSchedule"}


def test_partition__is_nowhere_taken_for_granted(template: dict[str, Any]) -> None:
    """GovCloud and China: `arn:aws:` stands in patterns of parameters alone."""
    assert "arn:aws:" not in json.dumps(template["Resources"])


def test_everything__is_encrypted_at_rest() -> None:
    """Queues by SQS, so that schedules and alarms need no key; the rest by a key."""
    for queue in resources("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue
    topics = resources("AWS::SNS::Topic")
    assert len(topics) == 2
    assert all(topic["KmsMasterKeyId"] == {"Ref": "Key"} for topic in topics.values())
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    (secret,) = resources("AWS::SecretsManager::Secret").values()
    assert secret["KmsKeyId"] == key
    for group in resources("AWS::Logs::LogGroup").values():
        assert group["KmsKeyId"] == key
    (table,) = resources("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {"SSEEnabled": True}, "a key of the stack dies before it"
    (applied,) = resources("AWS::KMS::Key").values()
    assert applied["EnableKeyRotation"] is True


def test_logs__are_kept_for_a_while_and_hold_no_execution_data() -> None:
    """Each function and the state machine write to a group of the stack."""
    groups = resources("AWS::Logs::LogGroup")
    assert len(groups) == 5
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    for name, function in resources("AWS::Lambda::Function").items():
        own = name.replace("Function", "LogGroup")
        assert function["LoggingConfig"]["LogGroup"] == {"Ref": own}
    (machine,) = resources("AWS::StepFunctions::StateMachine").values()
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    (destination,) = logging["Destinations"]
    arn = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert arn == {"Fn::GetAtt": ["ExportRunLogGroup", "Arn"]}


LIMITS = {
    "AWS::CloudWatch::Alarm": ("AlarmDescription", 1024),
    "AWS::Lambda::Function": ("Description", 256),
    "AWS::Scheduler::Schedule": ("Description", 512),
    "AWS::SecretsManager::Secret": ("Description", 2048),
}


@pytest.mark.parametrize("type_", LIMITS)
def test_descriptions__are_short_enough(type_: str) -> None:
    """The emulator takes any; each service has a limit of its own."""
    name, most = LIMITS[type_]
    found = resources(type_, *translated()["Conditions"])
    assert found
    assert all(0 < len(body[name]) <= most for body in found.values())


def test_stack_name__leaves_room_for_the_state_machine_s() -> None:
    """That name has at most 80 characters; README says how many the stack's may have."""
    (machine,) = resources("AWS::StepFunctions::StateMachine").values()
    suffix = machine["StateMachineName"]["Fn::Sub"].removeprefix("${AWS::StackName}")
    assert f"limited\nto {80 - len(suffix)} characters" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ScheduledExportExpression", ["rate(5 minutes)", "cron(0 6 * * ? *)", ""], ["0 6 * * *"]),
        (
            "ScheduledExportTimezone",
            ["UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+1"],
            ["", "x" * 51],
        ),
        ("AlarmEmail", ["", "ops+arena@example.co.uk"], ["ops", "a@b", "a b@c.de"]),
        (
            "ArenaCredentialsSecretArn",
            ["arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a-b1C2d3"],
            ["arena"],
        ),
        (
            "ArenaCredentialsKeyArn",
            ["", "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-12ab"],
            ["alias/aws/secretsmanager"],
        ),
    ],
)
def test_parameters__refuse_what_a_service_would_refuse(
    name: str, good: list[str], bad: list[str]
) -> None:
    """Before anything is made. None of these is given to the emulator."""
    pattern = translated()["Parameters"][name]["AllowedPattern"]
    assert [value for value in good if not re.fullmatch(pattern, value)] == []
    assert [value for value in bad if re.fullmatch(pattern, value)] == []


def test_environment__holds_no_secret() -> None:
    """Functions know names and numbers; of secrets they know the ARN (R9)."""
    for function in resources("AWS::Lambda::Function").values():
        for name in function["Environment"]["Variables"]:
            assert not re.search(r"PASSWORD|SESSION_ID|TOKEN", name)
    assert "{{resolve:" not in json.dumps(translated())
