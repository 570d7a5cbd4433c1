"""The built functions under AWS's runtime interface client, with the embedded AWS and Arena."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from infra.checks import artifact
from infra.checks.template import resources
from infra.local import emulator, launch, sam
from infra.local.arena import Arena
from infra.local.aws import environment
from infra.local.processes import free_port, start_guarded, stop_guarded
from infra.local.subscriber import Subscriber
from infra.simulator import names
from tests.events import event, sqs_record
from tests.support.runtime_interface import TRACE_ID, Command, Function

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from infra.local.aws import Clients

pytestmark = [
    pytest.mark.integration,
    # CI runs on Linux, where it is never skipped.
    pytest.mark.skipif(sys.platform != "linux", reason="the client is compiled for Linux alone"),
]

FORMATS = ("JSON", "Text")
ITEM = "A" * 20
MACHINE = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
RECONCILE = event("scheduler")
HANDLER = ".handler.handler"
FUNCTIONS = {
    one["Handler"].removesuffix(HANDLER): one
    for one in resources("AWS::Lambda::Function", "DeliversFiles").values()
    if one["Handler"].endswith(HANDLER)
}


@dataclass(frozen=True)
class Functions:
    """How the functions are started: their folders, and the values of their variables."""

    artifact: Path
    runtime: Path
    endpoint: str
    values: Mapping[str, str]

    def start(self, name: str, log_format: str = "JSON", *, without: str = "") -> Function:
        """Start a function as in the template, without one of its variables."""
        function = properties(name)
        variables = {
            variable: value if isinstance(value, str) else self.values[variable]
            for variable, value in function["Environment"]["Variables"].items()
            if variable != without
        }
        more = {**environment(self.endpoint), "AWS_LAMBDA_LOG_FORMAT": log_format}
        command = Command(self.artifact, self.runtime, function["Handler"], function["Timeout"])
        return Function(command, {**variables, **more})


def properties(name: str) -> dict[str, Any]:
    """Return what the template says of a function."""
    return FUNCTIONS[name]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """An Arena simulator of its own, whose runs are short."""
    port, folder = free_port(), tmp_path_factory.mktemp("arena")
    process = start_guarded(launch.arena_service(port, folder))
    try:
        arena = Arena(f"http://127.0.0.1:{port}/v1")
        emulator.wait_until_answers(arena.state_url, folder / "arena.log")
        arena.set(createdSeconds=0.1, runningSeconds=0.3)
        yield arena
    finally:
        stop_guarded(process)


@pytest.fixture(scope="module")
def functions(
    ministack: Clients, arena: Arena, tmp_path_factory: pytest.TempPathFactory
) -> Functions:
    """The built functions, and the resources that their variables name."""
    sam.build()
    runtime = tmp_path_factory.mktemp("runtime")
    artifact.link_lambda_runtime(runtime, "awslambdaric")
    ministack.dynamodb.create_table(
        TableName="runtime-ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")
        ],
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
    )
    iam = ministack.create("iam")
    role = iam.create_role(RoleName="runtime", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    credentials = json.dumps(launch.CREDENTIALS)
    create_secret = ministack.secrets.create_secret
    values = {
        "ARENA_BASE_URL": arena.url,
        "WORKSPACE_NAME": "default",
        "DEFAULT_EXPORT_GUID": names.DEFAULT_EXPORT_GUID,
        "MAX_ITEMS_PER_RUN": "5000",
        "RUN_TIMEOUT_SECONDS": "3600",
        "REQUEST_BUDGET_RESERVE": "500",
        "REQUEST_BUDGET_POLL_SHARE": "50",
        "DELIVER_FILES": "true",
        "DELIVER_FUNCTION_NAME": "runtime-deliver",
        "DELIVERY_BUCKET_NAME": "runtime-bucket",
        "DELIVERY_BUCKET_OWNER": "000000000000",
        "DELIVERY_PREFIX": "",
        "DELIVERY_KEY_ARN": "",
        "LEDGER_TABLE_NAME": "runtime-ledger",
        "SESSION_SECRET_ARN": create_secret(Name="runtime-session")["ARN"],
        "ARENA_CREDENTIALS_SECRET_ARN": create_secret(
            Name="runtime-credentials", SecretString=credentials
        )["ARN"],
        "OUTCOME_TOPIC_ARN": ministack.sns.create_topic(Name="runtime-outcome")["TopicArn"],
        "INTAKE_QUEUE_URL": ministack.sqs.create_queue(QueueName="runtime-intake")["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": ministack.sqs.create_queue(QueueName="runtime-dead")["QueueUrl"],
        "STATE_MACHINE_ARN": ministack.stepfunctions.create_state_machine(
            name="runtime-machine",
            definition=json.dumps(MACHINE),
            roleArn=role["Arn"],
        )["stateMachineArn"],
        "SESSION_FUNCTION_NAME": "runtime-session",
        "EXPORTS_PAUSED": "false",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_SERVICE_NAME": "runtime",
    }
    return Functions(artifact.built()[0].folder, runtime, ministack.endpoint, values)


def test_runtime__exports_an_item_from_the_queue_to_the_topic(
    functions: Functions, ministack: Clients
) -> None:
    """The functions run in the order of a request: session, submit, poll, publish."""
    subscriber = Subscriber.subscribe(
        ministack, functions.values["OUTCOME_TOPIC_ARN"], "runtime-events"
    )
    with functions.start("session") as session:
        assert session.invoke({"deadVersion": ""}).content["version"]
    with functions.start("submit") as submit:
        assert submit.invoke({"Records": [record(ITEM)]}).content == {"batchItemFailures": []}
        assert submit.invoke(RECONCILE).content == {"batchItemFailures": []}
    state = started(ministack, functions.values["STATE_MACHINE_ARN"])
    with functions.start("poll") as poll:
        while not state["ended"]:
            time.sleep(0.2)
            state = poll.invoke(state).content
    with functions.start("publish") as publish:
        assert publish.invoke(state).content == {}
    subscriber.receive()
    (event,) = subscriber.events
    assert event.type == "arena.export.run.completed"
    assert event.data["itemGuids"] == [ITEM]
    assert event.data["requests"][0]["openCount"] == 0


def record(body: str) -> dict[str, Any]:
    """Return the record that Lambda makes of an SQS message."""
    return sqs_record("059f36b4-87a3-44ab-83d2-661975830a7d", body, time.time())


def started(aws: Clients, machine: str) -> dict[str, Any]:
    """Return the input of the execution that submit has started."""
    (execution,) = aws.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    found = aws.stepfunctions.describe_execution(executionArn=execution["executionArn"])
    state: dict[str, Any] = json.loads(found["input"])
    return state


@pytest.mark.parametrize("log_format", FORMATS)
def test_runtime__log_lines_are_json_in_both_formats(functions: Functions, log_format: str) -> None:
    """Each line is an object; ours have time and level in the form that Lambda's filter reads."""
    with functions.start("submit", log_format) as submit:
        submit.invoke({"Records": [record("no GUID")]})
        lines = [json.loads(line) for line in submit.log()]
    (rejected,) = (line for line in lines if line.get("level") == "WARN")
    assert rejected["message"]
    assert RFC_3339.fullmatch(rejected["timestamp"])
    assert rejected["xray_trace_id"] == TRACE_ID.split(";")[0].removeprefix("Root=")
    (counted,) = (line for line in lines if "_aws" in line)
    assert counted["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "ArenaExports"


@pytest.mark.parametrize("log_format", FORMATS)
def test_runtime__error_has_a_type_and_does_not_end_the_process(
    functions: Functions, log_format: str
) -> None:
    """State machine and log get type and message, and the next event is handled."""
    with functions.start("publish", log_format) as publish:
        for _ in range(2):
            report = publish.invoke({})
            assert report.kind == "error"
            assert report.content["errorType"] == "KeyError"
            assert report.content["errorMessage"] == "'attemptId'"
            assert 'publish/handler.py"' in report.content["stackTrace"][-1]
        assert sum("KeyError" in line for line in publish.log()) == 2


def test_runtime__unreachable_ledger_has_an_error_of_our_own(functions: Functions) -> None:
    """An error of the ledger keeps its own name."""
    values = {**functions.values, "LEDGER_TABLE_NAME": "no-such-table"}
    elsewhere = Functions(functions.artifact, functions.runtime, functions.endpoint, values)
    with elsewhere.start("publish") as publish:
        report = publish.invoke({"attemptId": "a"})
    assert (report.kind, report.content["errorType"]) == ("error", "LedgerUnavailableError")


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_runtime__missing_variable_fails_the_init_phase(
    functions: Functions, name: str, log_format: str
) -> None:
    """The function reports the variable before any event, and exits."""
    with functions.start(name, log_format, without="LEDGER_TABLE_NAME") as function:
        report = function.report()
        assert function.exit_code() != 0
        assert any("LEDGER_TABLE_NAME" in line for line in function.log())
    assert report.kind == "init"
    assert report.content["errorType"] == "SettingsError"
    assert report.content["errorMessage"] == "environment variable LEDGER_TABLE_NAME is missing"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_runtime__memory_is_far_below_the_limit(functions: Functions, name: str) -> None:
    """After one answer, a function has used less than half of its memory."""
    with functions.start(name) as function:
        function.invoke(RECONCILE)
        assert function.peak_megabytes() < properties(name)["MemorySize"] / 2
