"""A small world in one process: the real handlers and state machine, fakes of AWS, simulated Arena.

Time is virtual. `settle` lets it run until nothing is pending any more.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from arena_exports.domain.definitions import Definition
from arena_exports.domain.errors import RetryLaterError
from arena_exports.domain.model import ExportGuid, ItemGuid
from arena_exports.ledger import Ledger, open_ledger
from arena_exports.ledger.definitions import definition_put
from arena_exports.wiring.dependencies import Dependencies
from arena_exports.wiring.settings import Settings
from infra.simulator import names
from infra.simulator.workspace import Workspace
from tests.events import event, sqs_record
from tests.support.asl import Execution, TaskFailedError
from tests.support.fake_bucket import InMemoryBucket
from tests.support.fakes import (
    FakeClock,
    FakeDeliverFunction,
    FakeExecutions,
    FakeSecret,
    FakeTelemetry,
    InMemoryDeadLetterQueue,
    InMemoryIntakeQueue,
    InMemoryTable,
    InMemoryTopic,
    SimulatedTransport,
    at_once,
)
from tests.support.functions import Functions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from arena_exports.domain.attempts import Attempt

EXPORT = names.DEFAULT_EXPORT_GUID
RECONCILE = event("scheduler")
SUBMIT_SECONDS = 120.0
FUNCTION_OF_ARN = {
    f"${{{name.title()}FunctionArn}}": name for name in ("submit", "poll", "publish")
}


def item_guid(number: int) -> ItemGuid:
    """Return a made-up item GUID of 20 characters."""
    return ItemGuid(f"ITEM{number:016d}")


def items(count: int, start: int = 0) -> list[str]:
    """Return so many made-up item GUIDs, starting from a number."""
    return [item_guid(number) for number in range(start, start + count)]


FOUR_BYTE_LETTERS = "".join(map(chr, range(0x20000, 0x2A000)))
"""Letters of four bytes in UTF-8 and of two escapes in JSON."""


def random_text(random: Random, letters: str, length: int) -> str:
    """Return text that hardly compresses."""
    return "".join(random.choices(letters, k=length))


@dataclass
class World:
    """Everything between the intake queue and the outcome topic."""

    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    table: InMemoryTable = field(default_factory=InMemoryTable)

    def __post_init__(self) -> None:
        self.clock = FakeClock(seed=self.seed)
        self.arena = Workspace(self.clock.now, Random(self.seed))
        self.topic = InMemoryTopic()
        self.dead_letters = InMemoryDeadLetterQueue()
        self.executions = FakeExecutions()
        self.intake_queue = InMemoryIntakeQueue()
        self.telemetry = FakeTelemetry()
        self.session_secret = FakeSecret()
        self.credentials = FakeSecret()
        self.set_password(names.PASSWORD)
        self.transport = SimulatedTransport(self.arena, self.clock)
        self.bucket = InMemoryBucket()
        self.deliver_function = FakeDeliverFunction(self._invoke_deliver)
        self.functions = Functions(self.make_dependencies())
        self.ledger: Ledger = open_ledger(self.table, self.clock)
        self.running: dict[str, Execution] = {}
        self.errors: list[Exception] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._message_ids = count(1)

    def make_dependencies(self) -> Dependencies:
        """Return the functions' outer parts: the fakes of this world."""
        settings = Settings(
            **{
                "arena_base_url": "http://localhost:1/v1",
                "workspace": "default",
                "default_export_guid": EXPORT,
                "max_items_per_run": 5000,
                "run_timeout_seconds": 3600,
                "request_budget_reserve": 100,
                "request_budget_poll_share": 50,
                "ledger_table_name": "ledger",
                "session_secret_arn": "session",
                **self.settings,
            }
        )
        return Dependencies(
            settings=settings,
            table=self.table,
            transport=self.transport,
            session_secret=self.session_secret,
            credentials=self.credentials,
            session_renewer=self,
            topic=self.topic,
            dead_letters=self.dead_letters,
            executions=self.executions,
            intake_queue=self.intake_queue,
            downloads=self.transport,
            in_background=at_once,
            bucket=self.bucket,
            deliver_function=self.deliver_function,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @property
    def dependencies(self) -> Dependencies:
        """What the functions are given; they start anew with other ones."""
        return self.functions.dependencies

    @dependencies.setter
    def dependencies(self, dependencies: Dependencies) -> None:
        self.functions = Functions(dependencies)

    def redeploy(self, **settings: object) -> None:
        """Change the functions' settings, as an update of the stack does."""
        self.settings.update(settings)
        self.dependencies = self.make_dependencies()

    def renew(self, dead_version: str) -> str:
        """Renew the session, as the session function does."""
        answer = self.call("session", {"deadVersion": dead_version})
        if "version" in answer:
            return str(answer["version"])
        raise RetryLaterError(answer["reason"], answer["retryAfterSeconds"])

    def set_password(self, password: str, version: str = "") -> None:
        """Put a new version of the credentials secret."""
        value = {
            "email": names.MACHINE_EMAIL,
            "password": password,
            "workspaceId": names.WORKSPACE_ID,
        }
        self.credentials.write(
            value, version or f"credentials-{len(self.credentials.versions) + 1}"
        )

    def prove(self, *export_guids: str) -> None:
        """Record that a run of each definition succeeded yesterday."""
        yesterday = self.clock.now() - 86_400
        for guid in export_guids or (EXPORT, names.DEFINITION_EXPORT_GUID):
            known = Definition(ExportGuid(guid), last_success_at=int(yesterday))
            self.table.write(definition_put(known))

    # ---- what the outside does -------------------------------------------------------------------

    def record(self, *bodies: object, message_ids: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Return SQS records for bodies that are received for the first time."""
        ids = list(message_ids) or [f"message-{next(self._message_ids):06d}" for _ in bodies]
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        return [
            {
                **sqs_record(message_id, text, self.clock.now()),
                "receiptHandle": f"{message_id}/1",
            }
            for message_id, text in zip(ids, texts, strict=True)
        ]

    def receive_again(
        self, records: Iterable[dict[str, Any]], message_ids: Iterable[str]
    ) -> list[dict[str, Any]]:
        """Return the records of these messages for their next receive."""
        wanted = set(message_ids)
        again = []
        for record in (record for record in records if record["messageId"] in wanted):
            receives = int(record["attributes"]["ApproximateReceiveCount"]) + 1
            attributes = {**record["attributes"], "ApproximateReceiveCount": str(receives)}
            handle = f"{record['messageId']}/{receives}"
            again.append({**record, "receiptHandle": handle, "attributes": attributes})
        return again

    def send(self, *bodies: object) -> list[str]:
        """Deliver bodies to submit as one batch; return the message ids."""
        records = self.record(*bodies)
        self.deliver(records)
        return [record["messageId"] for record in records]

    def deliver(self, records: list[dict[str, Any]]) -> list[str]:
        """Deliver records to submit; return the ids of those that failed."""
        self.intake_queue.in_flight = {record.get("receiptHandle", "") for record in records}
        answer = self.call("submit", {"Records": records})
        self._adopt_executions()
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def reconcile(self, **more: str) -> None:
        """Invoke submit, as the reconcile schedule does; `more` is what its event has besides."""
        self.call("submit", {**RECONCILE, **more})
        self._adopt_executions()

    # ---- time ------------------------------------------------------------------------------------

    def settle(self, seconds: float = 86_400, *, errors: int = 0) -> None:
        """Let time run, with the reconcile schedule, until nothing is pending or running.

        Fails if the number of errors that functions raised or submit caught, since the world began,
        is not `errors`: an error is a defect even if a retry resolves it.
        """
        self._settle(seconds)
        caught = self.telemetry.metrics["SubmissionErrors"]
        assert len(self.errors) + caught == errors, f"{self.errors}, and {caught} caught by submit"

    def _settle(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        self._schedule_reconcile()
        while self._events and self.clock.now() < end:
            if self.is_idle():
                return
            self._next_event()
        assert self.is_idle(), f"still pending after {seconds} s"

    def run_for(self, seconds: float) -> None:
        """Let so many seconds pass, with the reconcile schedule."""
        end = self.clock.now() + seconds
        self._schedule_reconcile()
        while self._events and self._events[0][0] <= end:
            self._next_event()
        self.clock.time = max(self.clock.time, end)

    def is_idle(self) -> bool:
        """Return whether nothing is pending, running or monitored."""
        return (
            not self.table.items.get("PENDING")
            and not self.table.items.get("DELIVER")
            and self.ledger.lease.read().state == "idle"
            and not self.running
        )

    def _schedule_reconcile(self) -> None:
        self._events = [event for event in self._events if event[2] != self._reconcile_and_again]
        heapq.heapify(self._events)
        self.at(60, self._reconcile_and_again)

    def _reconcile_and_again(self) -> None:
        self.reconcile()
        self.at(60, self._reconcile_and_again)

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Schedule an action in so many seconds."""
        heapq.heappush(self._events, (self.clock.now() + seconds, next(self._order), action))

    def happen_meanwhile(self) -> None:
        """Do what is due by now, while a function waits."""
        while self._events and self._events[0][0] <= self.clock.now():
            self._next_event()

    def _next_event(self) -> None:
        at, _, action = heapq.heappop(self._events)
        self.clock.time = max(self.clock.time, at)
        action()

    # ---- Step Functions --------------------------------------------------------------------------

    def _adopt_executions(self) -> None:
        for name, state in self.executions.started.items():
            if name not in self.running and self.executions.statuses[name] == "RUNNING":
                self.running[name] = Execution(self._invoke, state)
                self.at(0, partial(self._step, name))

    def _step(self, name: str) -> None:
        execution = self.running.get(name)
        if execution is None:
            return
        seconds = execution.step()
        if execution.done:
            self.executions.statuses[name] = "SUCCEEDED"
            del self.running[name]
        else:
            self.at(seconds, lambda: self._step(name))

    def stop_execution(self, name: str) -> None:
        """Stop an execution by hand."""
        del self.running[name]
        self.executions.stop(name)

    def _invoke(self, function: str, payload: Any) -> Any:
        try:
            return self.call(FUNCTION_OF_ARN[function], payload)
        except Exception as exc:
            self.errors.append(exc)
            raise TaskFailedError from exc
        finally:
            self._adopt_executions()

    def _invoke_deliver(self, payload: dict[str, Any]) -> None:
        self.at(0, lambda: self._deliver(payload))

    def _deliver(self, payload: dict[str, Any]) -> None:
        try:
            self.call("deliver", payload)
        except Exception as exc:  # noqa: BLE001 - as Lambda does
            self.errors.append(exc)

    # ---- Lambda ----------------------------------------------------------------------------------

    def call(self, function: str, payload: Any) -> Any:
        """Invoke a function."""
        return self.functions.call(function, payload, SUBMIT_SECONDS)

    # ---- what came out ---------------------------------------------------------------------------

    def events(self, type_: str = "") -> list[dict[str, Any]]:
        """Return the CloudEvents that were published, of one type or all."""
        events = [json.loads(event.body) for event in self.topic.events]
        return [event for event in events if event["type"].endswith(type_)]

    def exported(self) -> Counter[str]:
        """Count in how many completed runs each item was."""
        return Counter(
            guid for event in self.events("run.completed") for guid in event["data"]["itemGuids"]
        )

    def posts(self) -> int:
        """Count the POSTs of runs that Arena saw."""
        return sum(1 for record in self.arena.request_log.records if record.purpose == "submit")

    def logins(self) -> int:
        """Count the logins that Arena saw."""
        return sum(1 for record in self.arena.request_log.records if record.purpose == "login")

    def answers(self, code: int) -> int:
        """Count Arena's answers with a code."""
        return sum(1 for record in self.arena.request_log.records if record.code == code)


def assert_exported(world: World, expected: Iterable[str], times: int = 1) -> None:
    """Assert that exactly these items were exported, so many times each."""
    assert dict(world.exported()) == dict.fromkeys(expected, times)
    assert not world.errors


def attempt_with_lease(world: World) -> Attempt:
    """Return the attempt that holds the lease."""
    attempt_id = world.ledger.lease.read().attempt_id
    assert attempt_id
    return world.ledger.attempts.get(attempt_id)
