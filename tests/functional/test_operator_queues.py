"""What the operator's tool does with AWS services that answer as the real ones do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.aws import doctor
from arena_exports_operator.aws.dead_letters import DeadLetters, Entry
from arena_exports_operator.aws.stack import Stack
from arena_exports_operator.errors import NoAccessError
from tests.support.operator import CALLER, stack_state
from tests.support.world import World

MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass
class StandardQueues:
    """SQS, which counts attributes as a part of a message, and shows what was hidden again."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        """Count the visible messages."""
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.messages))}}

    def receive_message(self, **named: Any) -> dict[str, Any]:
        """Return the first messages: a minute after each receive they are visible again."""
        return {"Messages": self.messages[: named["MaxNumberOfMessages"]]}

    def change_message_visibility_batch(self, **_: Any) -> None:
        """Show messages."""

    def send_message(self, **named: Any) -> dict[str, Any]:
        """Refuse what is too large."""
        parts = [named["MessageBody"]]
        for name, value in named["MessageAttributes"].items():
            parts += [name, value["DataType"], value["StringValue"]]
        assert len("".join(parts).encode()) <= MAX_MESSAGE_BYTES, "InvalidParameterValue"
        self.sent.append(named["MessageBody"])
        return {"MessageId": "new"}

    def delete_message(self, **named: Any) -> None:
        """Delete a message."""
        self.deleted.append(named["ReceiptHandle"])


def test_list__of_entries_that_come_back_ends() -> None:
    """To read them all takes longer than they stay hidden: the list ends, and says so."""
    messages = [
        {
            "MessageId": f"message-{n}",
            "ReceiptHandle": f"handle-{n}",
            "Body": "x",
            "Attributes": {"SentTimestamp": "0"},
        }
        for n in range(25)
    ]
    with DeadLetters(StandardQueues(messages), "dead", "intake").read(1000) as read:
        assert len(read.entries) == 10
        assert not read.complete


def test_redrive__of_the_largest_message_leaves_out_who_sent_it() -> None:
    """SQS moved it here by itself, because nothing fits beside it."""
    queues = StandardQueues()
    bodies = ["x" * MAX_MESSAGE_BYTES, "x"]
    entries = [Entry(str(n), None, None, None, 0, body, str(n)) for n, body in enumerate(bodies)]
    list(DeadLetters(queues, "dead", "intake").redrive(entries, CALLER))
    assert (queues.sent, queues.deleted) == (bodies, ["0", "1"])


class Alarming:
    """CloudWatch with alarms of several stacks, and no other service."""

    region = "us-east-1"

    def caller(self) -> str:
        """Return the ARN that the calls are made with."""
        return CALLER

    def client(self, service: str, **_: Any) -> Alarming:
        """Return the client of a service."""
        if service != "cloudwatch":
            raise NoAccessError(service)
        return self

    def get_paginator(self, _operation: str) -> Alarming:
        """Return the paginator of an operation."""
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        """Return alarms: the second is another stack's, and has no description, as AWS permits."""
        names = ("stack-DeadLetterAlarm-1ABC", "stack-eu-DeadLetterAlarm-2ABC", "stack-mine")
        return [{"MetricAlarms": [{"AlarmName": name} for name in names]}]


def test_doctor__tells_of_alarms_of_this_stack_alone() -> None:
    """Another stack's name may begin with this one's, and an alarm needs no description."""
    world, aws = World(), Alarming()
    outputs = ("IntakeQueueUrl", "OutcomeTopicArn", "Version")
    stack = Stack("stack", dict.fromkeys(outputs, "0.1.0"), {}, "CREATE_COMPLETE")
    seen = take_snapshot(world.ledger, stack_state(world), world.clock.now())
    found = doctor.after(aws, stack, seen)  # type: ignore[arg-type] # a fake
    texts = [check.text for check in found if check.name == "alarms"]
    assert texts == ["stack-DeadLetterAlarm-1ABC is in alarm"]
