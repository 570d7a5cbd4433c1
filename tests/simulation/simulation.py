"""One simulated day: upstream systems, SQS, Lambda.

Step Functions and Arena around the real functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import poll.handler
import publish.handler
import session.handler
import submit.handler
from arena_exports.errors import NotNowError
from arena_exports.settings import Settings
from arena_exports.wiring.parts import Parts
from infra.local.simulator import control, names
from infra.local.simulator.workspace import Workspace
from tests.simulation.cloud import (
    Outside,
    SimClock,
    SimExecutions,
    SimSecret,
    SimSink,
    SimTable,
    SimTransport,
)
from tests.simulation.scheduler import Killed, Scheduler, Task
from tests.simulation.weather import Weather, draw_weather
from tests.support.asl import Execution, TaskFailedError
from tests.support.fakes import FakeSecret, FakeTelemetry, InMemoryTable
from tests.support.world import EXPORT, RECONCILE, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_700_000_000.0
STORM_SECONDS = 2 * 3600
DRAIN_SECONDS = 30 * 3600
HEALTHY_EVERY_SECONDS = 3600.0
TIMEOUTS = {"submit": 120.0, "poll": 60.0, "publish": 300.0, "session": 60.0}
VISIBILITY_SECONDS = 1020
MAX_RECEIVES = 5
FUNCTION_OF_ARN = {f"${{{name.title()}FunctionArn}}": name for name in TIMEOUTS}
BUDGET_LIMIT = 100_000


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
        """The message as Lambda gets it."""
        attributes = {"SentTimestamp": str(int(self.sent_at * 1000))}
        return {"messageId": self.message_id, "body": self.body, "attributes": attributes}


@dataclass
class Plan:
    """What a seed makes of the day."""

    messages: int
    pool: int
    max_items: int
    poison: frozenset[str]
    bad: frozenset[str]
    batch: int
    reserve: int
    breaks_runs: float
    foreign: float
    kills_sessions: float
    stops_executions: float
    scarce: bool
    statuses: list[str] = field(default_factory=list)


def draw_plan(random: Random) -> Plan:
    """Draw a day."""
    pool = random.choice([5, 30, 120])
    guids = [item_guid(n) for n in range(pool)]
    return Plan(
        messages=random.choice([3, 12, 40]),
        pool=pool,
        max_items=random.choice([2, 7, 50]),
        poison=frozenset(random.sample(guids, random.choice([0, 0, 1, 2]))),
        bad=frozenset(random.sample(guids, random.choice([0, 0, 1, 3]))),
        batch=random.choice([1, 10, 980]),
        reserve=random.choice([0, 50]),
        breaks_runs=random.choice([0.0, 0.0, 0.1]),
        foreign=random.choice([0.0, 0.0, 0.3]),
        kills_sessions=random.choice([0.0, 0.0, 0.2]),
        stops_executions=random.choice([0.0, 0.0, 0.2]),
        scarce=random.random() < 0.1,
    )


class Simulation:
    """A day from one seed."""

    def __init__(
        self, seed: int, *, plan: Plan | None = None, weather: Weather | None = None
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan or draw_plan(self.random)
        self.weather = weather or draw_weather(self.random)
        self.scheduler = Scheduler(START)
        self.outside = Outside(self.scheduler, self.weather)
        self.clock = SimClock(self.scheduler, seed)
        self.arena = Workspace(self.clock.now, Random(seed))
        self.arena.budget.limit = BUDGET_LIMIT
        self.memory = InMemoryTable()
        self.session_secret, self.credentials = FakeSecret(), FakeSecret()
        self.topic, self.dead_letters = SimSink(self.outside), SimSink(self.outside)
        self.executions = SimExecutions(self.outside, self._watch)
        self.telemetry = FakeTelemetry()
        self.messages: list[Message] = []
        self._open: list[Message] = []
        self.invocations = 0
        self.crashes: list[BaseException] = []
        self.watchers: dict[str, Task] = {}
        self._environments: dict[str, list[Parts]] = {name: [] for name in TIMEOUTS}
        self._submits_of_queue = 0
        self.storm = True
        self._prepare()

    def _prepare(self) -> None:
        value = {
            "email": names.MACHINE_EMAIL,
            "password": names.PASSWORD,
            "workspaceId": names.WORKSPACE_ID,
        }
        self.credentials.write(value, "credentials-1")
        sets = {"poison": sorted(self.plan.poison), "bad": sorted(self.plan.bad)}
        control.set_guids(self.arena, sets)
        shape = self.random.choice(["array", "groups"])
        quick = self.plan.max_items == 2 or self.plan.poison  # many runs
        seconds = self.random.choice([3, 20, 120] if quick else [3, 60, 900])
        control.set_settings(self.arena, {"criteriaShape": shape, "runningSeconds": seconds})
        if self.plan.scarce:
            control.set_budget(self.arena, {"remaining": 60, "resetSeconds": 2 * 3600})

    # ---- the day ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Live the day, and leave no function's parts behind."""
        try:
            self._live()
        finally:
            submit.handler._services.cache_clear()
            poll.handler._poller.cache_clear()
            publish.handler._publication.cache_clear()
            session.handler._login_desk.cache_clear()

    def _live(self) -> None:
        """Let the storm pass, then let everything drain."""
        self._schedule_day()
        self.scheduler.run_until(START + STORM_SECONDS)
        self.weather.calm()
        self.storm = False
        control.clear_faults(self.arena)
        control.clear_plans(self.arena)
        # Only a success in between tells a bad item from a bad day: upstream goes on sending.
        self.scheduler.after(10.0, self._send_healthy)
        self._every(HEALTHY_EVERY_SECONDS, self._send_healthy)
        last = self.scheduler.now + 2 * HEALTHY_EVERY_SECONDS
        end = self.scheduler.now + DRAIN_SECONDS
        self.scheduler.run_until(end, idle=lambda: self.scheduler.now > last and self.is_drained())

    def _send_healthy(self) -> None:
        self.send(item_guid(10_000))

    def is_drained(self) -> bool:
        """Tell whether nothing is left to be done."""
        return (
            not self.memory.items.get("PENDING")
            and all(m.acknowledged_at is not None or m.redriven for m in self.messages)
            and not self.watchers
            and self._slot_state() == "idle"
        )

    def _slot_state(self) -> str:
        return str(self.memory.items.get("SLOT", {}).get("-", {}).get("state", "idle"))

    def _schedule_day(self) -> None:
        for _ in range(self.plan.messages):
            at = self.random.uniform(0, STORM_SECONDS * 0.8) if self.random.random() < 0.7 else 5.0
            self.scheduler.after(at, lambda: self.send(self._body()))
        self._every(5.0, self._poll_queue)
        self._every(60.0, lambda: self.invoke("submit", RECONCILE))
        self._every(120.0, self._mischief)

    def _every(self, seconds: float, action: Callable[[], object]) -> None:
        def again() -> None:
            action()
            self.scheduler.after(seconds, again)

        self.scheduler.after(seconds, again)

    def _mischief(self) -> None:
        """What people and other systems do to us."""
        if not self.storm:
            return
        if self.random.random() < self.plan.kills_sessions:
            control.kill_sessions(self.arena)
        if self.random.random() < self.plan.breaks_runs:
            status = self.random.choice(["FAILED", "ABORTED", "DOWNLOADED", "ARCHIVING"])
            steps = [{"status": status, "seconds": 30}, {"status": "COMPLETE"}]
            last = {"steps": steps} if status == "ARCHIVING" else {"status": status}
            control.plan_runs(self.arena, last)
        if self.random.random() < self.plan.foreign:
            try:
                control.start_foreign_run(self.arena, {"seconds": self.random.uniform(5, 600)})
            except control.ControlError:
                return  # the slot is taken
        if self.watchers and self.random.random() < self.plan.stops_executions:
            self._stop(self.random.choice(sorted(self.watchers)))

    # ---- SQS -------------------------------------------------------------------------------------

    def send(self, body: str) -> None:
        """Put a message on the intake queue."""
        now = self.scheduler.now
        message = Message(f"message-{len(self.messages):04d}", body, now, now)
        self.messages.append(message)
        self._open.append(message)

    def _body(self) -> str:
        guids = [item_guid(n) for n in range(self.plan.pool)]
        kind = self.random.random()
        if kind < 0.05:
            return json.dumps({"itemGuids": "broken"})
        if kind < 0.15:
            return json.dumps({"exportGuid": names.DEFINITION_EXPORT_GUID})
        if kind < 0.5:
            return self.random.choice(guids)
        some = self.random.choices(guids, k=self.random.choice([2, 9, 60]))
        extra = {"priority": "bulk"} if self.random.random() < 0.3 else {}
        return json.dumps({"exportGuid": EXPORT, "itemGuids": some, **extra})

    def _poll_queue(self) -> None:
        now = self.scheduler.now
        self._open = [message for message in self._open if message.open]
        visible = [message for message in self._open if message.visible_at <= now]
        if not visible or self._submits_of_queue >= 5:
            return
        self.random.shuffle(visible)
        batch = visible[: self.plan.batch]
        for message in batch:
            message.receives += 1
            message.visible_at = now + VISIBILITY_SECONDS
            if message.receives > MAX_RECEIVES:
                message.redriven, message.open = True, False
        batch = [message for message in batch if not message.redriven]
        if batch and not self.weather.strikes("lambda_throttle"):
            self._submits_of_queue += 1
            task = self.invoke("submit", {"Records": [message.record for message in batch]})
            task.whenever_done(lambda task: self._acknowledge(batch, task))

    def _acknowledge(self, batch: list[Message], task: Task) -> None:
        self._submits_of_queue -= 1
        if task.error is not None:
            return
        failed = {failure["itemIdentifier"] for failure in task.result["batchItemFailures"]}
        for message in batch:
            if message.message_id not in failed:
                message.acknowledged_at = message.acknowledged_at or self.scheduler.now
                message.open = self.weather.strikes("redeliver")  # SQS delivers at least once
                message.visible_at = self.scheduler.now + self.random.uniform(0, 3600)

    # ---- Lambda ----------------------------------------------------------------------------------

    def invoke(self, function: str, payload: Any) -> Task:
        """Invoke a function; it has its time-out, and a warm environment where one is free."""
        self.invocations += 1
        free = self._environments[function]
        parts = free.pop() if free and self.random.random() < 0.9 else self._make_parts()
        deadline = TIMEOUTS[function]
        task = self.scheduler.spawn(lambda: self._handle(function, payload, parts, deadline))
        self.scheduler.after(deadline, lambda: self.scheduler.kill(task))
        task.whenever_done(lambda task: self._retire(function, parts, task))
        return task

    def _handle(self, function: str, payload: Any, parts: Parts, seconds: float) -> Any:
        payload = json.loads(json.dumps(payload))
        if function == "submit":
            return submit.handler.submit(payload, seconds, parts)
        if function == "poll":
            return poll.handler.poll(payload, parts)
        if function == "publish":
            return publish.handler.publish(payload, parts)
        return session.handler.session(payload, parts)

    def _retire(self, function: str, parts: Parts, task: Task) -> None:
        if task.error is None:
            self._environments[function].append(parts)
        elif not isinstance(task.error, Killed):
            self.crashes.append(task.error)

    def _make_parts(self) -> Parts:
        settings = Settings(
            arena_base_url="http://localhost:1/v1",
            workspace="default",
            default_export_guid=EXPORT,
            max_items_per_run=self.plan.max_items,
            run_timeout_seconds=3600,
            request_budget_reserve=self.plan.reserve,
            ledger_table_name="ledger",
            session_secret_arn="session",
        )
        return Parts(
            settings=settings,
            table=SimTable(self.memory, self.outside),
            transport=SimTransport(self.arena, self.clock, self.outside),
            session_secret=SimSecret(self.session_secret, self.outside),
            credentials=SimSecret(self.credentials, self.outside),
            authority=Authority(self),
            topic=self.topic,
            dead_letters=self.dead_letters,
            executions=self.executions,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    # ---- Step Functions --------------------------------------------------------------------------

    def _watch(self, name: str, state: dict[str, Any]) -> None:
        task = self.scheduler.spawn(lambda: self._execute(state))
        self.watchers[name] = task
        task.whenever_done(lambda task: self._finish(name, task))

    def _execute(self, state: dict[str, Any]) -> None:
        execution = Execution(self._invoke_task, state)
        while not execution.done:
            seconds = execution.step()
            if seconds:
                self.scheduler.pause(seconds)

    def _invoke_task(self, function: str, payload: Any) -> Any:
        task = self.invoke(FUNCTION_OF_ARN[function], payload)
        self.scheduler.wait_for(task)
        if task.error is not None:
            raise TaskFailedError
        return task.result

    def _finish(self, name: str, task: Task) -> None:
        self.watchers.pop(name, None)
        self.executions.statuses[name] = "SUCCEEDED" if task.error is None else "ABORTED"
        if task.error is not None and not isinstance(task.error, Killed):
            self.crashes.append(task.error)

    def _stop(self, name: str) -> None:
        """Stop an execution by hand; the function that it called goes on."""
        self.scheduler.kill(self.watchers[name])


class Authority:
    """The session function, as submit and poll call it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def renew(self, dead_version: str) -> str:
        task = self._simulation.invoke("session", {"deadVersion": dead_version})
        self._simulation.scheduler.wait_for(task)
        if task.error is not None:
            raise NotNowError("session function failed", 30)
        if "version" in task.result:
            return str(task.result["version"])
        raise NotNowError(task.result["reason"], task.result["retryAfterSeconds"])
