"""Faults 1 to 11, 91 and 94 of the table in tests/README.md: intake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.errors import (
    LedgerUnavailableError,
    MessagingError,
)
from arena_exports.domain.messages import IntakeRules, parse_message
from arena_exports.domain.times import format_utc
from infra.simulator import control, names
from tests.events import event, event_bridge, sns, sqs_record
from tests.support.fakes import failing
from tests.support.world import EXPORT, World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.domain.model import ExportRequest
    from arena_exports.ports import Write


def in_a_list(content: object) -> list[object]:
    """Return content as the only entry of a list."""
    return [content]


def in_a_pipe(content: object) -> dict[str, Any]:
    """Return the record that EventBridge Pipes makes of an SQS message."""
    return sqs_record("m", json.dumps(content), 1_545_082_649)


def in_lambda_s_form(notification: object) -> dict[str, Any]:
    """Return the event with which SNS invokes a function."""
    invocation: dict[str, Any] = event("sns_to_lambda")
    invocation["Records"][0]["Sns"] = notification
    return invocation


def in_a_destination(content: object) -> dict[str, Any]:
    """Return the record that Lambda sends to a destination when a function failed."""
    return {**event("lambda_destination"), "requestPayload": content}


def _request(record: dict[str, str]) -> ExportRequest | None:
    rules = IntakeRules("default", names.DEFAULT_EXPORT_GUID)
    return parse_message(record["messageId"], record["body"], rules)


def test_fault_01__same_message_twice_is_one_request() -> None:
    """A message that is delivered twice is recorded once and acknowledged both times."""
    world = World()
    records = world.record(item_guid(1), item_guid(2))
    assert world.deliver(records) == []
    assert world.deliver(records) == []
    world.settle()
    assert_exported(world, items(3)[1:])
    assert world.posts() == 1


def test_fault_01__same_message_in_two_functions_at_once_is_one_request() -> None:
    """Both functions record it, one transaction is refused, and both acknowledge it."""
    world = World()
    records = world.record(item_guid(1), item_guid(2))
    others = []

    def overtaken(write: Callable[..., None], *writes: Write) -> None:
        world.table.restore("write")
        others.append(world.deliver(records))
        write(*writes)

    world.table.intercept("write", overtaken)
    assert world.deliver(records) == []
    assert others == [[]]
    world.settle()
    assert_exported(world, items(3)[1:])
    assert world.posts() == 1


def test_fault_02__same_item_twice_in_a_batch_is_one_item() -> None:
    """Duplicates in a batch are merged, and the event names the item for each request."""
    world = World()
    doubles = {"itemGuids": [item_guid(1), item_guid(1)]}
    assert world.deliver(world.record(item_guid(1), item_guid(1), doubles)) == []
    world.settle()
    (event,) = world.events()
    assert event["data"]["itemGuids"] == [item_guid(1)]
    assert [r["itemCount"] for r in event["data"]["requests"]] == [1, 1, 1]


def test_fault_03__malformed_body_alone_is_rejected() -> None:
    """A malformed body is rejected on topic and DLQ, and the others are exported."""
    world = World()
    ids = world.send(item_guid(1), {"itemGuids": "no list"}, item_guid(2))
    world.settle()
    assert_exported(world, items(3)[1:])
    (rejected,) = world.events("rejected")
    assert rejected["subject"] == ids[1]
    assert rejected["data"]["error"]["code"] == "InvalidMessage"
    assert "itemGuids" in rejected["data"]["error"]["message"]
    (letter,) = world.dead_letters.letters
    assert json.loads(letter.body) == {"itemGuids": "no list"}
    assert letter.error_code == "InvalidMessage"


def test_fault_03__rejection_contains_what_could_be_read() -> None:
    """A message for another workspace is rejected with its own definition and correlation id."""
    world = World()
    world.send(
        {"exportGuid": EXPORT, "itemGuids": items(1), "workspace": "x", "correlationId": "E"}
    )
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "WrongWorkspace"
    assert rejected["data"]["correlationId"] == "E"
    assert rejected["source"] == f"/arena/default/exports/{EXPORT}"


def test_fault_03__rejection_that_cannot_be_published_is_not_acknowledged() -> None:
    """The event comes before the dead letter, and both before the acknowledgement."""
    world = World()

    def refuse(*_args: object) -> None:
        raise MessagingError

    world.topic.intercept("publish", refuse)
    records = world.record("junk", item_guid(1))
    assert world.deliver(records) == [records[0]["messageId"]]
    assert not world.dead_letters.letters


def test_fault_04__batch_of_malformed_bodies_is_rejected_one_by_one() -> None:
    """Each body is rejected, none is delivered again, and no run is started."""
    world = World()
    bodies = [" ", "{", "[]", '{"itemGuids": 5}']
    records = world.record(*bodies)
    assert world.deliver(records) == []
    rejected = [event["data"]["requestId"] for event in world.events("rejected")]
    assert rejected == [record["messageId"] for record in records]
    assert [letter.body for letter in world.dead_letters.letters] == bodies
    assert {letter.error_code for letter in world.dead_letters.letters} == {"InvalidMessage"}
    assert world.posts() == 0


def test_fault_05__throttled_write_is_retried() -> None:
    """A throttled write is retried at once, and no message fails."""
    world = World()
    world.table.intercept("write", failing(2, LedgerUnavailableError()))
    assert world.deliver(world.record(*items(3))) == []
    world.settle()
    assert sorted(world.exported()) == items(3)


def test_fault_05__unavailable_ledger_fails_only_unrecorded_messages() -> None:
    """Messages that could not be recorded are delivered again, and then recorded once."""
    world = World()
    records = world.record(*items(150))
    world.table.intercept("write", failing(3, LedgerUnavailableError()))
    failed = world.deliver(records)
    assert len(failed) == 98
    assert world.deliver([r for r in records if r["messageId"] in failed]) == []
    world.settle()
    assert dict(world.exported()) == dict.fromkeys(items(150), 1)


def test_fault_06__redelivery_after_a_crash_changes_nothing() -> None:
    """A batch that was recorded before its function died is recorded once and makes one run."""
    world = World()
    records = world.record(*items(3))
    world.ledger.requests.record(
        [request for request in map(_request, records) if request is not None]
    )
    assert world.deliver(records) == []
    world.settle()
    assert_exported(world, items(3))
    assert world.posts() == 1


def test_fault_08__old_messages_are_accepted() -> None:
    """A message that is four days old and a newer one for the same item are both answered."""
    world = World()
    old = world.record({"itemGuids": items(2), "correlationId": "old"})
    old[0]["attributes"]["SentTimestamp"] = str(int((world.clock.now() - 4 * 86_400) * 1000))
    control.start_foreign_run(world.arena, {"seconds": 60})
    world.send({"itemGuids": items(1), "correlationId": "new"})
    assert world.deliver(old) == []
    world.settle()
    assert_exported(world, items(2))
    (event,) = world.events()
    told = {r["correlationId"]: r["itemCount"] for r in event["data"]["requests"]}
    assert told == {"old": 2, "new": 1}


def test_fault_09__item_that_arrives_during_its_run_is_exported_again_once() -> None:
    """An item that arrives during its own run is in the next run again."""
    world = World()
    world.send(item_guid(1))
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)], times=2)
    assert world.posts() == 2


def test_fault_10__burst_of_messages_is_exported_in_few_runs() -> None:
    """Ten thousand messages need at most one run more than the size limit requires."""
    world = World(settings={"max_items_per_run": 1000})
    guids = items(10_000)
    for start in range(0, 10_000, 500):
        world.send(*guids[start : start + 500])
    world.settle()
    assert_exported(world, guids)
    assert world.posts() <= 11
    assert max(len(run.item_guids) for run in world.arena.exports.runs) <= 1000
    assert max(len(event.body) for event in world.topic.events) <= 256 * 1024 - 1024
    assert max(len(json.dumps(state)) for state in world.executions.started.values()) < 1024


def test_fault_11__schedule_that_fires_twice_makes_one_run() -> None:
    """Definition requests share a run while they are pending; a later one makes another run."""
    world = World()
    body = {"exportGuid": names.DEFINITION_EXPORT_GUID}
    world.send(body, body)
    world.send(body)
    world.settle()
    assert len(world.events("completed")) == 2
    assert not world.errors


OURS = [
    pytest.param((), id="raw"),
    pytest.param((sns,), id="SNS"),
    pytest.param((sns, sns), id="SNS in SNS"),
    pytest.param((event_bridge,), id="EventBridge"),
    pytest.param((event_bridge, sns), id="EventBridge in SNS"),
    pytest.param((sns, event_bridge), id="SNS in EventBridge"),
    pytest.param((in_a_list,), id="a list"),
    pytest.param((in_a_pipe,), id="a pipe"),
    pytest.param((sns, in_lambda_s_form), id="Lambda's form"),
    pytest.param((sns, in_a_destination), id="a destination"),
]


@pytest.mark.parametrize("envelopes", OURS)
@pytest.mark.parametrize("kind", ["request.rejected", "run.completed"])
def test_fault_91__own_event_that_comes_back_leads_to_no_event(
    kind: str, envelopes: tuple[Callable[..., object], ...]
) -> None:
    """In whatever envelope it comes, it becomes a dead letter with a reason and makes no loop."""
    world = World()
    world.send("junk", item_guid(1))
    world.settle()

    body: Any
    (body,) = world.events(kind)
    before = len(world.topic.events)
    for envelope in envelopes:
        body = envelope(body)
    (message_id,) = world.send(body)
    assert len(world.topic.events) == before
    letter = world.dead_letters.letters[-1]
    assert letter.request_id == message_id
    assert json.loads(letter.body) == body
    assert "body is an event of this application" in letter.error_message
    assert world.telemetry.metrics["RequestsRejected"] == 2
    world.settle()
    assert world.posts() == 1


@pytest.mark.parametrize(
    "change", [lambda text: text[:-40], lambda text: f"Event: {text}"], ids=["cut off", "headed"]
)
def test_fault_91__own_event_that_is_garbled_leads_to_no_event(
    change: Callable[[str], str],
) -> None:
    """An event that is no longer JSON is recognised by its text."""
    world = World()
    world.send("junk")
    world.send(change(world.topic.events[0].body))
    assert len(world.topic.events) == 1
    assert len(world.dead_letters.letters) == 2


def test_fault_91__event_of_another_stack_or_release_leads_to_no_event() -> None:
    """Two stacks do not answer each other, and an older release does not answer a newer one."""
    world = World()
    world.send(
        {
            "specversion": "1.0",
            "source": "/arena/other/exports/EXP",
            "type": "arena.export.run.delivered",
            "data": {},
        },
        r'{"source":"\/arena\/other","type":"arena.export.request.rejected"}',
        event_bridge({}) | {"source": "/arena/x", "detail-type": "arena.export.run.failed"},
    )
    assert world.topic.events == []
    assert len(world.dead_letters.letters) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"itemGuids": ["short"], "correlationId": "arena.export.run.completed"},
        {"itemGuids": ["short"], "correlationId": "/arena/default/exports/EXP"},
        {"type": "arena.export.requested", "source": "/plm/changes", "data": {"itemGuids": []}},
        {"type": "com.example.released", "source": "/arena/changes", "data": {"itemGuids": []}},
        {"detail-type": "arena.export.requested", "source": "erp", "detail": {"itemGuids": []}},
    ],
)
def test_fault_91__request_that_only_resembles_an_event_is_answered(body: object) -> None:
    """A message that a sender may have written is rejected with an event."""
    world = World()
    world.send(body)
    assert len(world.events("rejected")) == len(world.dead_letters.letters) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        None,
        {},
        {"SentTimestamp": None},
        {"SentTimestamp": ""},
        {"SentTimestamp": "-5", "ApproximateReceiveCount": "-1"},
        {"SentTimestamp": "9" * 5000, "ApproximateReceiveCount": "9" * 5000},
        {"SentTimestamp": "1.5e12", "ApproximateReceiveCount": "many"},
    ],
)
def test_fault_94__record_without_attributes_is_accepted(attributes: object) -> None:
    """The time of sending defaults to the time of receipt, and the receive count to one."""
    world = World()
    records = world.record("junk", item_guid(1), item_guid(2))
    for record in records:
        del record["attributes"]
        if attributes is not None:
            record["attributes"] = attributes
    received_at = format_utc(world.clock.now())
    assert world.deliver(records[:2]) == []
    (event,) = world.events("rejected")
    assert event["time"] == received_at
    world.table.intercept("write", failing(3, LedgerUnavailableError()))
    assert world.deliver(records[2:]) == [records[2]["messageId"]]
    assert 48 <= world.intake_queue.delays[records[2]["receiptHandle"]] <= 60


def test_fault_94__record_needs_only_an_id_and_a_body() -> None:
    """Attributes may be null or absent."""
    world = World()
    records: list[dict[str, Any]] = [
        {"messageId": "one", "body": "junk", "attributes": None},
        {"messageId": "two", "body": item_guid(1)},
    ]
    assert world.deliver(records) == []
    assert len(world.dead_letters.letters) == 1
    world.settle()
    assert_exported(world, [item_guid(1)])
