"""A small day that stops where several functions have work, and lets a policy run them at once."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from infra.simulator import control as arena_control
from tests.simulation.delivery import OFF, TWO_FILES, small_parts
from tests.simulation.fault_rates import FaultRates
from tests.simulation.invariants import violations
from tests.simulation.plan import Plan
from tests.simulation.scheduler import Killed
from tests.simulation.schedules.control import ControlledScheduler
from tests.simulation.schedules.operations import (
    AnnouncedBucket,
    AnnouncedDownloads,
    AnnouncedExecutions,
    AnnouncedSecret,
    AnnouncedTable,
    AnnouncedTransport,
)
from tests.simulation.simulation import START, Simulation
from tests.support.world import EXPORT, RECONCILE, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports.ports import Write
    from arena_exports.wiring.dependencies import Dependencies
    from tests.simulation.scheduler import Task
    from tests.simulation.schedules.control import Policy

    Step = Callable[["SharedDay"], Task]

RUN_SECONDS = 3
MAX_SECONDS = 4 * 3600
RUN_WAIT_SECONDS = 10
ALWAYS = 1.0
# A lost POST is searched for 90 s and 150 s after its answer was lost, and that takes half a minute
# itself: only the second search finds this run, which is as late as Arena may be.
LATE_SECONDS, LAG_SECONDS = 90, 45
# Longer than the lease is held after a take (180 s).
ABANDONED_SECONDS = 200
# A request of so many items takes three runs.
MAX_ITEMS, ITEMS_OF_THREE_RUNS = 50, 120
SECONDS_BEFORE_SEARCH = 100  # a POST without an answer is searched for after 90 s
SECONDS_AFTER_A_STRANGER = 20
IDLE, RUNNING, ENDED, IN_PART = "idle", "running", "ended", "in part"
FAILED, UNREADABLE, UNANSWERED, LATE = "failed", "unreadable", "unanswered", "late"
ABANDONED, OTHER_ITEMS, STRANGERS = "abandoned", "other items", "strangers"
EARLIER = "earlier"
POSTS = {"method": "POST", "path": "*/runs"}
LISTS = {"method": "GET", "path": "*/runs", "times": None}
POLLS = {"method": "GET", "path": "*/runs/*"}


class Instant(FaultRates):
    """No faults; calls take no time."""

    def latency(self) -> float:
        """Return no time."""
        return 0.0


class SharedDay(Simulation):
    """A day whose functions run one after the other, until some of them run at once.

    With `delivers`, the files of its runs are delivered; nobody starts deliver until then.
    """

    def __init__(self, *, overtime: float = 0.0, delivers: bool = False) -> None:
        plan = Plan(
            messages=0, pool=1, max_items=MAX_ITEMS, batch=1, arena={"runningSeconds": RUN_SECONDS}
        )
        rates, delivery = Instant(Random(0)), TWO_FILES if delivers else OFF
        super().__init__(0, plan=plan, fault_rates=rates, delivery=delivery)
        self.overtime = overtime
        self.latest: Task | None = None
        self.dead_version = ""

    def make_scheduler(self) -> ControlledScheduler:
        """Return the scheduler of the day."""
        self.control = ControlledScheduler(START)
        return self.control

    def invoke(self, function: str, payload: Any) -> Task:
        """Invoke a function, and remember the invocation."""
        self.latest = super().invoke(function, payload)
        self.control.adopt(self.latest)
        return self.latest

    def _make_dependencies(self) -> Dependencies:
        plain, announce = super()._make_dependencies(), self.control.announce
        return replace(
            plain,
            table=AnnouncedTable(plain.table, announce),
            transport=AnnouncedTransport(plain.transport, announce),
            session_secret=AnnouncedSecret(plain.session_secret, "session", announce),
            executions=AnnouncedExecutions(plain.executions, announce),
            downloads=AnnouncedDownloads(plain.downloads, announce),
            bucket=AnnouncedBucket(plain.bucket, announce),
        )

    # ---- up to where functions have work ---------------------------------------------------------

    def begin(self, state: str, *, session_dies: bool = False) -> None:
        """Export one item, and bring the day into a state; then the session may die.

        Where files are delivered, those of the first item are due.

        States: `idle`; `unanswered`, in which the next POST starts a run and is not answered;
        `late`, in which it does so later, and lists show the run later still;
        `running`, with a run that is complete at Arena; `ended`, `failed` and `unreadable`, when a
        poll has found that out (a run that nobody can read has failed, too); `in part`, where the
        ended run is the first of three that carry one request;
        `abandoned`, with an expired lease whose holder died before it wrote an attempt down;
        `earlier`, `other items` and `strangers`, in which a search for a lost POST's run is due and
        finds what is not its run: the run before it, of the same item; what somebody started with
        our account, but other items; or with another account the same item, besides our own run.
        """
        self.fault_rates.deliver_lost = ALWAYS
        self._export_first_item()
        special = {
            ABANDONED: self._abandon_the_lease,
            EARLIER: self._find_an_earlier_run,
            OTHER_ITEMS: self._find_other_items,
            STRANGERS: self._find_a_strangers_run,
        }
        if state == UNANSWERED:
            arena_control.add_faults(self.arena, {**POSTS, "drop": True, "work": True})
        elif state == LATE:
            late = {**POSTS, "drop": True, "lateSeconds": LATE_SECONDS}
            lag = {**LISTS, "leaveOut": True, "runsYoungerThanSeconds": LAG_SECONDS}
            arena_control.add_faults(self.arena, [late, lag])
        elif state in special:
            special[state]()
        elif state != IDLE:
            self._bring_a_run_to(state)
        secret = self.session_secret.read()
        self.dead_version = secret.version if secret else ""
        if session_dies:
            arena_control.kill_sessions(self.arena)
        self.fault_rates.stop()

    def _export_first_item(self) -> None:
        self.queue.send(item_guid(1))
        self.queue.deliver()
        self._run_until(self.is_exported)

    def _bring_a_run_to(self, state: str) -> None:
        """Have a run that Arena ends; its execution is stopped before it polls."""
        if state in (FAILED, UNREADABLE):
            arena_control.plan_runs(self.arena, {"status": "FAILED"})
        items = ITEMS_OF_THREE_RUNS if state == IN_PART else 1
        self.queue.send(json.dumps({"itemGuids": [item_guid(2 + n) for n in range(items)]}))
        self._do_alone(deliver_a_batch)
        self._stop_the_execution(RUN_WAIT_SECONDS)
        if state == UNREADABLE:
            arena_control.add_faults(self.arena, {**POLLS, "code": 3024})
        if state != RUNNING:
            self._do_alone(poll)

    def _stop_the_execution(self, seconds: float) -> None:
        """Stop the execution that monitors a run or waits for a search; then let time pass."""
        self._run_until(lambda: bool(self.running_executions))
        self.stop(next(iter(self.running_executions)))
        self._let_pass(seconds)

    def _let_pass(self, seconds: float) -> None:
        self.scheduler.run_until(self.scheduler.now + seconds)

    def _abandon_the_lease(self) -> None:
        """Let submit die right after it has taken the lease, and the lease expire."""

        def write(original: Callable[..., None], *writes: Write) -> None:
            original(*writes)
            if self._lease_state() == "submitting":
                raise Killed

        self.queue.send(item_guid(2))
        self.memory.intercept("write", write)
        self._do_alone(deliver_a_batch)
        self.memory.restore("write")
        self._let_pass(ABANDONED_SECONDS)

    def _lose_a_post(self, **fault: object) -> None:
        """Lose a POST; without a fault, it starts no run."""
        arena_control.add_faults(self.arena, {**POSTS, "drop": True, **fault})
        self.queue.send(item_guid(2))
        self._do_alone(deliver_a_batch)

    def _find_an_earlier_run(self) -> None:
        """Export an item; then lose a POST for the same item, which starts no run.

        Arena's clock is unknown, so that both runs may be of the same time.
        """
        arena_control.set_settings(self.arena, {"dateForm": "none"})
        self.queue.send(item_guid(2))
        self._do_alone(deliver_a_batch)
        self._stop_the_execution(RUN_SECONDS)
        self._do_alone(poll)
        self._do_alone(publish)
        self._lose_a_post()
        self._stop_the_execution(SECONDS_BEFORE_SEARCH)

    def _find_other_items(self) -> None:
        """Lose a POST that starts no run; then start a run of other items with our account."""
        self._lose_a_post()
        self.disruptions.start_run_by_hand([item_guid(3)])
        self._stop_the_execution(SECONDS_BEFORE_SEARCH)

    def _find_a_strangers_run(self) -> None:
        """Lose a POST whose run comes later; meanwhile a stranger runs the same items."""
        self._lose_a_post(lateSeconds=SECONDS_AFTER_A_STRANGER)
        run = {"exportGuid": EXPORT, "itemGuids": [item_guid(2)], "seconds": RUN_SECONDS}
        arena_control.start_foreign_run(self.arena, run)
        self._stop_the_execution(SECONDS_BEFORE_SEARCH)

    def _do_alone(self, step: Step) -> None:
        task = step(self)
        self._run_until(lambda: task.done)

    def _run_until(self, done: Callable[[], bool]) -> None:
        self.scheduler.run_until(self.scheduler.now + MAX_SECONDS, idle=done)

    def end(self) -> None:
        """End what still waits."""
        self.scheduler.close()

    # ---- at once ---------------------------------------------------------------------------------

    def share(self, policy: Policy, threads: Sequence[Sequence[Step]]) -> list[str]:
        """Run threads of functions at once, let everything drain, and return what was violated."""
        for thread in threads:
            for step in thread:
                if step is deliver_a_batch:
                    self.queue.send(item_guid(10 + len(self.messages)))

        def work(steps: Sequence[Step]) -> Callable[[], None]:
            def run() -> None:
                for step in steps:
                    self.scheduler.wait_for(step(self))

            return run

        with small_parts():
            self.control.run_by(policy, [work(thread) for thread in threads])
            self._every(10.0, self.queue.deliver)
            self._every(60.0, lambda: self.invoke("submit", RECONCILE))
            self._run_until(self.is_drained)
        return violations(self)


def deliver_a_batch(day: SharedDay) -> Task:
    """Have submit called with a message."""
    day.queue.deliver()
    assert day.latest is not None
    return day.latest


def reconcile(day: SharedDay) -> Task:
    """Have submit called by the schedule."""
    return day.invoke("submit", RECONCILE)


def poll(day: SharedDay) -> Task:
    """Have the latest run polled."""
    return day.invoke("poll", [*day.executions.started.values()][-1])


def poll_later(day: SharedDay) -> Task:
    """Have the latest run polled when it is over."""
    day.scheduler.pause(RUN_WAIT_SECONDS)
    return poll(day)


def publish(day: SharedDay) -> Task:
    """Have the latest run published."""
    return day.invoke("publish", [*day.executions.started.values()][-1])


def session(day: SharedDay) -> Task:
    """Have the session renewed that was in force when the day stopped."""
    return day.invoke("session", {"deadVersion": day.dead_version})


def deliver(day: SharedDay) -> Task:
    """Have the files delivered that are due."""
    return day.invoke("deliver", {"settledBefore": day.scheduler.now})
