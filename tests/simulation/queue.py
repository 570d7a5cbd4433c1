"""The intake queue and its event source: at least once, in any order, sometimes throttled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena_exports.domain.errors import MessagingError
from infra.simulator import names
from tests.events import sqs_record
from tests.support.world import EXPORT, RECONCILE, item_guid

if TYPE_CHECKING:
    from tests.simulation.scheduler import Task
    from tests.simulation.simulation import Simulation

VISIBILITY_SECONDS = 1020
MAX_RECEIVES = 10
SUBMITS_AT_ONCE = 5


@dataclass
class Message:
    """A message on the intake queue."""

    message_id: str
    body: str
    sent_at: float
    visible_at: float
    receives: int = 0
    acknowledged_at: float | None = None
    redriven: bool = False
    open: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """The record that Lambda receives for the message."""
        record = sqs_record(self.message_id, self.body, self.sent_at)
        record["attributes"]["ApproximateReceiveCount"] = str(self.receives)
        return record | {"receiptHandle": self.receipt_handle}

    @property
    def receipt_handle(self) -> str:
        """The handle of the latest receive; earlier handles are no longer valid."""
        return f"{self.message_id}/{self.receives}"


class IntakeQueue:
    """The intake queue."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.messages: list[Message] = []
        self._open: list[Message] = []
        self._submits = 0

    def send(self, body: str) -> None:
        """Put a message on the queue."""
        now = self._simulation.scheduler.now
        message = Message(f"message-{len(self.messages):04d}", body, now, now)
        self.messages.append(message)
        self._open.append(message)

    def send_something(self) -> None:
        """Send a random message of the kinds that upstream systems send."""
        random, plan = self._simulation.random, self._simulation.plan
        guids = [item_guid(n) for n in range(plan.pool)]
        kind = random.random()
        some = random.choices(guids, k=random.choice([2, 9, 60]))
        extra = {"priority": "bulk"} if random.random() < 0.3 else {}
        if random.random() < 0.3:
            extra["correlationId"] = f"ECO-{random.random()}"
        if kind < 0.05:
            self.send(json.dumps({"itemGuids": "broken"}))
        elif kind < 0.08:
            self.send(json.dumps(RECONCILE))
        elif kind < 0.18:
            self.send(json.dumps({"exportGuid": names.DEFINITION_EXPORT_GUID, **extra}))
        elif kind < 0.5:
            self.send(random.choice(guids))
        else:
            export_guid = random.choice([EXPORT, EXPORT, *plan.late])
            self.send(json.dumps({"exportGuid": export_guid, "itemGuids": some, **extra}))

    def is_empty(self) -> bool:
        """Return whether every message was acknowledged or redriven."""
        return all(m.acknowledged_at is not None or m.redriven for m in self.messages)

    def deliver(self) -> None:
        """Deliver a batch of visible messages to submit, as the event source does."""
        simulation, now = self._simulation, self._simulation.scheduler.now
        self._open = [message for message in self._open if message.open]
        visible = [message for message in self._open if message.visible_at <= now]
        if not visible or self._submits >= SUBMITS_AT_ONCE:
            return
        simulation.random.shuffle(visible)
        batch = [message for message in visible[: simulation.plan.batch] if self._receive(message)]
        if batch and not simulation.fault_rates.occurs("lambda_throttle"):
            self._invoke(batch)
            if simulation.fault_rates.occurs("batch_twice"):
                self._invoke(batch)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Implement `ports.IntakeQueue`."""
        outside, scheduler = self._simulation.outside, self._simulation.scheduler

        def guarded() -> None:
            named = (m for m in self._open if m.open and m.receipt_handle == receipt_handle)
            message = next(named, None)
            if message is None or outside.fault_rates.occurs("delivery"):
                raise MessagingError("visibility was not changed")
            message.visible_at = scheduler.now + seconds

        outside.call(guarded)

    def _receive(self, message: Message) -> bool:
        """Count a receive, and redrive the message after too many receives."""
        message.receives += 1
        message.visible_at = self._simulation.scheduler.now + VISIBILITY_SECONDS
        if message.receives > MAX_RECEIVES:
            message.redriven, message.open = True, False
        return message.open

    def _invoke(self, batch: list[Message]) -> None:
        self._submits += 1
        payload = {"Records": [message.record for message in batch]}
        task = self._simulation.invoke("submit", payload)
        task.whenever_done(lambda task: self._acknowledge(batch, task))

    def _acknowledge(self, batch: list[Message], task: Task) -> None:
        self._submits -= 1
        if task.error is not None:
            return
        failed = {failure["itemIdentifier"] for failure in task.result["batchItemFailures"]}
        now, random = self._simulation.scheduler.now, self._simulation.random
        for message in batch:
            if message.message_id not in failed:
                message.acknowledged_at = message.acknowledged_at or now
                # SQS delivers at least once.
                message.open = self._simulation.fault_rates.occurs("redeliver")
                message.visible_at = now + random.uniform(0, 1800)
