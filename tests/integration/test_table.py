"""One contract for the ledger's table, for the in-memory fake and for DynamoDB."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.ports import Check, Condition, Delete, Put, Table, Update
from tests.support.canned import answered_by, canned
from tests.support.fakes import InMemoryTable

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

    from arena_exports.ports import Write
    from infra.local.aws import Clients

pytestmark = pytest.mark.integration

_numbers = count()


def dynamo_table(aws: Clients) -> DynamoTable:
    """Return a fresh table with the ledger's keys."""
    name = f"ledger-{next(_numbers)}"
    aws.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "SK", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
    )
    return DynamoTable(aws.dynamodb, name)


@pytest.fixture(params=["memory", "ministack", "moto"])
def table(request: pytest.FixtureRequest) -> Table:
    """Return each kind of table in turn."""
    if request.param == "memory":
        return InMemoryTable()
    return dynamo_table(request.getfixturevalue(request.param))


def item(sk: str, **values: object) -> dict[str, object]:
    """Return an item of partition A."""
    return {"PK": "A", "SK": sk, **values}


def test_table__returns_what_was_put(table: Table) -> None:
    """Every type that the ledger uses is returned unchanged."""
    values = {
        "text": "ä|\n",
        "number": -7,
        "bytes": b"\x00\xff",
        "list": [1, "b", [2]],
        "map": {"a": {"b": 1}},
        "set": {"x", "y"},
        "nothing": None,
        "yes": True,
        "empty": "",
    }
    table.write(Put(item("1", **values)))
    assert table.get(("A", "1")) == item("1", **values)
    assert table.get(("A", "2")) is None


def test_table__get_many_skips_missing_items(table: Table) -> None:
    """The keys exceed one batch, some are repeated, and some have no item."""
    for n in range(120):
        table.write(Put(item(f"{n:03}", n=n)))
    keys = [("A", f"{n:03}") for n in range(0, 240, 2)] * 2
    found = table.get_many(keys)
    assert sorted(value["n"] for value in found.values()) == list(range(0, 120, 2))


def test_table__query_returns_a_range_in_order(table: Table) -> None:
    """The range includes both ends, and has at most the requested number of items."""
    for name in ("b#2", "a#1", "b#1", "c#1", "b~"):
        table.write(Put(item(name)))
    assert [i["SK"] for i in table.query("A", "b#", "b#~")] == ["b#1", "b#2"]
    assert [i["SK"] for i in table.query("A", "b#1", "c#1", limit=2)] == ["b#1", "b#2"]
    assert [i["SK"] for i in table.query("A", "!", "~")] == ["a#1", "b#1", "b#2", "b~", "c#1"]
    assert table.query("B", "!", "~") == []


def test_table__update_sets_removes_and_adds(table: Table) -> None:
    """An update changes what it names, and creates an item if there is none."""
    table.write(Put(item("1", a=1, b=2, names={"x"})))
    table.write(Update(("A", "1"), {"a": 3}, remove=("b",), add={"names": {"y"}}))
    assert table.get(("A", "1")) == item("1", a=3, names={"x", "y"})
    table.write(Update(("A", "2"), {"state": "new"}))
    assert table.get(("A", "2")) == item("2", state="new")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition(absent=("PK",)), False),
        (Condition(present=("PK",)), True),
        (Condition(absent=("other",)), True),
        (Condition(present=("other",)), False),
        (Condition(equals={"n": 5}), True),
        (Condition(equals={"n": 6}), False),
        (Condition(equals={"other": 5}), False),
        (Condition(less_than={"n": 6}), True),
        (Condition(less_than={"n": 5}), False),
        (Condition(less_than={"other": 5}), False),
        (Condition(present=("PK",), equals={"n": 5}, less_than={"n": 9}), True),
        (Condition(present=("PK",), equals={"n": 5}, less_than={"n": 1}), False),
        (Condition(equals={"nothing": None}), True),
    ],
)
def test_table__writes_if_the_condition_holds(
    table: Table, condition: Condition, *, holds: bool
) -> None:
    """A write happens exactly when its condition holds."""
    table.write(Put(item("1", n=5, nothing=None)))
    if holds:
        table.write(Put(item("1", n=8), condition))
    else:
        with pytest.raises(ConditionFailedError) as caught:
            table.write(Put(item("1", n=8), condition))
        assert caught.value.failed == (0,)
    assert (table.get(("A", "1")) or {})["n"] == (8 if holds else 5)


def test_table__transaction_is_all_or_nothing(table: Table) -> None:
    """A failed condition undoes the whole transaction; the error names the writes that failed."""
    table.write(Put(item("1", n=1)), Put(item("2", n=2)), Update(("A", "3"), {"n": 3}))
    with pytest.raises(ConditionFailedError) as caught:
        table.write(
            Put(item("4")),
            Put(item("1", n=9), Condition(absent=("PK",))),
            Check(("A", "2"), Condition(equals={"n": 2})),
            Delete(("A", "3"), Condition(equals={"n": 4})),
        )
    assert caught.value.failed == (1, 3)
    assert [i["SK"] for i in table.query("A", "!", "~")] == ["1", "2", "3"]
    table.write(Delete(("A", "1")), Check(("A", "2"), Condition(equals={"n": 2})))
    assert [i["SK"] for i in table.query("A", "!", "~")] == ["2", "3"]


def test_table__delete_of_nothing_is_no_error(table: Table) -> None:
    """An item can be deleted twice."""
    table.write(Put(item("1")))
    table.write(Delete(("A", "1")))
    table.write(Delete(("A", "1")))
    assert table.get(("A", "1")) is None


def test_table__update_and_delete_respect_conditions(table: Table) -> None:
    """A failed condition of a single update or delete raises an error and changes nothing."""
    for write in (
        Update(("A", "1"), {"n": 1}, condition=Condition(present=("PK",))),
        Delete(("A", "1"), Condition(present=("PK",))),
    ):
        with pytest.raises(ConditionFailedError):
            table.write(write)
    assert table.get(("A", "1")) is None


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_table__write_that_conflicts_with_a_transaction_is_retried(
    aws: Clients, operation: str
) -> None:
    """A write succeeds after a conflict. The test simulates it: the stand-ins have none."""
    table = dynamo_table(aws)
    table.write(Put(item("1", n=1)))
    answers = [b'{"__type": "TransactionConflictException", "message": "x"}']

    def busy(request: Any, **_more: Any) -> AWSResponse | None:
        if not answers:
            return None
        return canned(request, 400, answers.pop())

    writes: dict[str, Write] = {
        "PutItem": Put(item("1", n=2)),
        "UpdateItem": Update(("A", "1"), {"n": 2}),
        "DeleteItem": Delete(("A", "1")),
    }
    with answered_by(aws.dynamodb, f"dynamodb.{operation}", busy):
        table.write(writes[operation])
    assert not answers
    assert table.get(("A", "1")) == (None if operation == "DeleteItem" else item("1", n=2))
