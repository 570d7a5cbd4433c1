"""The local stack as an object: send requests, watch it, receive the events that come out."""

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
from infra.local.subscriber import BATCH, Subscriber, attributes_of, drain

MAX_BATCH_BYTES = 1_000_000
POLL_SECONDS = 0.2
SHOWN_LETTERS = 60

T = TypeVar("T")


class StackTimeoutError(AssertionError):
    """What was waited for did not happen in time; the text ends with the functions' logs."""


class SendError(Exception):
    """The intake queue did not take a message; the text says why."""


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
        """The boto3 clients, with the rights of the account's root."""
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

    def subscribe(self, name: str = "subscriber") -> Subscriber:
        """Subscribe a queue of that name to the outcome topic."""
        return Subscriber.subscribe(self.clients, self.outputs["OutcomeTopicArn"], name)

    def send(self, *bodies: str | list[Any] | dict[str, Any]) -> list[str]:
        """Send messages to the intake queue, what is not text as JSON; return their ids.

        Raises:
            SendError: the queue does not take one of them.
        """
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        return [message_id for batch in _batches(texts) for message_id in self._send(batch)]

    def _send(self, bodies: list[str]) -> list[str]:
        entries: Any = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        reply = self.clients.sqs.send_message_batch(
            QueueUrl=self.outputs["IntakeQueueUrl"], Entries=entries
        )
        if failed := reply.get("Failed"):
            refused = [f"{_named(bodies[int(e['Id'])])}: {e['Message']}" for e in failed]
            raise SendError("\n".join(["the intake queue does not take", *refused]))
        ids = {entry["Id"]: entry["MessageId"] for entry in reply["Successful"]}
        return [ids[str(n)] for n in range(len(bodies))]

    def queue_depth(self) -> int:
        """Count the messages on the intake queue, those being worked on among them."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        reply = self.clients.sqs.get_queue_attributes(
            QueueUrl=self.outputs["IntakeQueueUrl"], AttributeNames=names
        )
        return sum(int(reply["Attributes"][name]) for name in names)

    def dead_letters(self) -> list[DeadLetter]:
        """Take every entry off the dead-letter queue."""
        taken = drain(self.clients, self.outputs["DeadLetterQueueUrl"])
        return [DeadLetter(message["Body"], attributes_of(message)) for message in taken]

    def invoke(self, logical_id: str, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Call a function of the stack and return its answer."""
        reply = self.clients.functions.invoke(
            FunctionName=self.resources[logical_id], Payload=json.dumps(payload)
        )
        return json.loads(reply["Payload"].read() or b"null")

    def reconcile(self) -> None:
        """Do what the reconcile schedule does every minute."""
        self.invoke("SubmitFunction", {"action": "reconcile"})

    def lease_state(self) -> str:
        """Read the state of the lease: idle, submitting, running or backing off."""
        return str(self.ledger_item("SLOT").get("state", {}).get("S", "idle"))

    def ledger_item(self, partition: str) -> Mapping[str, Any]:
        """Read the ledger's one item of that partition key; empty where there is none."""
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
        """Wait until `condition` gives something true, and return that.

        Raises:
            StackTimeoutError: it does not happen in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if result := condition():
                return result
            time.sleep(POLL_SECONDS)
        message = f"not within {timeout_seconds:g} s: {what}\n{self.recent_logs()}"
        raise StackTimeoutError(message)

    def wait_until_idle(self, timeout_seconds: float = 60) -> None:
        """Wait until the queue is empty and no run is in progress."""
        self.wait_until(
            "the queue empty and the lease idle",
            lambda: self.queue_depth() == 0 and self.lease_state() == "idle",
            timeout_seconds,
        )

    def recent_logs(self) -> str:
        """Give the last warnings and errors of every log, for showing when something failed."""
        return logs.recent(self.clients, self.resources, self.folder)

    def all_logs(self) -> str:
        """Give every line of every log."""
        return logs.whole(self.clients, self.resources, self.folder)


def _named(body: str) -> str:
    """Quote the beginning of a message."""
    return repr(body if len(body) <= SHOWN_LETTERS else f"{body[:SHOWN_LETTERS]}…")


def _batches(bodies: Iterable[str]) -> Iterable[list[str]]:
    """Cut into batches that one SendMessageBatch call may hold."""
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
