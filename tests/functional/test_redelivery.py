"""Messages that were not recorded or rejected in time are redelivered soon and given up late."""

from __future__ import annotations

import json
from collections import Counter
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.adapters.messaging import CALLS_AT_ONCE, in_parallel
from arena_exports.domain.errors import LedgerUnavailableError, MessagingError
from arena_exports.services.intake import MAX_REDELIVERY_SECONDS, redelivery_seconds
from tests.events import event
from tests.support.translated import resources
from tests.support.world import SUBMIT_SECONDS, World, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOUR = 3600
QUEUE = resources("AWS::SQS::Queue")["IntakeQueue"]
MAX_RECEIVES = QUEUE["RedrivePolicy"]["maxReceiveCount"]
FOREIGN = [json.dumps(event("s3") | {"n": n}) for n in range(979)]


def slow_down(world: World, seconds: float) -> None:
    """Have each event and each dead letter take so many seconds."""

    def one_by_one(call: Callable[[Any], None], values: Sequence[Any]) -> None:
        for value in values:
            world.clock.sleep(seconds)
            call([value])

    world.topic.intercept("publish", one_by_one)
    world.dead_letters.intercept("send", one_by_one)


def make_ledger_unavailable(world: World, seconds: float = 0) -> None:
    """Have each write to the ledger refused after so many seconds."""

    def refuse(*_args: object) -> None:
        world.clock.sleep(seconds)
        raise LedgerUnavailableError("ThrottlingException")

    world.table.intercept("write", refuse)


def test_wait__doubles_up_to_the_visibility_timeout() -> None:
    """The wait starts at a minute and doubles up to the queue's visibility timeout."""
    waits = [redelivery_seconds(receives, 1) for receives in range(1, 9)]
    assert waits == [60, 120, 240, 480, 960, 1020, 1020, 1020]
    assert redelivery_seconds(10**12, 1) == QUEUE["VisibilityTimeout"]
    assert QUEUE["VisibilityTimeout"] == MAX_REDELIVERY_SECONDS


def test_wait__has_jitter() -> None:
    """Jitter shortens the wait by up to a fifth, so that a batch does not return all at once."""
    assert [redelivery_seconds(1, jitter) for jitter in (0, 0.5, 1)] == [48, 54, 60]


def test_wait__adds_up_to_more_than_an_hour() -> None:
    """More than an hour passes between the first receive and the last that SQS allows."""
    shortest = sum(redelivery_seconds(receives, 0) for receives in range(1, MAX_RECEIVES))
    assert shortest > HOUR


def test_message__that_was_not_recorded_is_redelivered_soon() -> None:
    """Only failed messages return early, after a wait that depends on their receive count."""
    world = World()
    make_ledger_unavailable(world)
    records = world.record(item_guid(1), item_guid(2), {"action": "reconcile"}, "junk")
    failed = world.deliver(records)
    assert failed == ["message-000001", "message-000002"]
    assert world.intake_queue.delays.keys() == {"message-000001/1", "message-000002/1"}
    assert all(48 <= seconds <= 60 for seconds in world.intake_queue.delays.values())
    again = world.receive_again(records, failed)
    assert world.deliver(again) == failed
    assert 96 <= world.intake_queue.delays["message-000001/2"] <= 120


def test_message__whose_rejection_was_not_published_is_redelivered_soon() -> None:
    """While the topic is down, only the rejected message is redelivered."""
    world = World()

    def refuse(*_args: object) -> None:
        raise MessagingError("the topic did not accept a message (Throttled)")

    world.topic.intercept("publish", refuse)
    assert world.deliver(world.record("junk", item_guid(1))) == ["message-000001"]
    assert world.intake_queue.delays.keys() == {"message-000001/1"}
    lines = [fields for line, fields in world.telemetry.lines if line == "refusals not delivered"]
    assert lines == [{"error": "the topic did not accept a message (Throttled)", "messages": 1}]


@pytest.mark.parametrize(("handle", "lines"), [(None, 0), ("", 0), ("of an earlier receive", 1)])
def test_message__whose_visibility_cannot_be_changed_is_redelivered_by_sqs(
    handle: str | None, lines: int
) -> None:
    """It is still returned as a failure, and only a DEBUG line says why."""
    world = World()
    make_ledger_unavailable(world)
    (record,) = world.record(item_guid(1))
    others = {name: value for name, value in record.items() if name != "receiptHandle"}
    delivered = others if handle is None else {**others, "receiptHandle": handle}
    world.intake_queue.in_flight = {"another"}
    answer = world.call("submit", {"Records": [delivered]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-000001"}]}
    assert world.telemetry.debug_lines == ["visibility not changed"] * lines
    assert not world.intake_queue.delays


def test_fault_90__foreign_messages_and_a_good_one_while_aws_is_slow() -> None:
    """The good message is recorded at once; each foreign one is rejected once, and none is lost."""
    world = World()
    slow_down(world, 0.07)
    left = world.record(*FOREIGN, item_guid(1))
    receives = 0
    while left:
        began = world.clock.now()
        failed = world.deliver(left)
        assert world.clock.now() - began < SUBMIT_SECONDS
        receives += 1
        assert set(failed) <= {record["messageId"] for record in left} - {"message-000980"}
        assert world.intake_queue.delays.keys() >= {f"{name}/{receives}" for name in failed}
        left = world.receive_again(left, failed)
        world.clock.sleep(60)
    assert receives <= 2
    assert receives < MAX_RECEIVES
    world.settle()
    assert dict(world.exported()) == {item_guid(1): 1}
    refused = Counter(letter.request_id for letter in world.dead_letters.letters)
    assert set(refused.values()) == {1}
    assert len(refused) == len(world.events("rejected")) == 979


def test_fault_90__good_messages_are_recorded_before_any_rejection() -> None:
    """Their position in the batch makes no difference."""
    world = World()
    pending: list[int] = []

    def watched(publish: Callable[[Any], None], events: Sequence[Any]) -> None:
        pending.append(len(world.table.items.get("PENDING", {})))
        publish(events)

    world.topic.intercept("publish", watched)
    world.deliver(world.record("junk", item_guid(1), "more junk"))
    assert pending == [1, 1]


def test_fault_90__event_comes_before_the_dead_letter_of_each_message() -> None:
    """A rejection whose event is not accepted has no dead letter; the others have both."""
    world = World()
    order: list[str] = []

    def published(publish: Callable[[Any], None], events: Sequence[Any]) -> None:
        subject = json.loads(events[0].body)["subject"]
        if subject == "message-000002":
            raise MessagingError
        order.append(f"event {subject}")
        publish(events)

    def sent(send: Callable[[Any], None], letters: Sequence[Any]) -> None:
        order.append(f"letter {letters[0].request_id}")
        send(letters)

    world.topic.intercept("publish", published)
    world.dead_letters.intercept("send", sent)
    assert world.deliver(world.record("a", "b", "c")) == ["message-000002"]
    assert order == [
        "event message-000001",
        "letter message-000001",
        "event message-000003",
        "letter message-000003",
    ]


def test_fault_90__messages_received_most_often_are_rejected_first() -> None:
    """If there is no time for all, the message that SQS would give up next is rejected."""
    world = World()
    slow_down(world, 30)
    records = world.record("a", "b", "c")
    records[2]["attributes"]["ApproximateReceiveCount"] = "9"
    assert world.deliver(records) == ["message-000002"]
    assert [letter.body for letter in world.dead_letters.letters] == ["c", "a"]


def test_fault_90__ledger_that_hangs_does_not_outlast_the_function() -> None:
    """No write begins that may not end in time, and the remaining messages return soon."""
    world = World()
    make_ledger_unavailable(world, 25)
    began = world.clock.now()
    records = world.record(*items(300), "junk")
    assert sorted(world.deliver(records)) == sorted(record["messageId"] for record in records)
    assert world.clock.now() - began < SUBMIT_SECONDS
    assert len(world.intake_queue.delays) == 301


def test_calls__are_made_in_parallel() -> None:
    """As many calls run at once as botocore has connections; results keep the values' order."""
    barrier = Barrier(CALLS_AT_ONCE)

    def work(value: int) -> int:
        barrier.wait(timeout=60)
        return -value

    assert list(in_parallel(work, range(CALLS_AT_ONCE))) == [-n for n in range(CALLS_AT_ONCE)]
    assert list(in_parallel(work, [])) == []
