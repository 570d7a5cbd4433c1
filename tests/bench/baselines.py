"""Other ways of exporting, and the lower bound, with the same arrivals, runs and budget.

Each has a perfect queue in front of Arena, which is in its favour: it never POSTs while an export
is in progress, logs in, crashes, or repeats a request. They differ in how they batch and poll.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.bench import prices
from tests.bench.policies import backing_off, fixed
from tests.bench.workloads import DAY, REQUESTS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.policies import Policy
    from tests.bench.workloads import Arrival, Workload


@dataclass(frozen=True)
class Baseline:
    """A way to batch and poll.

    `messages` is the maximum for one run. Without a policy, a run is polled once, at its very end.
    """

    name: str
    messages: int
    policy: Policy | None


UNBOUNDED = 10**9


def all_baselines() -> list[Baseline]:
    """Return all baselines; the last one is the lower bound."""
    return [
        Baseline("one run for each message, 30 s", 1, fixed(30)),
        Baseline("batches of 10, 30 s", 10, fixed(30)),
        Baseline("coalescing, 5 s (Airbyte)", UNBOUNDED, fixed(5)),
        Baseline("coalescing, 1 to 20 s x 1.5 (google)", UNBOUNDED, backing_off(1, 1.5, 20)),
        Baseline(
            "coalescing, 5 to 300 s, jitter (Lambda durable)",
            UNBOUNDED,
            backing_off(5, 1.5, 300, Random(5)),
        ),
        Baseline("lower bound", UNBOUNDED, None),
    ]


@dataclass
class Outcome:
    """The results of a workload."""

    name: str
    requests: int
    runs: int
    latencies: list[tuple[float, int, Arrival]]
    busy_seconds: float
    finished_at: float
    dollars: float
    waiting: list[tuple[float, int]]
    request_times: list[float]


class SharedBudget:
    """The workspace's daily requests, which other integrations also spend."""

    def __init__(self, others: Sequence[tuple[float, int]]) -> None:
        self._others = deque(others)
        self._day = 0
        self._used = 0

    def spend(self, now: float) -> float:
        """Spend a request and return 0; or return the seconds until one is available."""
        self._catch_up(now)
        if self._used >= REQUESTS_A_DAY:
            return (self._day + 1) * DAY - now
        self._used += 1
        return 0.0

    def _catch_up(self, now: float) -> None:
        while self._others and self._others[0][0] <= now:
            at, count = self._others.popleft()
            self._turn(at)
            self._used += count
        self._turn(now)

    def _turn(self, now: float) -> None:
        if int(now // DAY) > self._day:
            self._day, self._used = int(now // DAY), 0


def simulate(baseline: Baseline, workload: Workload) -> Outcome:
    """Run a workload in a baseline's way."""
    budget, waiting = SharedBudget(workload.others), list[tuple[float, int]]()
    arrivals = sorted(workload.arrivals, key=lambda arrival: arrival.at)
    durations = iter(workload.run_seconds(len(arrivals)))
    latencies, times, now, runs, busy = [], list[float](), 0.0, 0, 0.0
    position = 0
    while position < len(arrivals):
        now = max(now, arrivals[position].at)
        now += _until_sent(budget, now)
        batch = _batch(baseline, workload, arrivals, position, now)
        position += len(batch)
        started, duration, polls = now, next(durations), 0
        runs, busy = runs + 1, busy + duration
        times.append(now)
        while now < started + duration:
            now = _next_poll(baseline, started, duration, now, polls)
            now += _until_sent(budget, now)
            polls += 1
            times.append(now)
        for arrival in batch:
            latencies.append((now - arrival.at, len(arrival.item_guids), arrival))
            waiting += [(arrival.at, len(arrival.item_guids)), (now, -len(arrival.item_guids))]
    dollars = _dollars(len(arrivals), runs, len(times) - runs)
    waiting = _running(waiting)
    return Outcome(baseline.name, len(times), runs, latencies, busy, now, dollars, waiting, times)


def _until_sent(budget: SharedBudget, now: float) -> float:
    waited = 0.0
    while seconds := budget.spend(now + waited):
        waited += seconds
    return waited


def _next_poll(
    baseline: Baseline, started: float, duration: float, now: float, polls: int
) -> float:
    if baseline.policy is None:
        return started + duration
    return now + baseline.policy((), now - started, polls)


def _batch(
    baseline: Baseline, workload: Workload, arrivals: Sequence[Arrival], position: int, now: float
) -> list[Arrival]:
    """Return the messages of the next run, in the order of arrival."""
    batch: list[Arrival] = []
    items = 0
    for arrival in arrivals[position : position + min(baseline.messages, len(arrivals))]:
        items += len(arrival.item_guids)
        if arrival.at > now or (batch and items > workload.max_items):
            break
        batch.append(arrival)
    return batch


def _dollars(messages: int, runs: int, polls: int) -> float:
    """Return the cost of the same services, without a ledger and logs."""
    seconds = (runs + polls) * (prices.ASSUMED_SECONDS["arena"] + 0.1) + runs * 0.1
    counts = {
        "SQS requests": 2 * -(-messages // 10),
        "Lambda requests": 2 * runs + polls,
        "Lambda GB-seconds": seconds * prices.MEMORY_GB,
        "Step Functions transitions": 3 * polls + 4 * runs,
        "SNS requests": runs,
        "Secrets Manager calls": runs + polls,
    }
    return sum(prices.bill(counts).values())


def _running(changes: list[tuple[float, int]]) -> list[tuple[float, int]]:
    total, series = 0, list[tuple[float, int]]()
    for at, count in sorted(changes):
        total += count
        series.append((at, total))
    return series
