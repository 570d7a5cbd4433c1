"""The measurements: each function returns rows, or the targets that they must meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from infra.checks.template import resources, translated
from infra.simulator.runs import ENDED
from tests.bench import growth, policies, prices, startup, workloads
from tests.bench.baselines import Outcome
from tests.bench.ours import Day

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.bench.workloads import Arrival

OURS = "ours"
ORACLE = "oracle (knows the distribution)"


@dataclass(frozen=True)
class Target:
    """A promise, and what was measured."""

    name: str
    limit: float
    measured: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.measured <= self.limit


# ---- polls ---------------------------------------------------------------------------------------


def poll_scores(distribution: policies.Distribution, runs: int) -> dict[str, policies.Score]:
    """Score every policy on a distribution."""
    contestants = {
        OURS: policies.ours,
        **policies.baselines(),
        ORACLE: policies.oracle(distribution),
    }
    return {
        name: policies.score(policy, distribution, runs) for name, policy in contestants.items()
    }


def first_runs() -> list[float]:
    """Return the mean polls of the first eight runs of a new definition."""
    return policies.learning_curve(policies.EIGHT_MINUTES, runs=8, histories=200)


def poll_targets(scores: dict[str, dict[str, policies.Score]]) -> list[Target]:
    """Return the targets of the polling policy."""
    targets = []
    for name, of in scores.items():
        ours, oracle = of[OURS], of[ORACLE]
        wide = name in {distribution.name for distribution in policies.WIDE}
        if name == policies.EIGHT_MINUTES.name:
            targets += [
                Target(f"{name}: polls", 7.5, ours.polls),
                Target(f"{name}: mean delay", 8.5, 100 * ours.delay, "%"),
                Target(f"{name}: 95th percentile", 16, 100 * ours.delay_95, "%"),
            ]
        if wide:
            targets += [
                Target(f"{name}: polls", 14, ours.polls),
                Target(f"{name}: 95th percentile", 22, 100 * ours.delay_95, "%"),
            ]
        if name == policies.TEN_MINUTES.name:
            targets += [
                Target(f"{name}: polls", 4, ours.polls),
                Target(f"{name}: late", 10, ours.late_seconds, "s"),
            ]
        worse = 100 * (ours.objective / oracle.objective - 1)
        targets.append(Target(f"{name}: objective above the oracle's", 20, worse, "%"))
    return targets


# ---- days ----------------------------------------------------------------------------------------


def our_outcome(day: Day) -> Outcome:
    """Return the results of a day of this stack, in the form of the baselines."""
    runs = list(day.arena.exports.runs)
    requests = day.arena.request_log
    busy = sum(_ended_at(run) - run.created_at for run in runs)
    dollars = sum(prices.bill(day.counts()).values())
    times = [record.at - day.start for record in requests.records]
    return Outcome(
        OURS,
        requests.total,
        len(runs),
        day.latencies,
        busy,
        day.last_published,
        dollars,
        day.pending_items,
        times,
    )


def _ended_at(run: Any) -> float:
    return float(min(at for at, status in run.timeline if status in ENDED))


def percentiles(latencies: Iterable[tuple[float, int, Arrival]]) -> list[float]:
    """Return median, 95th and 99th percentile of the live items' latencies, seconds."""
    live = sorted((seconds, count) for seconds, count, arrival in latencies if not arrival.bulk)
    total, found = sum(count for _, count in live), list[float]()
    for share in (0.5, 0.95, 0.99):
        seen = 0
        for seconds, count in live:
            seen += count
            if seen >= share * total:
                found.append(seconds)
                break
    return found


def most_runs_for_a_change(day: Day, messages: int) -> int:
    """Return the maximum number of runs for one engineering change of this many messages."""
    changes = {id(arrival): n // messages for n, arrival in enumerate(day.workload.arrivals)}
    runs: dict[int, set[str]] = {}
    for event in day.events("run.completed"):
        for request in event["data"]["requests"]:
            change = changes[id(day.arrived[request["requestId"]])]
            runs.setdefault(change, set()).add(event["data"]["runGuid"])
    return max(len(found) for found in runs.values())


def most_runs_waited_for(day: Day) -> int:
    """Return the most runs that began between the arrival of a live item and its own run."""
    runs = {run.guid: run.created_at for run in day.arena.exports.runs}
    most = 0
    for event in day.events("run.completed"):
        own = runs[event["data"]["runGuid"]]
        for request in event["data"]["requests"]:
            arrival = day.arrived[request["requestId"]]
            if not arrival.bulk:
                recorded = day.start + arrival.at + RECORDED_WITHIN_SECONDS
                most = max(most, sum(1 for at in runs.values() if recorded < at < own))
    return most


RECORDED_WITHIN_SECONDS = 25  # the batching window, the linger, and the calls


def idle_beyond_detection(day: Day) -> float:
    """Return the maximum seconds from the poll that saw a run's end to the start of the next."""
    runs, looks = sorted(day.arena.exports.runs, key=lambda run: run.created_at), {}
    for record in day.arena.request_log.records:
        if record.purpose == "poll":
            looks[record.path.rsplit("/", 1)[1]] = record.at
    return max(following.created_at - looks[run.guid] for run, following in pairwise(runs))


def saturated(max_items: int, runs: int) -> Day:
    """Return a day on which all items are pending from the start."""
    items = workloads.Items(8)
    arrivals = [
        workloads.Arrival(0.01 * n, items.take(1000)) for n in range(max_items * runs // 1000)
    ]
    return Day(workloads.Workload("saturation", arrivals, max_items=max_items)).live()


def dollars_per_million(items_a_message: int, messages: int) -> dict[str, float]:
    """Return the cost of a million items that arrive within a day."""
    items = workloads.Items(9)
    gap = workloads.DAY / prices.MILLION * items_a_message
    arrivals = [workloads.Arrival(n * gap, items.take(items_a_message)) for n in range(messages)]
    workload = workloads.Workload("a million a day", arrivals)
    day = Day(workload).live()
    scale = prices.MILLION / workload.items
    return {name: dollars * scale for name, dollars in prices.bill(day.counts()).items()}


IDLE_HOURS = 1


def fixed_dollars(*true: str) -> dict[str, float]:
    """Return the monthly cost of an idle stack, by purpose.

    Args:
        true: the template's conditions that hold, as CloudFormation evaluates them.
    """
    types = {body["Type"] for body in translated()["Resources"].values()}
    found = {type_: list(resources(type_, *true).values()) for type_ in types}
    day = Day(workloads.Workload("idle", [])).idle(IDLE_HOURS * 3600)
    months = prices.HOURS_A_MONTH / IDLE_HOURS
    running = {name: dollars * months for name, dollars in prices.bill(day.counts()).items()}
    fixed = prices.fixed_bill({type_: bodies for type_, bodies in found.items() if bodies})
    return {
        "dashboard": fixed.get("AWS::CloudWatch::Dashboard", 0),
        "alarms": fixed["AWS::CloudWatch::Alarm"],
        "key": fixed["AWS::KMS::Key"],
        "secrets": fixed["AWS::SecretsManager::Secret"] + prices.CREDENTIALS_SECRET,
        "metrics": prices.CUSTOM_METRIC * len(day.metrics),
        "polling the queue": running.pop("SQS requests"),
        "reconciling every minute": sum(running.values()),
    }


# ---- functions -----------------------------------------------------------------------------------


def growth_targets(curves: Mapping[str, Sequence[growth.Point]]) -> list[Target]:
    """Return the targets of growth: the time for each unit grows by less than a half."""
    targets = []
    for name, points in curves.items():
        first, last = points[0], points[-1]
        linear = last.size / first.size
        grown = last.seconds / first.seconds
        targets.append(Target(f"{name}: times beyond linear", 1.5, grown / linear))
    return targets


def start_targets(ratios: dict[str, float]) -> list[Target]:
    """Return the targets of cold starts."""
    limits = {"submit": 1.6}
    return [
        Target(f"start of {name}, boto3 client alone = 1", limits.get(name, 1.35), ratio)
        for name, ratio in ratios.items()
        if name != startup.BASE
    ]
