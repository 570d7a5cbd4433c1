"""The local stack: send requests, observe it, and receive its events."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from infra.local import logs
from infra.local.arena import Arena
from infra.local.aws import Clients
from infra.local.subscriber import BATCH, Subscriber, attributes_of, drain, subscription_attributes

MAX_BATCH_BYTES = 1_000_000
POLL_SECONDS = 0.2
SHOWN_CHARACTERS = 60

T = TypeVar("T")


class StackTimeoutError(AssertionError):
    """An expected state was not reached in time; the message ends with the logs."""


class SendError(Exception):
    """The intake queue rejected a message; the message has the reason."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry of the dead-letter queue."""

    body: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Stack:
    """A deployed stack on the embedded AWS at `endpoint`, with its Arena at `arena_url`."""

    name: str
    endpoint: str
    arena_url: str
    folder: Path

    @cached_property
    def clients(self) -> Clients:
        """The boto3 clients, with the permissions of the root user."""
        return Clients(self.endpoint)

    @cached_property
    def arena(self) -> Arena:
        """The control interface of the Arena simulator."""
        return Arena(self.arena_url)

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name (README, sections Send, Subscribe and Operate)."""
        stacks = self.clients.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {
            output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])
        }

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """The physical id of each resource by its logical id."""
        reply = self.clients.cloudformation.describe_stack_resources(StackName=self.name)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in reply["StackResources"]
        }

    def subscribe(self, name: str = "subscriber", *types: str) -> Subscriber:
        """Create a queue of that name and subscribe it to the outcome topic.

        It receives the events of these types; of every type, if none is named.
        """
        topic_arn = self.outputs["OutcomeTopicArn"]
        return Subscriber.subscribe(self.clients, topic_arn, name, subscription_attributes(*types))

    def send(self, *bodies: str | list[Any] | dict[str, Any]) -> list[str]:
        """Send messages to the intake queue, as JSON unless they are text, and return their ids.

        Raises:
            SendError: the queue rejected a message.
        """
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        return [message_id for batch in _batches(texts) for message_id in self._send(batch)]

    def _send(self, bodies: list[str]) -> list[str]:
        entries: Any = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        reply = self.clients.sqs.send_message_batch(
            QueueUrl=self.outputs["IntakeQueueUrl"], Entries=entries
        )
        if failed := reply.get("Failed"):
            refused = [f"{_quoted(bodies[int(e['Id'])])}: {e['Message']}" for e in failed]
            raise SendError("\n".join(["the intake queue rejected", *refused]))
        ids = {entry["Id"]: entry["MessageId"] for entry in reply["Successful"]}
        return [ids[str(n)] for n in range(len(bodies))]

    def queue_depth(self) -> int:
        """Return the number of messages on the intake queue, including those in flight."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        reply = self.clients.sqs.get_queue_attributes(
            QueueUrl=self.outputs["IntakeQueueUrl"], AttributeNames=names
        )
        return sum(int(reply["Attributes"][name]) for name in names)

    def dead_letters(self) -> list[DeadLetter]:
        """Receive and delete every entry of the dead-letter queue."""
        taken = drain(self.clients, self.outputs["DeadLetterQueueUrl"])
        return [DeadLetter(message["Body"], attributes_of(message)) for message in taken]

    def invoke(self, logical_id: str, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Call a function of the stack and return its answer."""
        reply = self.clients.functions.invoke(
            FunctionName=self.resources[logical_id], Payload=json.dumps(payload)
        )
        return json.loads(reply["Payload"].read() or b"null")

    def reconcile(self) -> None:
        """Invoke submit as the reconcile schedule does every minute."""
        self.invoke("SubmitFunction", {"action": "reconcile"})

    def lease_state(self) -> str:
        """Return the state of the lease: idle, submitting, or running."""
        return str(self.ledger_item("SLOT").get("state", {}).get("S", "idle"))

    def ledger_item(self, partition: str) -> Mapping[str, Any]:
        """Return the ledger's first item with that partition key; empty if there is none."""
        reply = self.clients.dynamodb.query(
            TableName=self.outputs["LedgerTableName"],
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
        )
        return next(iter(reply["Items"]), {})

    def wait_until(
        self, what: str, condition: Callable[[], T | None], timeout_seconds: float = 60
    ) -> T:
        """Wait until `condition` returns a true value, and return it.

        Raises:
            StackTimeoutError: it did not in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if result := condition():
                return result
            time.sleep(POLL_SECONDS)
        message = f"timed out after {timeout_seconds:g} s waiting for: {what}\n{self.recent_logs()}"
        raise StackTimeoutError(message)

    def wait_until_idle(self, timeout_seconds: float = 60) -> None:
        """Wait until the queue is empty and no run is in progress."""
        self.wait_until(
            "an empty queue and an idle lease",
            lambda: self.queue_depth() == 0 and self.lease_state() == "idle",
            timeout_seconds,
        )

    def recent_logs(self) -> str:
        """Return the last warnings and errors of every log."""
        return logs.recent(self.clients, self.resources, self.folder)

    def all_logs(self) -> str:
        """Return every line of every log."""
        return logs.complete(self.clients, self.resources, self.folder)


def _quoted(body: str) -> str:
    """Return the beginning of a message in quotes."""
    return repr(body if len(body) <= SHOWN_CHARACTERS else f"{body[:SHOWN_CHARACTERS]}…")


def _batches(bodies: Iterable[str]) -> Iterable[list[str]]:
    """Yield batches that fit in one SendMessageBatch call."""
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == BATCH or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch
