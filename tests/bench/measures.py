"""The measurements: each function returns rows, or the targets that they must meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from arena_exports.domain.polling import Pace, PastRuns, first_wait_seconds, next_wait_seconds
from infra.checks.template import resources, translated
from infra.simulator.runs import ENDED
from tests.bench import growth, policies, prices, startup, workloads
from tests.bench.baselines import Outcome
from tests.bench.ours import Day, polls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.bench.workloads import Arrival

OURS = "ours"
OURS_WITH_PLENTY = "ours, requests to spare"
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
        OURS_WITH_PLENTY: policies.paced(policies.PLENTY),
        **policies.baselines(),
        ORACLE: policies.oracle(distribution),
    }
    return {
        name: policies.score(policy, distribution, runs) for name, policy in contestants.items()
    }


FIRST_OF_A_STACK = "first of its stack"
BESIDE_OTHERS = "beside others of 4, 8 and 16 min"


def first_runs() -> dict[str, list[float]]:
    """Return the mean polls of the first eight runs of a new definition, by what else runs."""
    others = (policies.FOUR_MINUTES, policies.EIGHT_MINUTES, policies.SIXTEEN_MINUTES)
    return {
        name: policies.learning_curve(policies.EIGHT_MINUTES, 8, 200, stack)
        for name, stack in ((FIRST_OF_A_STACK, ()), (BESIDE_OTHERS, others))
    }


def first_run_targets(curves: Mapping[str, Sequence[float]]) -> list[Target]:
    """Return the target of the first run of a new definition."""
    return [Target("polls of a new definition's first run", 10, curves[BESIDE_OTHERS][0])]


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


# ---- spare requests ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Polled:
    """What the polls of a day came to: `delay` is the mean share of a run's duration."""

    requests: int
    polls: float
    delay: float
    slot_use: float


PLENTIFUL, SCARCE = "plentiful", "scarce"
BEFORE = "one price, whatever is spare (before)"


def spare_days(*names: str) -> dict[str, dict[str, Polled]]:
    """Live a day of constant runs with nobody else, and the working day, by each policy.

    The one before took neither spare requests nor other sizes and definitions into account. The
    oracle knows the distribution, and takes as many polls as ours. `names` are the policies to
    try, all of them if there are none.
    """
    days = {
        PLENTIFUL: (workloads.trickle, policies.PRICE_WITH_PLENTY),
        SCARCE: (workloads.working_day, policies.PRICE_OF_A_POLL),
    }
    return {
        name: {
            policy: _polled_by(Day(build()), *waits)
            for policy, waits in _contestants(price).items()
            if not names or policy in names
        }
        for name, (build, price) in days.items()
    }


Waits = tuple["Callable[..., int]", "Callable[..., int]"]


def _contestants(price: float) -> dict[str, Waits]:
    return {
        OURS: (first_wait_seconds, next_wait_seconds),
        BEFORE: (_first_before, _next_before),
        ORACLE: _oracle(price),
    }


def _first_before(past: PastRuns, pace: Pace) -> int:
    del pace
    return first_wait_seconds(PastRuns(past.same))


def _next_before(past: PastRuns, waited: float, pace: Pace) -> int:
    return next_wait_seconds(PastRuns(past.same), waited, Pace(slowest=pace.slowest))


def _oracle(price: float) -> Waits:
    policy = policies.oracle(policies.EIGHT_MINUTES, price)
    return (
        lambda _past, _pace: round(policy((), 0.0, 0)),
        lambda _past, waited, _pace: round(policy((), waited, 1)),
    )


def _polled_by(day: Day, first: Callable[..., int], following: Callable[..., int]) -> Polled:
    with polls(first, following):
        day.live()
    outcome, delays = our_outcome(day), delays_of_runs(day)
    made = sum(record.purpose == "poll" for record in day.arena.request_log.records)
    began = min(arrival.at for arrival in day.workload.arrivals)
    used = outcome.busy_seconds / (outcome.finished_at - began)
    mean = sum(delays) / len(delays)
    return Polled(outcome.requests, made / outcome.runs, mean, used)


def delays_of_runs(day: Day) -> list[float]:
    """Return how much later than its end each run was seen to have ended, as a share of it."""
    seen = {
        record.path.rsplit("/", 1)[1]: record.at
        for record in day.arena.request_log.records
        if record.purpose == "poll"
    }
    ended = {run.guid: (run.created_at, _ended_at(run)) for run in day.arena.exports.runs}
    return [(seen[guid] - end) / (end - start) for guid, (start, end) in ended.items()]


def spare_targets(days: Mapping[str, Mapping[str, Polled]]) -> list[Target]:
    """Ask for speed where requests are plentiful, and for thrift where they are scarce."""
    plentiful, scarce = days[PLENTIFUL], days[SCARCE]
    return [
        Target("plentiful: mean delay", 3, 100 * plentiful[OURS].delay, "%"),
        Target("plentiful: slot not used", 3, 100 * (1 - plentiful[OURS].slot_use), "%"),
        Target("plentiful: requests", 4400, plentiful[OURS].requests),
        Target("scarce: requests", 600, scarce[OURS].requests),
        Target("scarce: requests above before", 0, scarce[OURS].requests - scarce[BEFORE].requests),
    ]


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
    """Return a day on which all items are pending from the start, and no request is spare."""
    items = workloads.Items(8)
    arrivals = [
        workloads.Arrival(0.01 * n, items.take(1000)) for n in range(max_items * runs // 1000)
    ]
    others = workloads.BUSY_OTHERS
    return Day(workloads.Workload("saturation", arrivals, others, max_items)).live()


def dollars_per_million(
    items_a_message: int, messages: int, others: Sequence[tuple[float, int]] = workloads.BUSY_OTHERS
) -> dict[str, float]:
    """Return the bill for each million items that arrive at a million a day.

    Unless `others` says otherwise, other integrations leave no requests for more polls.
    """
    items = workloads.Items(9)
    gap = workloads.DAY / prices.MILLION * items_a_message
    arrivals = [workloads.Arrival(n * gap, items.take(items_a_message)) for n in range(messages)]
    workload = workloads.Workload("a million a day", arrivals, others)
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
    limits = {"submit": 1.6, "deliver": 1.8, "examine": 1.6}  # a person waits for examine
    return [
        Target(f"start of {name}, boto3 client alone = 1", limits.get(name, 1.35), ratio)
        for name, ratio in ratios.items()
        if name != startup.BASE
    ]
