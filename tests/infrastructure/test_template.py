"""The translated template: properties that neither linters nor emulator check."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports.adapters.http import WHOLE_TIMEOUT_SECONDS
from arena_exports.domain.errors import SettingsError
from arena_exports.domain.polling import Pace, PastRuns, next_wait_seconds
from arena_exports.ledger.deliveries import LANE_SECONDS
from arena_exports.ledger.lease import LEASE_SECONDS
from arena_exports.services.login import LOGIN_SECONDS
from arena_exports.services.polling import SHARE_WHILE_KEPT_FROM_POLLING
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

PARAMETERS_PAGE = (ROOT / "infra" / "parameters.md").read_text()
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
    "DeliverFiles",
    "DeliveryBucketName",
    "DeliveryKeyArn",
    "DeliveryPrefix",
}
CONTRACT_OUTPUTS = {
    "IntakeQueueUrl",
    "IntakeQueueArn",
    "DeadLetterQueueUrl",
    "OutcomeTopicArn",
    "StateMachineArn",
    "LedgerTableName",
    "SessionSecretArn",
    "DeliveryBucketName",
    "DashboardName",
    "Version",
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
    """The dashboard is created unless it is turned off; then its output is absent as well."""
    assert template["Parameters"]["CreateDashboard"]["Default"] == "true"
    has = template["Conditions"]["HasDashboard"]
    assert has == {"Fn::Equals": [{"Ref": "CreateDashboard"}, "true"]}
    assert template["Outputs"]["DashboardName"]["Condition"] == "HasDashboard"
    assert not resources("AWS::CloudWatch::Dashboard")
    assert resources("AWS::CloudWatch::Dashboard", "HasDashboard").keys() == {"Dashboard"}


DELIVERY = {
    "DeliverFunction",
    "DeliverFunctionEventInvokeConfig",
    "DeliverLogGroup",
    "DeliverRole",
    "DeliveryBucket",
    "DeliveryBucketPolicy",
    "DeliverErrorsAlarm",
    "DeliveryBlockedAlarm",
    "DeliveryLateAlarm",
    "UndeliverableFilesAlarm",
}


def test_delivery__is_off_by_default_and_then_creates_nothing(template: dict[str, Any]) -> None:
    """With delivery, each of its resources is there; the bucket only if no other one is named."""
    assert template["Parameters"]["DeliverFiles"]["Default"] == "false"
    delivers = {"Fn::Equals": [{"Ref": "DeliverFiles"}, "true"]}
    assert template["Conditions"]["DeliversFiles"] == delivers
    no_name = {"Fn::Equals": [{"Ref": "DeliveryBucketName"}, ""]}
    both = {"Fn::And": [{"Condition": "DeliversFiles"}, no_name]}
    assert template["Conditions"]["MakesBucket"] == both
    conditions = {name: body.get("Condition") for name, body in template["Resources"].items()}
    bucket = {"DeliveryBucket", "DeliveryBucketPolicy"}
    made = {name for name, condition in conditions.items() if condition == "MakesBucket"}
    assert made == bucket
    others = {name for name, condition in conditions.items() if condition == "DeliversFiles"}
    assert others == DELIVERY - bucket
    assert {name for name in conditions if name.startswith("Deliver")} <= DELIVERY
    assert template["Outputs"]["DeliveryBucketName"]["Condition"] == "DeliversFiles"


def test_delivery__off_changes_nothing_in_what_remains() -> None:
    """Functions do not know deliver then, and poll has no reason to write to its lane."""
    for true in ((), ("DeliversFiles", "MakesBucket")):
        submit = resources("AWS::Lambda::Function", *true)["SubmitFunction"]
        name = submit["Environment"]["Variables"]["DELIVER_FUNCTION_NAME"]
        assert name == ({"Ref": "DeliverFunction"} if true else "")
    for function in resources("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["DELIVER_FILES"] == {"Ref": "DeliverFiles"}


def test_delivery_bucket__is_closed_kept_and_cleans_up(template: dict[str, Any]) -> None:
    """Bucket and policy outlive the stack; nothing is public; open uploads end after a day."""
    for name in ("DeliveryBucket", "DeliveryBucketPolicy"):
        body = template["Resources"][name]
        assert body["DeletionPolicy"] == body["UpdateReplacePolicy"] == "Retain"
    (bucket,) = resources("AWS::S3::Bucket", "MakesBucket").values()
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    (ownership,) = bucket["OwnershipControls"]["Rules"]
    assert ownership == {"ObjectOwnership": "BucketOwnerEnforced"}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule.pop("Id")
    abort = {"DaysAfterInitiation": 1}
    assert rule == {"Status": "Enabled", "AbortIncompleteMultipartUpload": abort}


@pytest.mark.parametrize(
    ("options", "encryption"),
    [
        ((), {"SSEAlgorithm": "AES256"}),
        (
            ("HasDeliveryKey",),
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "DeliveryKeyArn"}},
        ),
    ],
)
def test_delivery_bucket__is_encrypted_with_no_key_of_the_stack(
    options: tuple[str, ...], encryption: dict[str, Any]
) -> None:
    """The stack's key is deleted with the stack, and the bucket is kept."""
    (bucket,) = resources("AWS::S3::Bucket", "MakesBucket", *options).values()
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == encryption
    assert rule.get("BucketKeyEnabled", False) is bool(options)


@pytest.mark.parametrize("bucket", ["DeliveryBucket", "DeliveryBucketName"])
def test_deliver__knows_its_bucket_and_whose_it_must_be(bucket: str) -> None:
    """FAULT 64: the owner is this account, also of a bucket that the stack makes."""
    made = ("MakesBucket",) if bucket == "DeliveryBucket" else ()
    deliver = resources("AWS::Lambda::Function", "DeliversFiles", *made)["DeliverFunction"]
    variables = deliver["Environment"]["Variables"]
    assert variables["DELIVERY_BUCKET_NAME"] == {"Ref": bucket}
    assert variables["DELIVERY_BUCKET_OWNER"] == {"Ref": "AWS::AccountId"}
    assert variables["DELIVERY_PREFIX"] == {"Ref": "DeliveryPrefix"}
    assert variables["DELIVERY_KEY_ARN"] == {"Ref": "DeliveryKeyArn"}


def test_deliver__has_time_memory_and_a_lease_that_outlasts_it() -> None:
    """It has Lambda's longest time; a transfer takes at most 200 MB of memory."""
    deliver = resources("AWS::Lambda::Function", "DeliversFiles")["DeliverFunction"]
    assert deliver["Timeout"] == 900 < LANE_SECONDS
    assert 512 <= deliver["MemorySize"] <= 1769, "a whole processor"


def test_outputs__exist_where_their_resource_does(template: dict[str, Any]) -> None:
    """An output has the condition of its resource; otherwise the deployment would fail."""
    for output in (o for name, o in template["Outputs"].items() if name != "Version"):
        value = str(output["Value"])
        names = re.findall(r"'(?:Ref|Fn::GetAtt)': \[?'(\w+)", value)
        (condition,) = {
            template["Resources"][name].get("Condition")
            for name in names
            if name in template["Resources"]
        }
        assert condition == output.get("Condition") or f"'Fn::If': ['{condition}'" in value


def test_version__is_that_of_the_project(template: dict[str, Any]) -> None:
    """The release has one number, which the operator's tool compares with its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert template["Outputs"]["Version"]["Value"] == project["version"]


@pytest.mark.parametrize("mode", ["PassThrough", "Active"])
def test_tracing__is_one_parameter(template: dict[str, Any], mode: str) -> None:
    """X-Ray traces functions and state machine only if the parameter is Active."""
    parameter = template["Parameters"]["Tracing"]
    assert parameter["Default"] == "PassThrough"
    assert mode in parameter["AllowedValues"]
    for function in resources("AWS::Lambda::Function", "DeliversFiles").values():
        assert function["TracingConfig"] == {"Mode": {"Ref": "Tracing"}}
    true = ("HasTracing",) if mode == "Active" else ()
    (machine,) = resources("AWS::StepFunctions::StateMachine", *true).values()
    assert machine["TracingConfiguration"] == {"Enabled": mode == "Active"}


def test_runtime__of_the_local_stack_is_allowed(template: dict[str, Any]) -> None:
    """A local stack uses the current Python, or the newest runtime that the template allows."""
    allowed = template["Parameters"]["Runtime"]["AllowedValues"]
    assert "python{}.{}".format(*launch.NEWEST_RUNTIME) == allowed[-1]
    expected = "python{}.{}".format(*sys.version_info[:2])
    assert launch.DEFAULTS["Runtime"] == (expected if expected in allowed else allowed[-1])


def allows_base_url(url: str) -> bool:
    """Return whether the template accepts an address; CloudFormation matches the whole value."""
    pattern = translated()["Parameters"]["ArenaBaseUrl"]["AllowedPattern"]
    return re.fullmatch(pattern, url) is not None


@pytest.mark.parametrize("url", addresses.ACCEPTED)
def test_base_url__accepted(url: str) -> None:
    """Arena's five addresses and a simulator on loopback are accepted."""
    assert allows_base_url(url)


@pytest.mark.parametrize("url", addresses.REFUSED)
def test_base_url__refused(url: str) -> None:
    """FAULT 45: the template rejects any other address."""
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
    """Template and code agree on every address that an edit of a valid one produces."""
    changed = url[:at] + put + url[at + removed :]
    try:
        accepted = bool(checked_base_url(changed))
    except SettingsError:
        accepted = False
    assert allows_base_url(changed) == accepted


def test_tls__is_wanted_at_each_address_of_arena(template: dict[str, Any]) -> None:
    """HasTls covers every host; otherwise the policies that deny plain HTTP would be missing."""
    pattern = template["Parameters"]["ArenaBaseUrl"]["AllowedPattern"]
    (hosts,) = re.findall(r"\^\(https://api\\\.\(([^)]+)\)/v1\|http://", pattern)
    allowed = {f"https://api.{host}/v1" for host in hosts.replace("\\", "").split("|")}
    compared = [one["Fn::Equals"] for one in template["Conditions"]["HasTls"]["Fn::Or"]]
    assert {url for _, url in compared} == allowed
    assert allowed == {f"https://{host}/v1" for host in ARENA_HOSTS}
    assert all(parameter == {"Ref": "ArenaBaseUrl"} for parameter, _ in compared)


def test_queues__hold_messages_long_enough(template: dict[str, Any]) -> None:
    """The visibility timeout follows AWS's rule, and the DLQs have the longest retention."""
    intake, dead = properties(template, "IntakeQueue"), properties(template, "DeadLetterQueue")
    timeout = properties(template, "SubmitFunction")["Timeout"]
    window = template["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    assert intake["VisibilityTimeout"] >= 6 * timeout + window
    assert dead["MessageRetentionPeriod"] > intake["MessageRetentionPeriod"]
    assert intake["MaximumMessageSize"] == dead["MaximumMessageSize"] == 1024 * 1024
    undelivered = properties(template, "ScheduleDeadLetterQueue")
    assert dead["MessageRetentionPeriod"] == undelivered["MessageRetentionPeriod"] == 14 * 86_400


def test_queue__gives_up_after_some_receives(template: dict[str, Any]) -> None:
    """AWS recommends at least five receives; an outage of an hour takes more.

    `tests/functional/test_redelivery.py` adds up the delays.
    """
    redrive = properties(template, "IntakeQueue")["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == 10
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def test_event_source__reports_partial_failures() -> None:
    """Batches are large, wait for the window, and report failures by message.

    Submit uses at most half of the ten concurrent executions of a new account.
    """
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["IntakeQueue", "Arn"]}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] % 98 == 0
    assert mapping["MaximumBatchingWindowInSeconds"] == {"Ref": "BatchingWindowSeconds"}
    assert translated()["Parameters"]["BatchingWindowSeconds"]["MinValue"] >= 1
    assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 5


def test_time_outs__fit_together(template: dict[str, Any]) -> None:
    """The lease outlasts submit and the answer of Arena, and a Task outlasts its function."""
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
    """Submit refers to the state machine by name, because each of the two refers to the other."""
    name = properties(template, "ExportRunStateMachine")["StateMachineName"]["Fn::Sub"]
    arn = properties(template, "SubmitFunction")["Environment"]["Variables"]["STATE_MACHINE_ARN"]
    assert arn["Fn::Sub"].endswith(f":stateMachine:{name}")


def test_nothing__has_a_fixed_name(template: dict[str, Any]) -> None:
    """No resource has a fixed name, so that an account can have several stacks."""
    fixed = [
        (name, key)
        for name, body in template["Resources"].items()
        for key, value in body.get("Properties", {}).items()
        if re.fullmatch(r"\w*Name", key) and key != "MetricName" and isinstance(value, str)
    ]
    assert fixed == []


def test_ledger__is_kept(template: dict[str, Any]) -> None:
    """The ledger outlives its stack, expires settled items, and can be restored."""
    ledger = template["Resources"]["Ledger"]
    assert ledger["DeletionPolicy"] == ledger["UpdateReplacePolicy"] == "Retain"
    applied = ledger["Properties"]
    assert applied["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert applied["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert applied["DeletionProtectionEnabled"] is True


def test_tasks__have_a_time_out_and_named_retries() -> None:
    """Tasks retry only Lambda's own errors, and executions have a timeout."""
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
    """FAULT 36: an execution times out before 25,000 events; a new one continues to poll."""
    for runs in ((), [1], [480] * 50):
        past = PastRuns(runs)
        closest = Pace(polls_a_second=1000)
        assert 0 < _rounds(partial(next_wait_seconds, past, pace=closest)) * 9 < 20_000
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
    """Return the number of rounds of an execution until its timeout."""
    waited, rounds = 0.0, 0
    while waited < DEFINITION["TimeoutSeconds"]:
        rounds += 1
        waited += next_wait(waited)
    return rounds


def test_functions__can_be_deployed_in_a_new_account() -> None:
    """Functions have no reserved concurrency: a new account has only ten executions."""
    functions = resources("AWS::Lambda::Function", "DeliversFiles")
    assert len(functions) == 6
    for name, function in functions.items():
        assert "ReservedConcurrentExecutions" not in function
        assert function["Timeout"] <= 300 or name == "DeliverFunction"


def test_reconcile_and_deliver__are_not_piled_up() -> None:
    """Lambda drops an invocation that cannot start within a minute; the next one follows."""
    applied = resources("AWS::Lambda::EventInvokeConfig", "DeliversFiles")
    names = {one["FunctionName"]["Ref"] for one in applied.values()}
    assert names == {"SubmitFunction", "DeliverFunction"}
    for one in applied.values():
        assert one["MaximumRetryAttempts"] == 0
        assert one["MaximumEventAgeInSeconds"] == 60


def test_schedules__keep_what_they_could_not_deliver() -> None:
    """Only the scheduled export has a dead-letter queue; a reconcile is followed by another one.

    Reconcile invokes submit, and the export sends to the queue.
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
    """Only patterns of parameters contain `arn:aws:`, for GovCloud and China."""
    assert "arn:aws:" not in json.dumps(template["Resources"])


def test_everything__is_encrypted_at_rest() -> None:
    """SQS encrypts the queues, so that senders need no key; keys encrypt everything else."""
    for queue in resources("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue
    topics = resources("AWS::SNS::Topic")
    assert len(topics) == 2
    assert all(topic["KmsMasterKeyId"] == {"Ref": "Key"} for topic in topics.values())
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    (secret,) = resources("AWS::SecretsManager::Secret").values()
    assert secret["KmsKeyId"] == key
    for group in resources("AWS::Logs::LogGroup", "DeliversFiles").values():
        assert group["KmsKeyId"] == key
    (table,) = resources("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {"SSEEnabled": True}, "the ledger outlives the stack's key"
    (applied,) = resources("AWS::KMS::Key").values()
    assert applied["EnableKeyRotation"] is True


def test_logs__are_kept_for_a_while_and_hold_no_execution_data() -> None:
    """Functions and state machine log to the stack's log groups, without execution data."""
    groups = resources("AWS::Logs::LogGroup", "DeliversFiles")
    assert len(groups) == 7
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    for name, function in resources("AWS::Lambda::Function", "DeliversFiles").items():
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
    """Each service limits its descriptions; the emulator does not check that."""
    name, most = LIMITS[type_]
    found = resources(type_, *translated()["Conditions"])
    assert found
    assert all(0 < len(body[name]) <= most for body in found.values())


def test_stack_name__leaves_room_for_the_state_machine_s() -> None:
    """A state machine's name has at most 80 characters, and the page has the stack's limit."""
    (machine,) = resources("AWS::StepFunctions::StateMachine").values()
    suffix = machine["StateMachineName"]["Fn::Sub"].removeprefix("${AWS::StackName}")
    assert f"limited to {80 - len(suffix)} characters" in " ".join(PARAMETERS_PAGE.split())


def test_parameters__are_on_their_page() -> None:
    """infra/parameters.md describes every parameter of the template, and no other."""
    table = "".join(re.findall(r"^\| (`.*?) \|", PARAMETERS_PAGE, re.MULTILINE))
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(translated()["Parameters"])


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
        (
            "DeliveryKeyArn",
            ["", "arn:aws:kms:us-east-1:123456789012:key/12ab"],
            ["alias/aws/s3", "arn:aws:kms:us-east-1:123456789012:alias/files"],
        ),
        ("DeliveryBucketName", ["", "plm-exports.example"], ["a", "Upper", "arn:aws:s3:::bucket"]),
        (
            "DeliveryPrefix",
            ["arena", "plm/arena", "a.b_c-1"],
            ["", "/arena", "arena/", "a//b", "a/../b", "a/*", "a b"],
        ),
    ],
)
def test_parameters__refuse_what_a_service_would_refuse(
    name: str, good: list[str], bad: list[str]
) -> None:
    """Invalid values are rejected before any resource is created."""
    pattern = translated()["Parameters"][name]["AllowedPattern"]
    assert [value for value in good if not re.fullmatch(pattern, value)] == []
    assert [value for value in bad if re.fullmatch(pattern, value)] == []


def test_environment__holds_no_secret() -> None:
    """Environment variables contain ARNs of secrets, but no secrets (R9)."""
    for function in resources("AWS::Lambda::Function", "DeliversFiles").values():
        for name in function["Environment"]["Variables"]:
            assert not re.search(r"PASSWORD|SESSION_ID|TOKEN", name)
    assert "{{resolve:" not in json.dumps(translated())
