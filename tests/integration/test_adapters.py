"""The adapters of AWS services and their fakes fulfil one contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from arena_exports.adapters.executions import StepFunctionsExecutions
from arena_exports.adapters.messaging import SnsTopic, SqsDeadLetterQueue, SqsIntakeQueue
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.system import SystemClock
from arena_exports.adapters.telemetry import redact_always
from arena_exports.domain.errors import MessagingError, RetryLaterError, SecretRefusedError
from arena_exports.domain.events import Rejection, rejection_events
from arena_exports.ports import DeadLetter, Event, SecretStore
from infra.local.aws import REGION
from infra.local.processes import free_port
from infra.local.subscriber import Subscriber, attributes_of, drain
from tests.support.canned import answered_by, canned
from tests.support.fakes import (
    FakeExecutions,
    FakeSecret,
    InMemoryDeadLetterQueue,
    InMemoryIntakeQueue,
    InMemoryTopic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.awsrequest import AWSResponse

    from arena_exports.ports import Executions, IntakeQueue
    from infra.local.aws import Clients

pytestmark = pytest.mark.integration

VERSION_1 = "a" * 32
VERSION_2 = "b" * 32


@pytest.fixture(params=["memory", "ministack", "moto"])
def secret(request: pytest.FixtureRequest) -> SecretStore:
    """A secret without a value, faked and real."""
    if request.param == "memory":
        return FakeSecret()
    aws: Clients = request.getfixturevalue(request.param)
    arn = aws.secrets.create_secret(Name=f"secret-{free_port()}")["ARN"]
    return ManagedSecret(aws.secrets, arn, redact_always)


def test_secret__returns_its_versions(secret: SecretStore) -> None:
    """A secret is empty at first; then the version that was written is the current one."""
    empty = secret.read()
    assert empty is None or empty.value == {}  # MiniStack, unlike AWS, makes an empty version
    secret.write({"arenaSessionId": "one|1"}, VERSION_1)
    secret.write({"arenaSessionId": "two"}, VERSION_2)
    current = secret.read()
    assert current is not None
    assert (current.version, current.value) == (VERSION_2, {"arenaSessionId": "two"})
    older = secret.read(VERSION_1)
    assert older is not None
    assert older.value == {"arenaSessionId": "one|1"}
    assert secret.read("c" * 32) is None


def test_secret__that_is_no_json_object_has_a_problem(aws: Clients) -> None:
    """A value that is not a JSON object has no keys, and its problem reveals no part of it."""
    arn = aws.secrets.create_secret(Name="not-json", SecretString="hunter2")["ARN"]
    read = ManagedSecret(aws.secrets, arn, redact_always).read()
    assert read is not None
    assert (read.value, "is not JSON" in read.problem, "hunter2" in read.problem) == (
        {},
        True,
        False,
    )


@dataclass
class Inbox:
    """The output of a topic or a queue: pairs of a body and its attributes, in any order."""

    target: Any
    arrived: Callable[[int], list[tuple[str, dict[str, str]]]]


@pytest.fixture(params=["memory", "ministack", "moto"])
def topic(request: pytest.FixtureRequest) -> Inbox:
    """The outcome topic, faked and real."""
    if request.param == "memory":
        fake = InMemoryTopic()
        return Inbox(fake, lambda _: [(e.body, dict(e.attributes)) for e in fake.events])
    aws: Clients = request.getfixturevalue(request.param)
    arn = aws.sns.create_topic(Name="outcomes")["TopicArn"]
    inbox = Subscriber.subscribe(aws, arn, "inbox")

    def arrived(count: int) -> list[tuple[str, dict[str, str]]]:
        while len(inbox.events) < count:
            inbox.receive()
        return [(json.dumps(e.event), dict(e.attributes)) for e in inbox.events]

    return Inbox(SnsTopic(aws.sns, arn), arrived)


@pytest.fixture(params=["memory", "ministack", "moto"])
def dead_letters(request: pytest.FixtureRequest) -> Inbox:
    """The dead-letter queue, faked and real."""
    if request.param == "memory":
        fake = InMemoryDeadLetterQueue()
        return Inbox(fake, lambda _: [(e.body, e.attributes) for e in fake.letters])
    aws: Clients = request.getfixturevalue(request.param)
    url = aws.sqs.create_queue(QueueName="letters")["QueueUrl"]
    return Inbox(
        SqsDeadLetterQueue(aws.sqs, url),
        lambda _: [(m["Body"], attributes_of(m)) for m in drain(aws, url)],
    )


def _rejection(request_id: str) -> Event:
    rejection = Rejection("default", None, request_id, None, (), "InvalidMessage", "odd", 1.7e9)
    (event,) = rejection_events(rejection)
    return event


def test_topic__carries_bodies_and_attributes(topic: Inbox) -> None:
    """Each event reaches a subscriber once, complete and with its attributes."""
    topic.target.publish([])
    events = [_rejection("one"), _rejection("two")]
    topic.target.publish(events)
    arrived = [(json.loads(body), attributes) for body, attributes in topic.arrived(2)]
    published = [(json.loads(event.body), event.attributes) for event in events]
    assert sorted(arrived, key=lambda one: str(one[0]["id"])) == published


def test_dead_letters__carry_bodies_and_reasons(dead_letters: Inbox) -> None:
    """Each letter is in the queue with its reason; an empty reason is shown as a dash."""
    dead_letters.target.send([])
    dead_letters.target.send(
        [DeadLetter("one", "id-1", "3011", "not valid"), DeadLetter("two", "id-2", "3012", "")]
    )
    one = {"requestId": "id-1", "errorCode": "3011", "errorMessage": "not valid"}
    two = {"requestId": "id-2", "errorCode": "3012", "errorMessage": "-"}
    assert sorted(dead_letters.arrived(2)) == [("one", one), ("two", two)]


@dataclass
class Deliveries:
    """The intake queue, how to receive a message from it, and when each comes again."""

    target: IntakeQueue
    receive: Callable[[], list[str]]


@pytest.fixture(params=["memory", "ministack", "moto"])
def deliveries(request: pytest.FixtureRequest) -> Deliveries:
    """The intake queue with one message, faked and real."""
    if request.param == "memory":
        fake = InMemoryIntakeQueue({"handle"})
        return Deliveries(fake, lambda: [] if fake.delays.get("handle") else ["handle"])
    aws: Clients = request.getfixturevalue(request.param)
    url = aws.sqs.create_queue(QueueName=f"intake-{free_port()}")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="x")

    def receive() -> list[str]:
        found = aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0).get("Messages", [])
        return [message["ReceiptHandle"] for message in found]

    return Deliveries(SqsIntakeQueue(aws.sqs, url), receive)


def test_intake_queue__delivers_again_after_the_visibility_timeout(deliveries: Deliveries) -> None:
    """A message is hidden for the time that was requested last; another handle is refused."""
    (handle,) = deliveries.receive()
    deliveries.target.change_visibility(handle, 3600)
    assert deliveries.receive() == []
    deliveries.target.change_visibility(handle, 0)
    assert len(deliveries.receive()) == 1
    with pytest.raises(MessagingError, match=r"intake queue .*ReceiptHandleIsInvalid"):
        deliveries.target.change_visibility("no handle", 60)


def test_topic__that_does_not_exist_is_a_delivery_error(aws: Clients) -> None:
    """A failed delivery raises an error after a bounded number of tries."""
    arn = "arn:aws:sns:us-east-1:000000000000:nowhere"
    with pytest.raises(MessagingError, match="topic"):
        SnsTopic(aws.sns, arn).publish([Event("{}", {"type": "t"})])


@dataclass
class Watchers:
    """Executions, how to stop one from outside, and what each was started with."""

    target: Executions
    stop: Callable[[str], None]
    inputs: Callable[[], dict[str, Any]]


@pytest.fixture(params=["memory", "ministack", "moto"])
def executions(request: pytest.FixtureRequest) -> Watchers:
    """Executions that wait, faked and real."""
    if request.param == "memory":
        fake = FakeExecutions()
        return Watchers(fake, fake.stop, lambda: fake.started)
    aws: Clients = request.getfixturevalue(request.param)
    wait = {"Type": "Wait", "Seconds": 60, "End": True}
    arn = aws.stepfunctions.create_state_machine(
        name="machine",
        definition=json.dumps({"StartAt": "W", "States": {"W": wait}}),
        roleArn=aws_role(aws),
    )["stateMachineArn"]
    prefix = arn.replace(":stateMachine:", ":execution:")

    def inputs() -> dict[str, Any]:
        found = aws.stepfunctions.list_executions(stateMachineArn=arn)["executions"]
        told = (aws.stepfunctions.describe_execution(executionArn=e["executionArn"]) for e in found)
        return {execution["name"]: json.loads(execution["input"]) for execution in told}

    def stop(name: str) -> None:
        aws.stepfunctions.stop_execution(executionArn=f"{prefix}:{name}")

    return Watchers(StepFunctionsExecutions(aws.stepfunctions, arn), stop, inputs)


def test_executions__use_each_name_once(executions: Watchers) -> None:
    """An execution that is started again, with any input, even after it was stopped, runs once.

    With the same input, while it runs, AWS and moto answer as if it had been started anew.
    MiniStack says that it exists, as AWS does with another input. Nothing is started either way.
    """
    target = executions.target
    assert target.status("run-1") is None
    target.start("run-1", {"waitSeconds": 1})
    target.start("run-1", {"waitSeconds": 1})
    target.start("run-1", {"waitSeconds": 2})
    assert target.status("run-1") == "RUNNING"
    executions.stop("run-1")
    target.start("run-1", {"waitSeconds": 1})
    assert target.status("run-1") == "ABORTED"
    target.start("run-2", {"waitSeconds": 3})
    assert executions.inputs() == {"run-1": {"waitSeconds": 1}, "run-2": {"waitSeconds": 3}}


def aws_role(aws: Clients) -> str:
    """Return the ARN of a role that Step Functions may assume."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "states.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    session = boto3.Session("test", "test", region_name=REGION)
    iam = session.client("iam", endpoint_url=aws.endpoint)
    return str(iam.create_role(RoleName="machine", AssumeRolePolicyDocument=policy)["Role"]["Arn"])


def test_fault_27__secrets_manager_that_is_down_is_a_wait(aws: Clients) -> None:
    """If Secrets Manager is down, the error is a wait and shows no value."""

    def down(request: Any, **_more: Any) -> AWSResponse:
        return canned(request, 500, b'{"__type": "InternalServiceError"}')

    with (
        answered_by(aws.secrets, "secrets-manager.GetSecretValue", down),
        pytest.raises(RetryLaterError, match="InternalServiceError") as caught,
    ):
        ManagedSecret(aws.secrets, "arn", redact_always).read()
    assert type(caught.value) is RetryLaterError


def test_secret__that_was_deleted_is_refused(aws: Clients) -> None:
    """A secret that is marked for deletion cannot be read; the reason names secret and cause."""
    arn = aws.secrets.create_secret(Name="deleted", SecretString="{}")["ARN"]
    aws.secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    for must_exist in (False, True):
        secret = ManagedSecret(aws.secrets, arn, redact_always, must_exist=must_exist)
        with pytest.raises(SecretRefusedError, match="InvalidRequestException") as caught:
            secret.read()
        assert arn in str(caught.value)


def test_secret__that_does_not_exist_is_empty(aws: Clients) -> None:
    """A missing secret reads as empty, unless it must exist."""
    arn = f"arn:aws:secretsmanager:{REGION}:000000000000:secret:nowhere-AbCdEf"
    assert ManagedSecret(aws.secrets, arn, redact_always).read() is None
    with pytest.raises(SecretRefusedError, match="ResourceNotFoundException"):
        ManagedSecret(aws.secrets, arn, redact_always, must_exist=True).read()


def test_secret__written_twice_by_a_retry_is_one_version(moto: Clients) -> None:
    """The same version with the same value is written; with another value it is refused.

    As AWS documents it for ClientRequestToken. MiniStack takes another value, too.
    """
    arn = moto.secrets.create_secret(Name="twice")["ARN"]
    secret = ManagedSecret(moto.secrets, arn, redact_always)
    for _ in range(2):
        secret.write({"arenaSessionId": "one|1"}, VERSION_1)
    with pytest.raises(SecretRefusedError, match="ResourceExistsException"):
        secret.write({"arenaSessionId": "two"}, VERSION_1)
    read = secret.read()
    assert read is not None
    assert (read.version, read.value) == (VERSION_1, {"arenaSessionId": "one|1"})


def test_secret__versions_have_a_valid_length() -> None:
    """ClientRequestToken has 32 to 64 characters; MiniStack accepts any length."""
    assert 32 <= len(SystemClock().new_token()) <= 64
