"""A subscriber of the outcome topic: an SQS queue, as another system would use."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.aws import Clients

BATCH = 10
POLL_SECONDS = 0.5
RAW = {"RawMessageDelivery": "true"}


def subscription_attributes(*types: str) -> dict[str, str]:
    """Return the attributes of a subscription to events of these types, or of every type."""
    return {**RAW, "FilterPolicy": json.dumps({"type": types})} if types else RAW


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A CloudEvent from the topic, with its SNS message attributes.

    `size_bytes` is the size that SNS limits: the body and all attributes.
    """

    event: Mapping[str, Any]
    attributes: Mapping[str, str]
    size_bytes: int

    @property
    def type(self) -> str:
        """The CloudEvent's type, for example `arena.export.run.completed`."""
        return str(self.event["type"])

    @property
    def data(self) -> Mapping[str, Any]:
        """The CloudEvent's data (README, section Subscribe)."""
        data: Mapping[str, Any] = self.event["data"]
        return data


@dataclass(slots=True)
class Subscriber:
    """A queue that is subscribed to the topic, and the events received so far."""

    clients: Clients
    queue_url: str
    events: list[ReceivedEvent] = field(default_factory=list)

    @classmethod
    def subscribe(
        cls,
        clients: Clients,
        topic_arn: str,
        name: str = "subscriber",
        attributes: Mapping[str, str] = RAW,
    ) -> "Subscriber":
        """Create a queue and subscribe it, by default to all events with raw delivery."""
        queue_url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
        found = clients.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        queue_arn = found["Attributes"]["QueueArn"]
        policy = json.dumps(_policy(topic_arn, queue_arn))
        clients.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})
        clients.sns.subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes=attributes
        )
        return cls(clients, queue_url)

    @classmethod
    def of_queue(cls, clients: Clients, name: str) -> "Subscriber":
        """Return the subscriber of an existing, subscribed queue."""
        return cls(clients, clients.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def receive(self) -> list[ReceivedEvent]:
        """Return the events that have arrived since the last call, and add them to `events`."""
        arrived = [_received(message) for message in drain(self.clients, self.queue_url)]
        self.events.extend(arrived)
        return arrived


def follow(receive: Callable[[], list[ReceivedEvent]], history: Path) -> Iterator[dict[str, Any]]:
    """Yield the events in the file `history`, then new ones as they arrive.

    New events are written to the file first, so that two readers at the same time miss nothing.
    """
    with history.open("ab", buffering=0) as end, history.open() as lines:
        while True:
            arrived = [json.dumps(received.event) + "\n" for received in receive()]
            end.write("".join(arrived).encode())
            yield from map(json.loads, lines)
            time.sleep(POLL_SECONDS)


def drain(clients: Clients, queue_url: str) -> list[Mapping[str, Any]]:
    """Receive and delete all messages of a queue."""
    taken: list[Mapping[str, Any]] = []
    while True:
        reply = clients.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=BATCH, MessageAttributeNames=["All"]
        )
        messages = reply.get("Messages", [])
        if not messages:
            return taken
        for message in messages:
            clients.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            taken.append(dict(message))


def attributes_of(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the String attributes of an SQS message."""
    attributes = message.get("MessageAttributes", {})
    return {name: str(value["StringValue"]) for name, value in attributes.items()}


def _received(message: Mapping[str, Any]) -> ReceivedEvent:
    body, attributes = message["Body"], attributes_of(message)
    texts = [body, *(f"{name}String{value}" for name, value in attributes.items())]
    return ReceivedEvent(json.loads(body), attributes, sum(len(text.encode()) for text in texts))


def _policy(topic_arn: str, queue_arn: str) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
