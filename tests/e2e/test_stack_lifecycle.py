"""A stack is updated, paused, run beside another one, deleted, and deployed again.

The tests use a second stack in the account of the first, with an Arena workspace and a machine user
of its own. Each test first deploys the release and the parameters that it needs.
"""

import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from arena_exports.services.adoption import SECONDS_BEFORE_SEARCH
from infra.local import emulator, sam
from infra.local.arena import ArenaRun
from infra.local.demo.main import schedule_soon
from infra.local.demo.tally import OUTCOMES
from infra.local.launch import arena_service, needed_parameters
from infra.local.paths import BUILD
from infra.local.processes import free_port, start_guarded, stop_guarded
from infra.local.stack import Stack
from infra.local.subscriber import Subscriber
from infra.simulator.names import DEFINITION_EXPORT_GUID
from tests.e2e.conftest import CALM, Case
from tests.support.schemas import validate_event

pytestmark = pytest.mark.e2e
NewGuids = Callable[[int], list[str]]

NAME = "beside"
EARLIER_RELEASE = Path(__file__).parent / "earlier_release.tar.xz"
"""Made by `git archive c0f0a4a template.yaml functions infra/state_machine.asl.json | xz -9e`.

A file and not that commit itself, because a shallow clone has no earlier commits.
"""
EARLIER_BUILD = BUILD.parent / "earlier"
BUCKET = ("DeliveryBucket", "DeliveryBucketPolicy")


@dataclass
class SecondStack:
    """The second stack, and how its owner deploys, updates and deletes it."""

    stack: Stack
    parameters: dict[str, str]
    deployed: Path | None = None

    def deploy(self, built: Path = BUILD, *, changed: Mapping[str, str] | None = None) -> Case:
        """Create or update the stack; in an update, parameters that are left out do not change."""
        given = dict(changed or {}) if self.deployed else self.parameters | dict(changed or {})
        sam.deploy(self.stack.endpoint, NAME, given, built)
        self.deployed = built
        self.stack = replace(self.stack)  # with an empty cache of resources
        return self._case()

    def current(self) -> Case:
        """Return the stack at the current release, and deploy that first if necessary."""
        return self._case() if self.deployed == BUILD else self.deploy()

    def delete(self) -> None:
        """Delete the stack as the runbook says."""
        sam.delete(self.stack.endpoint, NAME)
        self.deployed = None

    def _case(self) -> Case:
        subscriber = self.stack.subscribe(f"{NAME}-subscriber", *OUTCOMES)
        subscriber.receive()
        runs = self.stack.arena.state().runs
        return Case(self.stack, subscriber, len(subscriber.events), len(runs))


@pytest.fixture(scope="module")
def second(stack: Stack) -> Iterator[SecondStack]:
    """A second stack in the account, not deployed yet, with an Arena that answers fast."""
    folder, port = stack.folder / NAME, free_port()
    folder.mkdir()
    beside = Stack(NAME, stack.endpoint, f"http://127.0.0.1:{port}/v1", folder)
    simulator = start_guarded(arena_service(port, folder))
    try:
        emulator.wait_until_answers(beside.arena.state_url, folder / "arena.log")
        beside.arena.set(**CALM)
        yield SecondStack(beside, needed_parameters(beside) | {"DeliverFiles": "false"})
    finally:
        stop_guarded(simulator)


@pytest.fixture(scope="module")
def earlier_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `sam build` for an earlier release of this application."""
    sources = tmp_path_factory.mktemp("earlier")
    with tarfile.open(EARLIER_RELEASE) as archive:
        archive.extractall(sources, filter="data")
    sam.build(sources, EARLIER_BUILD)
    return EARLIER_BUILD


@pytest.mark.timeout(600)  # it deploys six times
def test_fault_71__update_and_rollback_lose_nothing_and_erase_no_delivery(
    second: SecondStack, earlier_release: Path, new_guids: NewGuids
) -> None:
    """Each release drains what the other one left: runs, suspect sets, POSTs, and deliveries.

    The update turns delivery on, and the rollback leaves the bucket and a pending delivery behind.

    FAULT 65, 72: the stack is paused, is updated again, and stays paused; delivery goes on in the
    same bucket.
    """
    if second.deployed:
        second.delete()
    case = second.deploy(earlier_release)
    outcomes = _Outcomes(case)
    waiting, late, running, paused = new_guids(4)
    case.stack.send(new_guids(1))
    outcomes.wait_for(completed=1, delivered=0)
    _lose_the_answer_for_a_suspect_set(case, new_guids(2))
    case.stack.send(waiting)
    _wait_until_recorded(case)
    resources = dict(case.stack.resources)

    second.deploy(changed={"DeliverFiles": "true"})
    assert resources.items() <= second.stack.resources.items()
    _adopt(case)
    outcomes.wait_for(completed=3, delivered=2)
    delivered, bucket = _objects(second.stack), second.stack.outputs["DeliveryBucketName"]
    assert len(delivered) == 2 * 2, "a file and a manifest for each run"
    _hold_downloads(case)
    case.stack.send(late)
    outcomes.wait_for(completed=4, delivered=2)
    run = _start_run(case, [running])

    second.deploy(earlier_release, changed={"ExportsPaused": "true"})
    case.stack.arena.set_run(run.guid, "COMPLETE")
    outcomes.wait_for(completed=5, delivered=2)
    case.stack.send(paused)
    _wait_until_recorded(case)

    second.deploy(changed={"DeliverFiles": "true", "DeliveryBucketName": bucket})
    _free_downloads(case)
    outcomes.wait_for(completed=5, delivered=3)
    assert len(case.runs) == 6, "the stack is still paused"
    second.deploy(changed={"ExportsPaused": "false"})
    outcomes.wait_for(completed=6, delivered=4)
    assert delivered.items() <= _objects(second.stack).items()
    _assert_exported_once(case, outcomes.item_guids())
    second.deploy(changed={"DeliverFiles": "false"})


def _lose_the_answer_for_a_suspect_set(case: Case, item_guids: list[str]) -> None:
    """Let a run fail; the POST that tries its items again is not answered, and its run goes on."""
    failing = _start_run(case, item_guids)
    case.stack.arena.plan(runningSeconds=600)
    case.stack.arena.fault(method="POST", path="*/runs", drop=True, work=True)
    case.stack.arena.set_run(failing.guid, "FAILED")
    case.wait_for_run("RUNNING")


def _start_run(case: Case, item_guids: list[str]) -> ArenaRun:
    """Send items in one message, and return their run, which does not end by itself."""
    case.stack.arena.plan(runningSeconds=600)
    case.stack.send(item_guids)
    return case.wait_for_run("RUNNING")


def _adopt(case: Case) -> None:
    """Let the time pass until the run of an unknown POST is searched for, and end that run."""
    attempt_id = case.stack.ledger_item("SLOT")["attemptId"]["S"]
    month = datetime.fromtimestamp(int(attempt_id[:12], 16) / 1000, UTC)
    sent_at = str(int(time.time()) - SECONDS_BEFORE_SEARCH)
    _change(case, f"RUN#{month:%Y%m}", attempt_id, {"sentAt": {"N": sent_at}})
    _change(case, "SLOT", "-", {"heldUntil": {"N": "0"}})

    def is_adopted() -> bool:
        case.stack.reconcile()
        return case.stack.lease_state() == "running"

    case.stack.wait_until("the run adopted", is_adopted)
    case.stack.arena.set_run(case.wait_for_run("RUNNING").guid, "COMPLETE")


def _hold_downloads(case: Case) -> None:
    """Hold the lease on downloads for an hour, as a deliver that is deleted during a download does.

    With a token of its own: a deliver that is still at work would free its own lease when it ends.
    """
    values = {"heldUntil": {"N": str(int(time.time()) + 3600)}, "token": {"S": "deleted"}}
    _change(case, "LANE", "DELIVER", values)


def _free_downloads(case: Case) -> None:
    """Let the time pass until the lease on downloads has expired."""
    _change(case, "LANE", "DELIVER", {"heldUntil": {"N": "0"}})


def _change(case: Case, pk: str, sk: str, values: Mapping[str, Mapping[str, str]]) -> None:
    """Change attributes of an item that is in the ledger."""
    case.stack.clients.dynamodb.update_item(
        TableName=case.stack.outputs["LedgerTableName"],
        Key={"PK": {"S": pk}, "SK": {"S": sk}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ConditionExpression="attribute_exists(PK)",
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


class _Outcomes:
    """The events of runs, those of deliveries included."""

    def __init__(self, case: Case) -> None:
        self._case = case
        topic_arn = case.stack.outputs["OutcomeTopicArn"]
        self._subscriber = Subscriber.subscribe(case.stack.clients, topic_arn, "every-event")

    def item_guids(self) -> list[str]:
        """Return the items of the runs that completed."""
        completed = [e for e in self._subscriber.events if e.type == "arena.export.run.completed"]
        return [guid for event in completed for guid in event.data["itemGuids"]]

    def wait_for(self, **counts: int) -> None:
        """Wait for so many events of each kind, and for none beyond them until all is idle."""
        self._case.stack.wait_until(f"events {counts}", lambda: self._came(counts), 120)
        self._case.stack.wait_until_idle(240)
        assert self._counted(counts) == counts

    def _came(self, counts: Mapping[str, int]) -> bool:
        self._case.stack.reconcile()
        return all(count >= counts[kind] for kind, count in self._counted(counts).items())

    def _counted(self, kinds: Iterable[str]) -> dict[str, int]:
        for received in self._subscriber.receive():
            validate_event(received.event, received.attributes)
        types = [event.type for event in self._subscriber.events]
        return {kind: types.count(f"arena.export.run.{kind}") for kind in kinds}


def _objects(stack: Stack) -> dict[str, str]:
    """Return the version of each object of the delivery bucket, by its key."""
    bucket = stack.outputs["DeliveryBucketName"]
    listed = stack.clients.s3.list_object_versions(Bucket=bucket)
    return {version["Key"]: version["VersionId"] for version in listed["Versions"]}


def _assert_exported_once(case: Case, exported: list[str]) -> None:
    """Each item was exported once, after one run of two items that failed."""
    assert len(exported) == len(set(exported)) == 7
    assert sorted(run.items for run in case.runs) == [1, 1, 1, 1, 1, 2, 2]
    assert "3144" not in case.stack.arena.state().codes
    assert not case.stack.dead_letters()
    case.stack.wait_until("no delivery left", lambda: not case.stack.ledger_item("DELIVER"))
    assert _statuses_of_executions(case.stack) == {"SUCCEEDED"}


@pytest.mark.timeout(600)  # a new definition may wait for its minute, and then for a reconcile
def test_paused_exports__are_kept_and_resume_automatically(
    second: SecondStack, new_guids: NewGuids
) -> None:
    """Requests that arrive during the pause are submitted by the first reconcile after it.

    The intake is off at that moment: reconcile does not need it, and the message of the export
    schedule stays on the queue until the intake is on again.
    """
    case = second.deploy(changed={"ExportsPaused": "true"})
    item_guids = new_guids(2)
    case.stack.send(*item_guids)
    _wait_until_recorded(case)
    case.stack.reconcile()
    assert case.runs == []
    with _intake_switched_off(case.stack):
        second.deploy(changed={"ExportsPaused": "false", **schedule_soon()})
        _schedule_reconcile_now(case.stack)
        (exported,) = case.wait_for("the items exported", bool)
        case.stack.wait_until("a scheduled request", lambda: case.stack.queue_depth() == 1)
    _, scheduled = case.wait_for_events(2, 240)
    assert sorted(exported.data["itemGuids"]) == sorted(item_guids)
    assert scheduled.data["exportGuid"] == DEFINITION_EXPORT_GUID
    assert len(case.runs) == 2


@pytest.mark.timeout(600)
def test_stacks_of_one_account__share_nothing(
    case: Case, second: SecondStack, new_guids: NewGuids
) -> None:
    """Each stack exports the messages of its own queue, from its own Arena, and no others."""
    stacks = (case, second.current())
    items = new_guids(2)
    requests = [one.stack.send(item)[0] for one, item in zip(stacks, items, strict=True)]
    for one, item, request in zip(stacks, items, requests, strict=True):
        (event,) = one.wait_for_events(1, 240)
        assert event.data["itemGuids"] == [item]
        assert [run.items for run in one.runs] == [1]
        assert [each for each in requests if _is_recorded(one.stack, each)] == [request]
    ours, theirs = (set(one.stack.resources.values()) for one in stacks)
    assert not ours & theirs


@pytest.mark.timeout(600)  # a submission that the update interrupted is resolved within minutes
def test_deleted_stack__leaves_its_ledger_and_files_and_can_be_deployed_again(
    case: Case, second: SecondStack, new_guids: NewGuids
) -> None:
    """The table, the bucket and its policy stay, and all else is deleted (runbook)."""
    delivering = second.deploy(changed={"DeliverFiles": "true"})
    (request,) = delivering.stack.send(*new_guids(1))
    deleted = second.stack
    deleted.wait_until("the request recorded", lambda: _is_recorded(deleted, request))
    deleted.wait_until_idle(300)
    stack_id = _stack_id(deleted)
    second.delete()
    assert _kept_resources(deleted, stack_id) == {"Ledger", *BUCKET}
    assert _is_recorded(deleted, request)
    assert not _leftovers(deleted)
    _delete_table_as_the_runbook_says(deleted)
    again = second.deploy()
    assert not _is_recorded(again.stack, request)
    for one in (case, again):
        one.stack.send(*new_guids(1))
    for one in (case, again):
        one.wait_for_events(1, 120)


def _wait_until_recorded(case: Case) -> None:
    case.stack.wait_until("every message recorded", lambda: case.stack.queue_depth() == 0)


@contextmanager
def _intake_switched_off(stack: Stack) -> Iterator[None]:
    """Switch the intake off during the block, with the runbook's command."""
    mapping = stack.resources["SubmitFunctionIntake"]
    stack.clients.functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        stack.clients.functions.update_event_source_mapping(UUID=mapping, Enabled=True)


def _schedule_reconcile_now(stack: Stack) -> None:
    """Create a schedule that calls the target of the reconcile schedule at once."""
    scheduler = boto3.client("scheduler", endpoint_url=stack.endpoint)
    schedule = scheduler.get_schedule(Name=stack.resources["ReconcileSchedule"])
    scheduler.create_schedule(
        Name="reconcile-now",
        ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=schedule["Target"],
        ActionAfterCompletion="DELETE",
    )


def _is_recorded(stack: Stack, request_id: str) -> bool:
    return bool(stack.ledger_item(f"MSG#{request_id}"))


def _statuses_of_executions(stack: Stack) -> set[str]:
    """Wait until no execution runs, and return their statuses.

    Each execution has a step after the one that publishes the event.
    """

    def statuses() -> set[str]:
        machine = stack.outputs["StateMachineArn"]
        listed = stack.clients.stepfunctions.list_executions(stateMachineArn=machine)
        return {execution["status"] for execution in listed["executions"]}

    stack.wait_until("every execution ended", lambda: "RUNNING" not in statuses())
    return statuses()


def _stack_id(stack: Stack) -> str:
    found = stack.clients.cloudformation.describe_stacks(StackName=stack.name)
    return str(found["Stacks"][0]["StackId"])


def _kept_resources(stack: Stack, stack_id: str) -> set[str]:
    """Return the resources that were kept when the stack was deleted."""
    pages = stack.clients.cloudformation.get_paginator("describe_stack_events").paginate(
        StackName=stack_id
    )
    events = [event for page in pages for event in page["StackEvents"]]
    return {
        event["LogicalResourceId"]
        for event in events
        if event["ResourceStatus"] == "DELETE_SKIPPED"
    }


def _leftovers(stack: Stack) -> list[str]:
    """Return what else in the account has the stack's name, except what its user created."""
    clients, own = stack.clients, {f"{NAME}-subscriber", f"{NAME}-credentials"}
    found = [
        *(url.rpartition("/")[2] for url in clients.sqs.list_queues().get("QueueUrls", [])),
        *(topic["TopicArn"].rpartition(":")[2] for topic in clients.sns.list_topics()["Topics"]),
        *(one["FunctionName"] for one in clients.functions.list_functions()["Functions"]),
        *(one["name"] for one in clients.stepfunctions.list_state_machines()["stateMachines"]),
        *(one["Name"] for one in clients.secrets.list_secrets()["SecretList"]),
        *(one["logGroupName"] for one in clients.logs.describe_log_groups()["logGroups"]),
    ]
    return [name for name in found if NAME in name and name not in own]


def _delete_table_as_the_runbook_says(stack: Stack) -> None:
    """Lift the table's protection, which prevents deletion, and delete the table."""
    dynamodb, name = stack.clients.dynamodb, stack.outputs["LedgerTableName"]
    with pytest.raises(ClientError, match="protect"):
        dynamodb.delete_table(TableName=name)
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)
