"""The lookup command: what happened to a request, and why it is pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from arena_exports.domain.attempts import AttemptOutcome, RunResult
from arena_exports.domain.lease import Lease
from infra.lookup import __main__ as lookup
from infra.simulator import control, names
from tests.support.world import EXPORT, World, item_guid, items

if TYPE_CHECKING:
    from click.testing import Result as Answer

POST = {"method": "POST", "path": "*/runs"}
BROKEN = "BROKENDEFINITION0001"
OTHER = names.DEFINITION_EXPORT_GUID


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose ledger the command reads."""
    world = World(settings={"max_items_per_run": 10})
    monkeypatch.setattr(lookup, "DynamoTable", lambda *_: world.table)
    monkeypatch.setattr(lookup, "SystemClock", lambda: world.clock)
    return world


def ask(request_id: str) -> Answer:
    """Run the command; each of its messages is one line."""
    return CliRunner().invoke(lookup.main, ["--table", "ledger", request_id])


def told(request_id: str) -> str:
    """Return the output for a request that is in the ledger."""
    result = ask(request_id)
    assert result.exit_code == 0, result.output
    return result.output


def test_lookup__shows_runs_and_what_is_pending(world: World) -> None:
    """Each run with items of the request is shown, with its status and the request's share."""
    request_id, neighbour = world.send(
        {"itemGuids": items(15)}, {"itemGuids": [item_guid(n) for n in (99, 98)]}
    )
    assert "Items still pending: 15 of 15" in told(request_id)
    while not world.events("completed"):
        world.run_for(1)
    pending = told(request_id)
    *_, run = world.arena.exports.runs
    assert "Items still pending: 5 of 15" in pending
    assert f"run {run.guid} of export definition {EXPORT} (7 items) has been in progress" in pending
    assert f"running  {run.guid}  5 of 7" in pending
    world.settle()
    assert "Items still pending: 0 of 15" in told(request_id)
    assert told(request_id).count("COMPLETE") == 2
    assert "2 of 7 " in told(neighbour)
    assert told(neighbour).count("COMPLETE") == 1


def test_lookup__of_an_unknown_request(world: World) -> None:
    """An unknown request is reported, with a hint at the dead-letter queue."""
    (record,) = world.record("[]", message_ids=["3f4c1a2e-0000-4000-8000-000000000000"])
    world.deliver([record])
    result = ask(record["messageId"])
    assert result.exit_code == 1
    assert "SQS message" not in result.output
    assert "never recorded" in result.output
    assert "or it was rejected as malformed (see the dead-letter queue)" in result.output


def test_lookup__by_a_correlation_id(world: World) -> None:
    """For a text that is no message id, the output says how to find the id."""
    world.send({"itemGuids": items(2), "correlationId": "ECO-000023"})
    result = ask("ECO-000023")
    assert result.exit_code == 1
    assert "This command takes the id of an SQS message, which this is not." in result.output


def test_lookup__behind_a_refused_definition(world: World) -> None:
    """The number of refusals and the time of the next attempt are shown, and the current run."""
    control.put_definition(world.arena, BROKEN, {"views": ["SPECS"], "refusal": 3145})
    (request_id,) = world.send({"exportGuid": BROKEN, "itemGuids": items(3)})
    output = told(request_id)
    assert f"refuses export definition {BROKEN} (consecutive refusals: 1)" in output
    assert "The next attempt follows at 2023-11-14T22:14:2" in output
    assert "No run is in progress." in output
    world.clock.sleep(70)
    assert "The next attempt follows when the lease is free" in told(request_id)


def test_lookup__behind_an_unknown_post(world: World) -> None:
    """The time of the next search is shown, for the sent request and for those that wait."""
    control.add_faults(world.arena, {**POST, "code": 3000})
    (sent,) = world.send({"itemGuids": items(3)})
    (behind,) = world.send({"itemGuids": items(2, 50)})
    text = "its outcome is unknown. The next search for its run follows at 2023-11-14T22:14:5"
    assert text in told(behind)
    assert "sending" not in told(behind)
    assert text in told(sent)
    assert "sending" in told(sent)
    world.clock.sleep(100)
    assert "follows at the next reconcile, within a minute" in told(behind)


def test_lookup__while_the_lease_backs_off(world: World) -> None:
    """The time of the next run is shown, and that another export is in progress."""
    control.add_faults(world.arena, {**POST, "code": 3144})
    (request_id,) = world.send({"itemGuids": items(3)})
    assert "none starts before 2023-11-14T22:13:" in told(request_id)
    assert "another export is in progress in Arena (3144 answers: 1)" in told(request_id)


def test_lookup__while_the_login_is_refused(world: World) -> None:
    """A refused login is shown with its code."""
    world.set_password("wrong")
    (request_id,) = world.send(item_guid(1))
    assert "The login was refused (4001)" in told(request_id)


def test_lookup__while_exports_are_paused_or_the_budget_is_at_its_reserve(world: World) -> None:
    """With an idle lease, the remaining causes are shown: the pause and the request budget."""
    world.redeploy(exports_paused=True)
    (request_id,) = world.send(item_guid(1))
    assert "unless ExportsPaused is true or the remaining requests are down to" in told(request_id)
    world.redeploy(exports_paused=False)
    control.set_budget(world.arena, {"remaining": 50})
    world.settle()
    (request_id,) = world.send(item_guid(2))
    assert "the remaining requests (4" in told(request_id)
    assert "reset at 2023-11-15T08:00:00Z" in told(request_id)
    control.set_budget(world.arena, {"remaining": 0})
    world.redeploy(request_budget_reserve=0)
    world.reconcile()
    assert "The day's Arena requests are used up until 2023-11-15T08:00:00Z." in told(request_id)


def test_lookup__of_items_whose_runs_failed(world: World) -> None:
    """Failed runs are shown with their errors, suspect sets with the time of their next attempt."""
    world.prove()
    for _ in range(6):
        control.plan_runs(world.arena, {"status": "FAILED"})
    (request_id,) = world.send({"itemGuids": items(4)})
    world.run_for(200)
    output = told(request_id)
    assert "They are retried separately, then in halves, not before 2023-11-14T22:19:" in output
    assert ": 5)" in output
    assert "FAILED: RunFailed Arena ended the run as FAILED" in output
    world.clock.sleep(3600)
    assert "then in halves.\n" in told(request_id)


def test_lookup__of_a_rejected_request(world: World) -> None:
    """Arena's code and message are shown."""
    control.add_faults(world.arena, {**POST, "code": 3140, "message": "[red] 3 :warning:"})
    (request_id,) = world.send({"itemGuids": items(3)})
    world.settle()
    assert "3 of 3  Rejected: 3140 [red] 3 :warning:\n" in told(request_id)


def test_lookup__of_items_that_arena_refused(world: World) -> None:
    """The number of refused items is shown next to the status of the run."""
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    bad, good = world.send({"itemGuids": items(4)}, {"itemGuids": items(4, 50)})
    world.settle()
    assert "3 of 7  COMPLETE; 1 refused by Arena (see the dead-letter queue)" in told(bad)
    assert "4 of 7  COMPLETE\n" in told(good)


def test_lookup__of_items_that_arena_did_not_find(world: World) -> None:
    """The number of items that Arena found is shown if some are missing."""
    control.plan_runs(world.arena, {"criteriaResultsCount": 3, "files": 1})
    (request_id,) = world.send({"itemGuids": items(4)})
    world.settle()
    assert "4 of 4  COMPLETE, 3 of 4 found\n" in told(request_id)


def test_lookup__while_the_limit_of_unproven_definitions_applies(world: World) -> None:
    """No run is promised for the next minute while the shared limit applies."""
    world.send(item_guid(1))
    while not world.events("completed"):
        world.run_for(1)
    (request_id,) = world.send({"exportGuid": OTHER, "itemGuids": items(2)})
    assert f"No run of export definition {OTHER} has succeeded yet." in told(request_id)
    assert "A reconcile starts one as soon as that limit permits, unless" in told(request_id)
    assert "within a minute" not in told(request_id)
    world.clock.sleep(60)
    assert "The next reconcile, within a minute, starts one" in told(request_id)


def test_lookup__of_a_definition_run(world: World) -> None:
    """A run with the definition's own criteria has no items to count."""
    (request_id,) = world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    assert "with its own criteria: pending" in told(request_id)
    assert "(its own criteria) has been in progress" in told(request_id)
    world.settle()
    assert "with its own criteria: finished" in told(request_id)
    assert "criteria  COMPLETE" in told(request_id)


@pytest.mark.parametrize("missing", ["AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"])
def test_lookup__without_region_or_credentials(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """A missing setting is reported in one line, with exit status 1."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps what it found before
    monkeypatch.delenv(missing)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    result = ask("ID")
    assert result.exit_code == 1
    assert result.output.startswith("Error: cannot read table ledger: ")
    assert ("region" if "REGION" in missing else "locate credentials") in result.output
    assert result.output.count("\n") == 1


def test_lookup__in_a_table_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong table is reported in one line, with DynamoDB's reason."""
    client = boto3.client("dynamodb")
    monkeypatch.setattr(boto3, "client", lambda _: client)
    with Stubber(client) as stub:
        stub.add_client_error(
            "get_item", "ResourceNotFoundException", "Requested resource not found"
        )
        result = ask("ID")
    assert result.exit_code == 1
    assert "Requested resource not found" in result.output
    assert result.output.count("\n") == 1


def test_lookup__while_an_outcome_waits_to_be_published(world: World) -> None:
    """A lease that is held by an ended run, or without an attempt, is shown as such."""
    (request_id,) = world.send(item_guid(1))
    lease = world.ledger.lease.read()
    assert lease.attempt_id
    attempt = world.ledger.attempts.get(lease.attempt_id)
    world.ledger.attempts.ended(attempt, RunResult(AttemptOutcome.COMPLETE, "COMPLETE"))
    assert "has ended and is being published." in told(request_id)
    assert "ended" in told(request_id)
    del world.table.items["SLOT"]
    world.ledger.lease.take(Lease())
    assert "The next run is being prepared, until 2023-11-14T22:16:" in told(request_id)
