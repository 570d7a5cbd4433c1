"""How the ledger's table handles DynamoDB's errors, with and without botocore's own retries."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.session import get_session

from arena_exports.adapters.attributes import to_attribute
from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.domain.errors import ConditionFailedError, LedgerUnavailableError
from arena_exports.ports import Check, Condition, Delete, Put, Update
from tests.support.canned import canned
from tests.support.fakes import FakeClock
from tests.support.world import World, items

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

    from arena_exports.ports import Write

KEY = ("A", "1")
ITEM = {"PK": "A", "SK": "1", "token": "ours", "nothing": None, "packed": b"\x00", "tries": [1]}
PUT = Put(ITEM, Condition(absent=("PK",)))
PAIR = (PUT, Check(("A", "2"), Condition(present=("PK",))))
DONE: tuple[int, dict[str, Any]] = (200, {})


def error(code: str, status: int = 400, **more: object) -> tuple[int, dict[str, Any]]:
    """Return an error of DynamoDB."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "x", **more}


def cancelled(*reasons: str) -> tuple[int, dict[str, Any]]:
    """Return the answer to a cancelled transaction."""
    return error("TransactionCanceledException", CancellationReasons=[{"Code": r} for r in reasons])


class Dynamo:
    """A botocore client with canned answers, the last of which is repeated for ever."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, Any]] = []
        self.clock = FakeClock()
        client: Any = get_session().create_client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
            config=Config(retries={"mode": "standard", "total_max_attempts": 4}),
        )
        client.meta.events.register("before-send.dynamodb.*", self._send)
        self.table = DynamoTable(client, "ledger", self.clock)

    def _send(self, request: Any, **_more: Any) -> AWSResponse:
        self.calls.append((request.headers["X-Amz-Target"].decode(), json.loads(request.body)))
        status, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return canned(request, status, json.dumps(content).encode())

    def waited(self) -> float:
        """Return for how long the table slept, seconds."""
        return self.clock.time - FakeClock().time


@pytest.mark.parametrize(
    ("writes", "busy"),
    [
        ((PUT,), error("TransactionConflictException")),
        ((Update(KEY, {"n": 1}),), error("TransactionConflictException")),
        ((Delete(KEY),), error("TransactionConflictException")),
        (PAIR, cancelled("TransactionConflict", "None")),
        (PAIR, cancelled("None", "ThrottlingError")),
        (PAIR, cancelled("ProvisionedThroughputExceeded", "TransactionConflict")),
    ],
)
def test_write__that_conflicts_with_a_transaction_is_retried(
    writes: tuple[Write, ...], busy: tuple[int, dict[str, Any]]
) -> None:
    """Botocore does not retry a conflict, so the table does, with jitter, for a second."""
    dynamo = Dynamo(busy, busy, DONE)
    dynamo.table.write(*writes)
    assert len(dynamo.calls) == 3
    assert 0 < dynamo.waited() < 0.15
    dynamo = Dynamo(busy)
    with pytest.raises(LedgerUnavailableError, match="Transaction"):
        dynamo.table.write(*writes)
    assert len(dynamo.calls) == 5
    assert 0 < dynamo.waited() < 0.75


@pytest.mark.parametrize(
    ("reasons", "failed"),
    [
        (("ConditionalCheckFailed", "None"), (0,)),
        (("None", "ConditionalCheckFailed"), (1,)),
        (("ConditionalCheckFailed", "ConditionalCheckFailed"), (0, 1)),
        (("TransactionConflict", "ConditionalCheckFailed"), (1,)),
        (("ConditionalCheckFailed", "ThrottlingError"), (0,)),
    ],
)
def test_transaction__whose_condition_failed_is_not_retried(
    reasons: tuple[str, ...], failed: tuple[int, ...]
) -> None:
    """Each reason is about one item: a failed condition counts, however busy the others are."""
    dynamo = Dynamo(cancelled(*reasons))
    with pytest.raises(ConditionFailedError) as caught:
        dynamo.table.write(*PAIR)
    assert caught.value.failed == failed
    assert len(dynamo.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        cancelled("ValidationError", "None"),
        cancelled("ItemCollectionSizeLimitExceeded", "TransactionConflict"),
        cancelled("ConditionalCheckFailed", "ValidationError"),
        cancelled("ANewReason", "None"),
        cancelled(),
        error("ValidationException"),
        error("ResourceNotFoundException"),
        error("AccessDeniedException"),
        error("IdempotentParameterMismatchException"),
    ],
)
def test_transaction__that_cannot_succeed_is_not_retried(
    answer: tuple[int, dict[str, Any]],
) -> None:
    """A defect or a missing permission is raised at once, with its code and its reasons."""
    dynamo = Dynamo(answer)
    code = answer[1]["__type"].partition("#")[2]
    with pytest.raises(LedgerUnavailableError, match=code) as caught:
        dynamo.table.write(*PAIR)
    assert all(
        r["Code"] in str(caught.value) or r["Code"] == "None"
        for r in answer[1].get("CancellationReasons", [])
    )
    assert len(dynamo.calls) == 1


@pytest.fixture
def botocore_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore back off without waiting."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


@pytest.mark.usefixtures("botocore_sleeps")
@pytest.mark.parametrize(
    "code",
    ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"],
)
def test_write__that_is_throttled_is_retried_only_by_botocore(code: str) -> None:
    """There are four tries in all, not four for each of five."""
    dynamo = Dynamo(error(code))
    with pytest.raises(LedgerUnavailableError, match=code):
        dynamo.table.write(PUT)
    assert len(dynamo.calls) == 4


@pytest.mark.usefixtures("botocore_sleeps")
def test_transaction__whose_answer_was_lost_succeeds() -> None:
    """Botocore retries with the same token, by which DynamoDB recognises the transaction."""
    in_progress = error("TransactionInProgressException")
    dynamo = Dynamo(error("InternalServerError", 500), in_progress, DONE)
    dynamo.table.write(*PAIR)
    assert len({body["ClientRequestToken"] for _, body in dynamo.calls}) == 1


def stored(**changes: object) -> dict[str, Any]:
    """Return our item, with changes, as DynamoDB stores it."""
    return {name: _as_json(to_attribute(value)) for name, value in {**ITEM, **changes}.items()}


def _as_json(attribute: dict[str, Any]) -> dict[str, Any]:
    return {"B": "AA=="} if "B" in attribute else attribute


def failed(**changes: object) -> tuple[int, dict[str, Any]]:
    """Return the answer to a put whose condition failed, with the existing item."""
    return error("ConditionalCheckFailedException", Item=stored(**changes))


@pytest.mark.usefixtures("botocore_sleeps")
def test_put__whose_answer_was_lost_succeeds() -> None:
    """A retry that finds the same item there has found its own, so the condition did not fail.

    Otherwise a lease that was taken would look like somebody else's until it expires.
    """
    dynamo = Dynamo(error("InternalServerError", 500), failed())
    dynamo.table.write(PUT)
    assert dynamo.calls[1][1]["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


@pytest.mark.usefixtures("botocore_sleeps")
@pytest.mark.parametrize(
    "answers",
    [
        [failed()],
        [error("InternalServerError", 500), failed(token="theirs")],
        [error("InternalServerError", 500), error("ConditionalCheckFailedException")],
    ],
    ids=["first try", "another item", "no item"],
)
def test_put__whose_condition_failed_is_reported(answers: list[Any]) -> None:
    """On the first try the item cannot be ours, and a different item is somebody else's."""
    dynamo = Dynamo(*answers)
    with pytest.raises(ConditionFailedError):
        dynamo.table.write(PUT)


@pytest.mark.parametrize("at", range(12))
def test_conflict__that_outlasts_the_retries_loses_nothing(at: int) -> None:
    """Whichever write conflicts, the functions fail or wait, and resume later (R11)."""
    world = World()
    guids = items(3)
    world.at(at * 2, lambda: setattr(world.table, "conflicts", 1 + at % 4))
    for n, guid in enumerate(guids):
        world.at(5 + 10 * n, partial(deliver_until_safe, world, guid))
    world.table.conflicts = at % 3
    world.run_for(40)
    world._settle(86_400)
    assert dict(world.exported()) == dict.fromkeys(guids, 1)
    assert world.posts() == len(world.events("run.completed"))


def deliver_until_safe(world: World, guid: str) -> None:
    """Deliver a message until it is acknowledged, as SQS does."""
    records = world.record(guid)
    while world.deliver(records):
        pass


def test_batch__without_results_backs_off() -> None:
    """Keys that throttling left unprocessed are requested again after a back-off."""
    keys = {"ledger": {"Keys": [{"PK": {"S": "A"}, "SK": {"S": "1"}}]}}
    throttled = (200, {"Responses": {}, "UnprocessedKeys": keys})
    dynamo = Dynamo(throttled, throttled, (200, {"Responses": {"ledger": [stored()]}}))
    assert dynamo.table.get_many([KEY]) == {KEY: ITEM}
    assert 0 < dynamo.waited() < 0.15
    dynamo = Dynamo(throttled)
    with pytest.raises(LedgerUnavailableError, match="unprocessed"):
        dynamo.table.get_many([KEY])
    assert len(dynamo.calls) == 5
