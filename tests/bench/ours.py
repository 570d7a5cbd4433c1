"""A day of this stack on virtual time: the real handlers and state machine, every call counted.

Each call to the outside takes the time that `prices` assumes; the functions' own work is measured.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from random import Random
from time import process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from arena_exports.adapters.telemetry import PowertoolsTelemetry, logger, metrics
from arena_exports.services import monitoring, polling
from infra.simulator import control
from tests.bench import prices
from tests.support.fakes import InMemoryTable, item_bytes
from tests.support.world import SUBMIT_SECONDS, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from arena_exports.ports import Event, Item, Key
    from tests.bench.workloads import Arrival, Workload
    from tests.support.fakes import FakeClock

POLLERS = 5  # Lambda's for a queue (ScalingConfig: MaximumConcurrency)
BATCH_SIZE = 980  # template.yaml
BATCH_BYTES = 6 * 1024 * 1024
WINDOW_SECONDS = 20.0
PACIFIC_MIDNIGHT = 1_700_035_200.0  # 2023-11-15T08:00:00Z: when Arena's day begins
MESSAGES_A_RECEIVE = 10
# As Lambda sets it with Tracing PassThrough, when nobody upstream samples.
TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
LONG_POLL_SECONDS = 20
_METRIC = re.compile(r'"Name":"(\w+)","Unit"')


@dataclass
class Timed:
    """Passes calls on, counts them, and advances the clock by the time that each takes."""

    inner: Any
    name: str
    clock: FakeClock
    calls: Counter[str]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Return the inner part's method."""
        call = getattr(self.inner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.calls[self.name] += 1
            self.clock.time += prices.ASSUMED_SECONDS[self.name]
            return call(*args, **kwargs)

        return timed


class MeteredTable(InMemoryTable):
    """The ledger's table, which counts what consistent reads cost: a unit for each 4 KiB."""

    def __init__(self) -> None:
        super().__init__()
        self.read_units = 0

    def get(self, key: Key) -> Item | None:
        found = super().get(key)
        self._meter(found)
        return found

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        found = super().get_many(wanted)
        for key in wanted:
            self._meter(found.get(key))
        return found

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        found = super().query(pk, first, last, limit=limit)
        self._meter(found)
        return found

    def _meter(self, read: object) -> None:
        self.read_units += max(-(-item_bytes(read) // 4096), 1)


@dataclass
class Published:
    """The topic: one request for each event and each 64 KiB of it."""

    day: Day
    events: list[Event] = field(default_factory=list)

    def publish(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        for event in events:
            self.day.calls["SNS requests"] += -(-len(event.body) // 65_536)
            self.day.clock.time += prices.ASSUMED_SECONDS["topic"]
        self.events += events
        self.day.note_published(events)


@dataclass
class Gathering:
    """One of Lambda's pollers: the messages that it holds until its window closes."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    busy: bool = False


class Day(World):
    """A workload that the deployed functions process."""

    def __init__(self, workload: Workload, *, runs: int = 3000) -> None:
        """Prepare the day; `runs` bounds the export runs that it may need."""
        self.workload = workload
        self.calls: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.log_bytes = 0
        self.metrics: set[str] = set()
        self.arrived: dict[str, Arrival] = {}
        self.latencies: list[tuple[float, int, Arrival]] = []
        self.last_published = 0.0
        self.pending_items: list[tuple[float, int]] = []
        self._waiting_items = 0
        self._to_come = len(workload.arrivals)
        self.metered = MeteredTable()
        super().__init__(0, {"max_items_per_run": workload.max_items}, self.metered)
        self.clock.time = self.start = PACIFIC_MIDNIGHT
        self.topic = Published(self)  # type: ignore[assignment]
        self.dependencies = self._counted_parts()
        self.clock.intercept("sleep", lambda _sleep, seconds: self._sleep(seconds))
        self.pollers = [Gathering() for _ in range(POLLERS)]
        self._choice = Random(3)
        self._plan(runs)

    def _counted_parts(self) -> Any:
        def timed(inner: Any, name: str) -> Any:
            return Timed(inner, name, self.clock, self.calls)

        return replace(
            self.dependencies,
            table=timed(self.table, "ledger"),
            transport=timed(self.transport, "arena"),
            session_secret=timed(self.session_secret, "secret"),
            credentials=timed(self.credentials, "secret"),
            executions=timed(self.executions, "executions"),
            dead_letters=timed(self.dead_letters, "queue"),
            topic=self.topic,
            telemetry=PowertoolsTelemetry(),
        )

    def _plan(self, runs: int) -> None:
        for seconds in self.workload.run_seconds(runs):
            control.plan_runs(self.arena, {"runningSeconds": seconds, "count": 1})
        for arrival in self.workload.arrivals:
            self.at(arrival.at, partial(self._arrive, arrival))
        for at, count in self.workload.others:
            self.at(at, partial(self._spend, count))

    def _spend(self, count: int) -> None:
        """Let others use the workspace's budget."""
        budget = self.arena.budget
        budget.refresh(self.clock.now())
        budget.used = min(budget.used + count, budget.limit)

    def live(self) -> Day:
        """Process the whole workload."""
        return self._go_on_while(
            lambda: self._to_come > 0 or not self.is_idle() or any(p.messages for p in self.pollers)
        )

    def idle(self, seconds: float) -> Day:
        """Let time pass without messages, while Lambda's pollers ask the queue."""
        end = self.clock.now() + seconds
        self._go_on_while(lambda: self.clock.now() < end)
        self.calls["SQS requests"] += int(POLLERS * seconds / LONG_POLL_SECONDS)
        return self

    def _go_on_while(self, condition: Callable[[], bool]) -> Day:
        with _captured_logs() as logs:
            self._schedule_reconcile()
            while condition():
                self._next_event()
                text = logs.getvalue()
                self.log_bytes += len(text)
                self.metrics |= set(_METRIC.findall(text))
                logs.seek(0)
                logs.truncate()
        assert not self.errors, self.errors
        return self

    def _schedule_reconcile(self) -> None:
        self.at(60, self._reconcile_and_again)

    def _reconcile_and_again(self) -> None:
        self.calls["Scheduler invocations"] += 1
        super()._reconcile_and_again()

    # ---- SQS -------------------------------------------------------------------------------------

    def _arrive(self, arrival: Arrival) -> None:
        body = {"itemGuids": arrival.item_guids, "correlationId": f"ECO-{len(self.arrived):06d}"}
        if arrival.bulk:
            body["priority"] = "bulk"
        (record,) = self.record(body, message_ids=[_message_id(self._choice)])
        self.arrived[record["messageId"]] = arrival
        self._to_come -= 1
        self._note_pending(len(arrival.item_guids))
        poller = self._choice.choice([p for p in self.pollers if not p.busy] or self.pollers)
        if not poller.messages and not poller.busy:
            self.at(WINDOW_SECONDS, lambda: self._close(poller))
        poller.messages.append(record)
        poller.size += len(record["body"])
        if len(poller.messages) == BATCH_SIZE or poller.size > BATCH_BYTES:
            self._close(poller)

    def _close(self, poller: Gathering) -> None:
        if poller.busy or not poller.messages:
            return
        poller.busy = True
        while poller.messages:
            batch, poller.messages = poller.messages[:BATCH_SIZE], poller.messages[BATCH_SIZE:]
            self.calls["SQS requests"] += 2 * -(-len(batch) // MESSAGES_A_RECEIVE)
            assert self.deliver(batch) == []
        poller.busy, poller.size = False, 0

    # ---- Lambda and Step Functions ---------------------------------------------------------------

    def call(self, function: str, payload: Any) -> Any:
        """Invoke the deployed handler; bill its processor time and the time it waited."""
        module = import_module(f"{function}.handler")
        context = SimpleNamespace(
            function_name=function,
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:" + function,
            aws_request_id="00000000-0000-0000-0000-000000000000",
            get_remaining_time_in_millis=lambda: SUBMIT_SECONDS * 1000,
        )
        warm = getattr(self.functions, function)
        real, module.deployed = module.deployed, lambda: warm  # type: ignore[attr-defined]
        began, worked = self.clock.now(), process_time()
        try:
            return module.handler(payload, context)
        finally:
            module.deployed = real  # type: ignore[attr-defined]
            self.calls["Lambda requests"] += 1
            worked = (process_time() - worked) * prices.CPU_STRETCH
            self.billed[function] += 1
            self.calls["Lambda GB-seconds"] += (  # type: ignore[assignment]
                self.clock.now() - began + worked
            ) * prices.MEMORY_GB

    def _step(self, name: str) -> None:
        self.calls["Step Functions transitions"] += 1
        super()._step(name)

    def _sleep(self, seconds: float) -> None:
        """Sleep while the other tasks continue."""
        end = self.clock.now() + seconds
        while self._events and self._events[0][0] <= end:
            self._next_event()
        self.clock.time = max(self.clock.time, end)

    # ---- what came of it -------------------------------------------------------------------------

    def note_published(self, events: Sequence[Event]) -> None:
        """Record how long the items of each finished request took."""
        now = self.clock.now() - self.start
        seen: set[str] = set()
        for event in (json.loads(event.body) for event in events):
            for request in event["data"].get("requests", ()):
                if request["openCount"] == 0 and request["requestId"] not in seen:
                    seen.add(request["requestId"])
                    arrival = self.arrived[request["requestId"]]
                    count = len(arrival.item_guids)
                    self.latencies.append((now - arrival.at, count, arrival))
                    self._note_pending(-count)
        self.last_published = now

    def _note_pending(self, items: int) -> None:
        self._waiting_items += items
        self.pending_items.append((self.clock.now() - self.start, self._waiting_items))

    def counts(self) -> dict[str, float]:
        """Return the counts that the price list needs."""
        platform = self.calls["Lambda requests"] * prices.PLATFORM_LOG_BYTES
        return {
            **self.calls,
            "DynamoDB write units": self.table.write_units,
            "DynamoDB read units": self.metered.read_units,
            "Secrets Manager calls": self.calls["secret"],
            "CloudWatch log GB": (self.log_bytes + platform) / 1e9,
        }


@contextmanager
def _captured_logs() -> Iterator[io.StringIO]:
    """Make Powertools write log lines and metrics into a text buffer, as it does in Lambda."""
    logs = io.StringIO()
    stream = logger.registered_handler.setStream(logs)  # type: ignore[attr-defined]
    metrics.namespace, metrics.service = "ArenaExports", "bench"
    os.environ["_X_AMZN_TRACE_ID"] = TRACE_ID
    try:
        with redirect_stdout(logs):
            yield logs
    finally:
        del os.environ["_X_AMZN_TRACE_ID"]
        logger.registered_handler.setStream(stream)  # type: ignore[attr-defined]


@contextmanager
def polls(first: Callable[..., int], following: Callable[..., int]) -> Iterator[None]:
    """Have the functions poll as somebody else says.

    Both are called as `first_wait_seconds` and `next_wait_seconds` are.
    """
    with (
        patch.object(monitoring, "first_wait_seconds", first),
        patch.object(polling, "next_wait_seconds", following),
    ):
        yield


def _message_id(random: Random) -> str:
    text = f"{random.getrandbits(128):032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
