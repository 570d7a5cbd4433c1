"""One simulated day: upstream systems, SQS, Lambda, Step Functions, Arena; real functions."""

from __future__ import annotations

import json
import math
from random import Random
from typing import TYPE_CHECKING, Any

from arena_exports.domain.errors import RetryLaterError
from arena_exports.wiring.dependencies import Dependencies
from arena_exports.wiring.settings import Settings
from infra.simulator import names
from infra.simulator.workspace import Workspace
from tests.simulation.bucket import SimBucket, SimDeliverFunction, SimDownloads
from tests.simulation.cloud import (
    Outside,
    SimClock,
    SimExecutions,
    SimSecret,
    SimSink,
    SimTable,
    SimTransport,
)
from tests.simulation.delivery import (
    OFF,
    DeliveryDay,
    DeliveryPlan,
    small_parts,
)
from tests.simulation.disruptions import Disruptions
from tests.simulation.fault_rates import FaultRates, draw_fault_rates
from tests.simulation.field import Field
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.queue import IntakeQueue, Message
from tests.simulation.scheduler import Killed, Scheduler, Task
from tests.support.asl import Execution, TaskFailedError
from tests.support.fakes import (
    FakeSecret,
    FakeTelemetry,
    InMemoryTable,
    ShiftedClock,
    at_once,
)
from tests.support.functions import Functions
from tests.support.world import EXPORT, RECONCILE, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports.ports import Event
    from tests.simulation.unknown_posts import Exchange

START = 1_700_000_000.0
FAULT_PHASE_SECONDS = 5400
QUIET_SECONDS = 1800
DAY_SECONDS = 86_400
DRAIN_SECONDS = 30 * 3600
HEALTHY_EVERY_SECONDS = 3600.0
DELIVER_EVERY_SECONDS = 10.0
TIMEOUTS = {"submit": 120.0, "poll": 90.0, "publish": 300.0, "session": 60.0, "deliver": 900.0}
FUNCTION_OF_ARN = {f"${{{name.title()}FunctionArn}}": name for name in TIMEOUTS}
BUDGET_LIMIT = 100_000


class Simulation:
    """A day from one seed.

    `overtime` is for how many seconds a function may run past its time-out.
    """

    overtime = 0.0
    fault_phase_seconds = FAULT_PHASE_SECONDS

    def __init__(
        self,
        seed: int,
        *,
        plan: Plan | None = None,
        fault_rates: FaultRates | None = None,
        troubles: Sequence[str] | None = None,
        delivery: DeliveryPlan | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan or draw_plan(self.random)
        self.fault_rates = fault_rates or draw_fault_rates(self.random)
        self.scheduler = self.make_scheduler()
        self.outside = Outside(self.scheduler, self.fault_rates)
        self.clock = SimClock(self.scheduler, seed)
        self.arena = Workspace(self.clock.now, Random(seed))
        self.arena.budget.limit = BUDGET_LIMIT
        self.memory = InMemoryTable()
        self.session_secret, self.credentials = FakeSecret(), FakeSecret()
        self.field = Field(self, () if plan and troubles is None else troubles)
        self.delivery = DeliveryDay(self, OFF if plan and delivery is None else delivery)
        self.topic = SimSink(self.outside, self._accept)
        self.dead_letters = SimSink(self.outside)
        self.executions = SimExecutions(self.outside, self._watch)
        self.telemetry = FakeTelemetry()
        self.queue = IntakeQueue(self)
        self.disruptions = Disruptions(self)
        self.invocations = 0
        self.crashes: list[BaseException] = []
        self.exchanges: list[Exchange] = []  # POSTs and lists of runs
        self.refused: set[str] = set()  # versions of the credentials, as session was told
        self.shown_refusals: dict[Task, str | None] = {}
        self.tried_again: list[str] = []
        self.needless_logins: list[float] = []
        self.running_executions: dict[str, Task] = {}
        self.redeploy()
        self.in_fault_phase = True
        self.fault_phase_ended_at = math.inf
        self._prepare()

    def make_scheduler(self) -> Scheduler:
        """Return the scheduler of the day."""
        return Scheduler(START)

    def _prepare(self) -> None:
        self.renew_credentials()
        self.disruptions.prepare()
        self.field.begin()
        self.delivery.begin()

    def _accept(self, event: Event) -> None:
        self.delivery.check_event(event)
        self.field.echo(event)

    def redeploy(self) -> None:
        """Give each function new environments from now on, as an update of the stack does."""
        self._environments: dict[str, list[Functions]] = {name: [] for name in TIMEOUTS}

    def renew_credentials(self) -> None:
        """Put a new version of the credentials secret."""
        value = {
            "email": names.MACHINE_EMAIL,
            "password": names.PASSWORD,
            "workspaceId": names.WORKSPACE_ID,
        }
        self.credentials.write(value, f"credentials-{len(self.credentials.versions) + 1}")

    # ---- the day ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the day."""
        with small_parts():
            self._live()

    def _live(self) -> None:
        """Run the fault phase, then let everything drain."""
        self._schedule_day()
        self.scheduler.run_until(START + self.fault_phase_seconds)
        self.fault_rates.stop()
        self.in_fault_phase, self.fault_phase_ended_at = False, self.scheduler.now
        self.disruptions.repair()
        self.field.end()
        # Only a success in between tells a bad item from a bad day, so upstream goes on sending.
        self.scheduler.after(10.0, self._send_healthy)
        self._every(HEALTHY_EVERY_SECONDS, self._send_healthy)
        # Late events must change nothing; what never ends must cost little in a whole day.
        last = self.scheduler.now + (DAY_SECONDS if self.field.stays_pending else QUIET_SECONDS)
        end = self.scheduler.now + DRAIN_SECONDS
        self.scheduler.run_until(end, idle=lambda: self.scheduler.now > last and self.is_drained())

    def _send_healthy(self) -> None:
        self.queue.send(item_guid(10_000))
        for export_guid in self.plan.late:
            body = {"exportGuid": export_guid, "itemGuids": [item_guid(10_000)]}
            self.queue.send(json.dumps(body))

    def is_drained(self) -> bool:
        """Return whether nothing is left to do."""
        return self.is_exported() and not self.delivery.is_due()

    def is_exported(self) -> bool:
        """Return whether nothing is left to export; files may still be due."""
        return (
            not self.pending()
            and self.queue.is_empty()
            and not self.running_executions
            and self._lease_state() == "idle"
        )

    def pending(self) -> list[str]:
        """Return the pending pointers, without those that can never be exported."""
        pointers, never = self.memory.items.get("PENDING", {}), self.field.stays_pending
        return [name for name in pointers if never is None or never not in name]

    def _lease_state(self) -> str:
        return str(self.memory.items.get("SLOT", {}).get("-", {}).get("state", "idle"))

    def _schedule_day(self) -> None:
        for _ in range(self.plan.messages):
            at = (
                self.random.uniform(0, self.fault_phase_seconds * 0.8)
                if self.random.random() < 0.7
                else 5.0
            )
            self.scheduler.after(at, self.queue.send_something)
        self._every(DELIVER_EVERY_SECONDS, self.queue.deliver)
        self._every(60.0, lambda: self.invoke("submit", RECONCILE))
        self._every(120.0, self._disrupt)

    def _every(self, seconds: float, action: Callable[[], object]) -> None:
        def again() -> None:
            action()
            self.scheduler.after(seconds, again)

        self.scheduler.after(seconds, again)

    def _disrupt(self) -> None:
        if self.in_fault_phase:
            self.disruptions.disrupt()
            self.delivery.disrupt()
            self.field.disrupt()

    @property
    def messages(self) -> list[Message]:
        """The messages sent so far."""
        return self.queue.messages

    # ---- Lambda ----------------------------------------------------------------------------------

    def invoke(self, function: str, payload: Any) -> Task:
        """Invoke a function with its time-out, in a warm environment if one is free."""
        self.invocations += 1
        environments = self._environments
        free = environments[function]
        warm = free.pop() if free and self.random.random() < 0.9 else None
        environment = warm or Functions(self._make_dependencies())
        deadline = TIMEOUTS[function]
        task = self.scheduler.spawn(
            lambda: environment.call(function, json.loads(json.dumps(payload)), deadline)
        )
        self.scheduler.after(deadline + self.overtime, lambda: self.scheduler.kill(task))
        task.whenever_done(lambda task: self._retire(function, environment, task, environments))
        return task

    def _retire(
        self,
        function: str,
        environment: Functions,
        task: Task,
        environments: dict[str, list[Functions]],
    ) -> None:
        if function == "session":
            self._note_refusal(task)
        if task.error is None:
            environments[function].append(environment)
        elif not isinstance(task.error, Killed):
            self.crashes.append(task.error)

    def _note_refusal(self, task: Task) -> None:
        """Note which credentials were refused, if session lived to write it down."""
        version = self.shown_refusals.pop(task, None)
        if version and task.error is None:
            self.refused.add(version)

    def has_live_session(self) -> bool:
        """Return whether the session in the secret is one that Arena accepts."""
        machine, secret = self.arena.accounts.machine, self.session_secret.read()
        if secret is None or machine.session_id is None:
            return False
        idle = self.scheduler.now - machine.session_used_at
        fresh = idle < self.arena.settings.session_idle_seconds
        return fresh and secret.value.get("arenaSessionId") == machine.session_id

    def _make_dependencies(self) -> Dependencies:
        settings = Settings(
            arena_base_url="http://localhost:1/v1",
            workspace="default",
            default_export_guid=EXPORT,
            max_items_per_run=self.plan.max_items,
            run_timeout_seconds=3600,
            request_budget_reserve=self.plan.reserve,
            request_budget_poll_share=50,
            ledger_table_name="ledger",
            session_secret_arn="session",
            delivers_files=self.delivery.is_on,
        )
        skew = self.random.uniform(-self.plan.skew, self.plan.skew) / 2
        return Dependencies(
            settings=settings,
            table=SimTable(self.memory, self.outside),
            transport=SimTransport(self, self.outside),
            session_secret=SimSecret(self.session_secret, self.outside),
            credentials=SimSecret(self.credentials, self.outside),
            session_renewer=Authority(self),
            topic=self.topic,
            dead_letters=self.dead_letters,
            executions=self.executions,
            intake_queue=self.queue,
            deliver_function=SimDeliverFunction(self),
            downloads=SimDownloads(self),
            in_background=at_once,
            bucket=SimBucket(self.delivery.bucket, self.outside),
            clock=ShiftedClock(self.clock, skew),
            telemetry=self.telemetry,
        )

    # ---- Step Functions --------------------------------------------------------------------------

    def _watch(self, name: str, state: dict[str, Any]) -> None:
        task = self.scheduler.spawn(lambda: self._execute(state))
        self.running_executions[name] = task
        task.whenever_done(lambda task: self._finish(name, task))

    def _execute(self, state: dict[str, Any]) -> None:
        execution = Execution(self._invoke_task, state)
        while not execution.done:
            seconds = execution.step()
            if seconds:
                self.scheduler.pause(seconds)

    def _invoke_task(self, function: str, payload: Any) -> Any:
        if self.fault_rates.occurs("task_twice"):
            self.invoke(FUNCTION_OF_ARN[function], payload)
        task = self.invoke(FUNCTION_OF_ARN[function], payload)
        self.scheduler.wait_for(task)
        if task.error is not None:
            raise TaskFailedError
        return task.result

    def _finish(self, name: str, task: Task) -> None:
        self.running_executions.pop(name, None)
        self.executions.statuses[name] = "SUCCEEDED" if task.error is None else "ABORTED"
        if task.error is not None and not isinstance(task.error, Killed):
            self.crashes.append(task.error)

    def stop(self, name: str) -> None:
        """Stop an execution by hand; the function that it called continues."""
        self.scheduler.kill(self.running_executions[name])


class Authority:
    """Calls the session function, as submit and poll do."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def renew(self, dead_version: str) -> str:
        task = self._simulation.invoke("session", {"deadVersion": dead_version})
        self._simulation.scheduler.wait_for(task)
        if task.error is not None:
            raise RetryLaterError("session function failed", 30)
        if "version" in task.result:
            return str(task.result["version"])
        raise RetryLaterError(task.result["reason"], task.result["retryAfterSeconds"])
