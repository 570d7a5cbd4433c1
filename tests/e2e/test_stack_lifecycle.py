"""A stack is updated, paused, run beside another one, deleted, and deployed again.

The tests use a second stack in the account of the first, with an Arena workspace and a machine user
of its own. Each test first deploys the release and the parameters that it needs.
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.local import emulator, sam
from infra.local.demo.main import schedule_soon
from infra.local.demo.tally import OUTCOMES
from infra.local.launch import arena_service, needed_parameters
from infra.local.paths import BUILD
from infra.local.processes import free_port, start_guarded, stop_guarded
from infra.local.stack import Stack
from infra.simulator.names import DEFINITION_EXPORT_GUID
from tests.e2e.conftest import CALM, Case

pytestmark = pytest.mark.e2e
NewGuids = Callable[[int], list[str]]

NAME = "beside"
EARLIER_RELEASE = Path(__file__).parent / "earlier_release.tar.xz"
"""Made by `git archive 78d0252 template.yaml functions infra/state_machine.asl.json | xz -9e`.

A file and not that commit itself, because a shallow clone has no earlier commits.
"""
EARLIER_BUILD = BUILD.parent / "earlier"


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
        yield SecondStack(beside, needed_parameters(beside))
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


def test_update_in_place__loses_nothing_and_exports_nothing_twice(
    second: SecondStack, earlier_release: Path, new_guids: NewGuids
) -> None:
    """The new release takes over a run in progress, pending requests and the ledger's items."""
    if second.deployed:
        second.delete()
    case = second.deploy(earlier_release)
    running, *waiting = new_guids(4)
    case.stack.arena.plan(runningSeconds=600)
    case.stack.send(running)
    run = case.wait_for_run("RUNNING")
    case.stack.send(*waiting)
    _wait_until_recorded(case)
    resources = dict(case.stack.resources)
    second.deploy()
    case.stack.arena.set_run(run.guid, "COMPLETE")
    first, then = case.wait_for_events(2)
    assert first.data["itemGuids"] == [running]
    assert sorted(then.data["itemGuids"]) == sorted(waiting)
    assert [run.items for run in case.runs] == [1, 3]
    assert "3144" not in case.stack.arena.state().codes
    assert not case.stack.dead_letters()
    assert _statuses_of_executions(case.stack) == {"SUCCEEDED"}
    assert resources.items() <= second.stack.resources.items()


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
    _, scheduled = case.wait_for_events(2)
    assert sorted(exported.data["itemGuids"]) == sorted(item_guids)
    assert scheduled.data["exportGuid"] == DEFINITION_EXPORT_GUID
    assert len(case.runs) == 2


def test_stacks_of_one_account__share_nothing(
    case: Case, second: SecondStack, new_guids: NewGuids
) -> None:
    """Each stack exports the messages of its own queue, from its own Arena, and no others."""
    stacks = (case, second.current())
    items = new_guids(2)
    requests = [one.stack.send(item)[0] for one, item in zip(stacks, items, strict=True)]
    for one, item, request in zip(stacks, items, requests, strict=True):
        (event,) = one.wait_for_events(1)
        assert event.data["itemGuids"] == [item]
        assert [run.items for run in one.runs] == [1]
        assert [each for each in requests if _is_recorded(one.stack, each)] == [request]
    ours, theirs = (set(one.stack.resources.values()) for one in stacks)
    assert not ours & theirs


def test_deleted_stack__leaves_its_ledger_and_files_and_can_be_deployed_again(
    case: Case, second: SecondStack, new_guids: NewGuids
) -> None:
    """The table and the bucket stay, and all else is deleted (runbook)."""
    delivering = second.deploy(changed={"DeliverFiles": "true"})
    (request,) = delivering.stack.send(*new_guids(1))
    deleted = second.stack
    deleted.wait_until("the request recorded", lambda: _is_recorded(deleted, request))
    deleted.wait_until_idle()
    stack_id = _stack_id(deleted)
    second.delete()
    assert _kept_resources(deleted, stack_id) == {"Ledger", "DeliveryBucket"}
    assert _is_recorded(deleted, request)
    assert not _leftovers(deleted)
    _delete_table_as_the_runbook_says(deleted)
    again = second.deploy()
    assert not _is_recorded(again.stack, request)
    for one in (case, again):
        one.stack.send(*new_guids(1))
    for one in (case, again):
        one.wait_for_events(1)


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
