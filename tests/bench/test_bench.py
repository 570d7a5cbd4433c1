"""The targets of the benchmarks that do not depend on the machine's speed, on smaller days."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import baselines, delivery, growth, measures, policies, prices, startup, workloads
from tests.bench.ours import Day

# As in the deployed functions (`telemetry`): nothing to count is no reason for a warning.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

FORBIDDEN = (
    "arena_exports.wiring",
    "aws_lambda_powertools.utilities.idempotency",
    "aws_lambda_powertools.utilities.parser",
    "aws_xray_sdk",
    "boto3",
    "pydantic",
    "s3transfer",
)


@pytest.mark.parametrize(
    "distribution", policies.DISTRIBUTIONS, ids=lambda distribution: distribution.name
)
def test_polls__meet_their_targets(distribution: policies.Distribution) -> None:
    """Polls, mean delay, 95th percentile and the distance to an oracle meet their targets."""
    contestants = {measures.OURS: policies.ours, measures.ORACLE: policies.oracle(distribution)}
    scores = {
        name: policies.score(policy, distribution, 1500) for name, policy in contestants.items()
    }
    targets = measures.poll_targets({distribution.name: scores})
    assert targets
    assert [target for target in targets if not target.met] == []


def test_polls__are_learned_from_the_first_run_on() -> None:
    """The first run of a new definition takes fewer polls in a stack that has run others."""
    curves = measures.first_runs()
    assert [target for target in measures.first_run_targets(curves) if not target.met] == []
    alone, *_ = curves[measures.FIRST_OF_A_STACK]
    first, *later = curves[measures.BESIDE_OTHERS]
    assert alone > 1.5 * first
    assert max(later) < 10


def test_spare_requests__buy_speed_and_nothing_else() -> None:
    """On a plentiful day runs are seen to end within 3 %; on a scarce day polls are as before."""
    days = measures.spare_days(measures.OURS, measures.BEFORE)
    assert [target for target in measures.spare_targets(days) if not target.met] == []
    plentiful, scarce = days[measures.PLENTIFUL], days[measures.SCARCE]
    assert plentiful[measures.OURS].delay < 0.5 * plentiful[measures.BEFORE].delay
    assert scarce[measures.OURS].delay < scarce[measures.BEFORE].delay + 0.01


def test_eco__of_300_messages_leaves_in_one_run() -> None:
    """This holds with SQS's pollers and batching window as AWS has them."""
    day = Day(workloads.bursts(1 / 4)).live()
    assert len(day.latencies) == 6 * 300
    assert measures.most_runs_for_a_change(day, 300) == 1


def test_backfill__and_live_items_take_turns() -> None:
    """A live item waits for at most the run in progress and one more."""
    day = Day(workloads.backfill(0.05)).live()
    assert sum(count for _, count, _ in day.latencies) == day.workload.items
    assert measures.most_runs_waited_for(day) <= 1


@pytest.mark.parametrize(("most", "limit"), [(5_000, 2.0), (20_000, 0.5)])
def test_saturation__spends_few_requests_and_leaves_no_gap_between_runs(
    most: int, limit: float
) -> None:
    """Runs are full, polls are few, and the next run follows the poll that saw the end."""
    day = measures.saturated(most, 30)
    assert 1000 * day.arena.request_log.total / day.workload.items <= limit
    assert measures.idle_beyond_detection(day) <= 5


def test_working_day__needs_fewer_requests_than_the_baselines() -> None:
    """The stack stays within the budget, and above the lower bound."""
    workload = workloads.working_day(0.3)
    ours = measures.our_outcome(Day(workload).live())
    *others, bound = [
        baselines.simulate(baseline, workload) for baseline in baselines.all_baselines()
    ]
    assert all(ours.requests < other.requests for other in others)
    assert bound.requests < ours.requests
    assert sum(count for _, count, _ in ours.latencies) == workload.items


@pytest.mark.parametrize(("items", "messages", "limit"), [(1, 20_000, 2.0), (100, 600, 0.4)])
def test_money__for_a_million_items(items: int, messages: int, limit: float) -> None:
    """The cost of the counted calls meets its target, even if the functions take twice the time."""
    dollars = measures.dollars_per_million(items, messages)
    compute = dollars.pop("Lambda GB-seconds")
    assert 0 < compute < 0.25 * limit
    assert 0 < sum(dollars.values()) < limit


def test_idle_stack__costs_four_dollars_a_month_at_most() -> None:
    """The template, the price list and some idle hours give the cost, without the dashboard."""
    dollars = measures.fixed_dollars()
    assert dollars["dashboard"] == 0
    assert dollars["metrics"] == prices.CUSTOM_METRIC, "the age of the oldest pending item"
    assert sum(dollars.values()) <= 4.00
    assert sum(dollars.values()) > 3.00
    assert measures.fixed_dollars("HasDashboard")["dashboard"] == 3.00


def test_idle_stack__pays_four_alarms_more_for_delivery() -> None:
    """Function, role, log and an empty bucket are free; without delivery there is none of them."""
    without = measures.fixed_dollars()
    delivers = measures.fixed_dollars("DeliversFiles", "MakesBucket")
    alarms = delivers["alarms"] - without["alarms"]
    assert alarms == pytest.approx(4 * prices.ALARM_METRIC)
    assert all(delivers[name] == without[name] for name in ("dashboard", "key", "secrets"))


def test_prices__know_every_type_of_resource() -> None:
    """Each type has a price or is free; an alarm on metric math pays for each of its metrics."""
    with pytest.raises(KeyError, match="AWS::EC2::NatGateway"):
        prices.fixed_bill({"AWS::EC2::NatGateway": [{}]})
    math: dict[str, Any] = {"Metrics": [{}, {}, {}]}
    bill = prices.fixed_bill({"AWS::CloudWatch::Alarm": [{"MetricName": "one"}, math]})
    assert bill["AWS::CloudWatch::Alarm"] == pytest.approx(4 * prices.ALARM_METRIC)


@pytest.mark.parametrize("name", ["record messages", "publish a run of requests"])
def test_growth__of_calls_is_linear_or_better(name: str) -> None:
    """Four times the work takes about four times the calls at most."""
    measure, _ = growth.CURVES[name]
    assert measure(7_840).calls <= 4.4 * measure(1_960).calls


def test_growth__selecting_does_not_depend_on_the_backlog() -> None:
    """A backlog four times as long takes the same calls."""
    assert growth.gathering(200_000).calls == growth.gathering(50_000).calls


def test_delivery__costs_one_arena_request_for_a_file() -> None:
    """This holds if nothing fails; a thousand files cost less than ten cents."""
    assert delivery.requests_per_file(10) == 1
    assert 0 < delivery.cents_per_thousand_files(10) < 10
    assert 0 < delivery.cents_per_gigabyte() < 0.2


def test_delivery__needs_no_more_memory_for_a_large_file() -> None:
    """A file of 300 MB takes at most 20 MB more than one of 16 MB, and less than 200 MB."""
    small, large = map(delivery.peak_megabytes, (delivery.SMALL, 300_000_000))
    assert large - small <= 20
    assert large < 200


@pytest.mark.parametrize("function", startup.FUNCTIONS)
def test_start__loads_nothing_that_the_function_does_not_use(function: str) -> None:
    """It loads no tracing SDK, parser, S3 transfer manager, or wiring of another function."""
    _, modules = startup.start(function)
    own = {
        f"arena_exports.wiring.{name}"
        for name in (function, "function", "dependencies", "settings", "arena", "publish")
    }
    loaded = {name for name in modules if name.startswith(FORBIDDEN)}
    assert loaded <= own | {"arena_exports.wiring"}
    assert ("requests" in modules) == (function != "publish")
    assert ("arena_exports.services.submission" in modules) == (function == "submit")
