"""The input of the dashboard's picture: logged metrics, states of alarms, and a grid."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from infra.local.dashboard.metrics import embedded
from infra.local.dashboard.readings import MAX_POINTS, PERIODS, Span, state

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALARM: dict[str, Any] = {
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 2.0,
    "EvaluationPeriods": 3,
    "TreatMissingData": "notBreaching",
}


def test_embedded__reads_what_powertools_writes(capsys: pytest.CaptureFixture[str]) -> None:
    """A log line yields the data of each of its metrics, with all values and the line's time."""
    metrics = AmazonCloudWatchEMFProvider(namespace="ArenaExports", service="a-stack")
    metrics.add_metric("PendingItems", MetricUnit.Count, 7)
    metrics.add_metric("DetectionDelay", MetricUnit.Seconds, 1.5)
    metrics.add_metric("DetectionDelay", MetricUnit.Seconds, 2)
    now = datetime.now(UTC).replace(microsecond=0)  # CloudWatch rejects old timestamps
    metrics.set_timestamp(now)
    metrics.flush_metrics()
    ((namespace, data),) = embedded(capsys.readouterr().out.splitlines())
    same = {"Dimensions": [{"Name": "service", "Value": "a-stack"}], "Timestamp": now}
    assert namespace == "ArenaExports"
    assert data == [
        {"MetricName": "PendingItems", "Unit": "Count", "Values": [7.0], **same},
        {"MetricName": "DetectionDelay", "Unit": "Seconds", "Values": [1.5, 2.0], **same},
    ]


def test_embedded__passes_over_other_lines() -> None:
    """Log lines and Lambda's own lines contain no metrics."""
    lines = ["START RequestId: 1", '{"level":"INFO","message":"run polled"}', ""]
    assert list(embedded(lines)) == []


@pytest.mark.parametrize(
    ("values", "changes", "expected"),
    [
        ([3.0, 3.0, 3.0], {}, "ALARM"),
        ([3.0, 2.0, 3.0], {}, "OK"),
        ([3.0, 2.0, 0.0], {"DatapointsToAlarm": 1}, "ALARM"),
        ([3.0], {}, "OK"),
        ([3.0], {"TreatMissingData": "breaching"}, "ALARM"),
        ([2.0], {"TreatMissingData": "breaching"}, "OK"),
        ([], {}, "OK"),
        ([], {"TreatMissingData": "breaching"}, "ALARM"),
        ([], {"TreatMissingData": "ignore"}, "INSUFFICIENT_DATA"),
        ([2.0, 2.0, 2.0], {"ComparisonOperator": "LessThanOrEqualToThreshold"}, "ALARM"),
        ([2.0, 2.0, 2.0], {"ComparisonOperator": "LessThanThreshold"}, "OK"),
        ([2.0, 2.0, 2.0], {"ComparisonOperator": "GreaterThanOrEqualToThreshold"}, "ALARM"),
    ],
)
def test_state__follows_the_alarm_s_own_rule(
    values: list[float], changes: dict[str, Any], expected: str
) -> None:
    """Enough periods breach, and missing data count as the alarm defines."""
    assert state(ALARM | changes, values) == expected


@pytest.mark.parametrize("seconds", [1, 290, 310, 3600, 86400])
def test_span__has_points_enough_and_not_too_many(seconds: int) -> None:
    """The points are multiples of the shortest period that keeps the picture readable."""
    span = Span(NOON - timedelta(seconds=seconds), NOON)
    times = list(span.times())
    assert {at.timestamp() % span.period for at in times} == {0}
    assert times[0] <= span.begin < times[0] + timedelta(seconds=span.period)
    assert times[-1] <= span.end < times[-1] + timedelta(seconds=span.period)
    assert span.period == PERIODS[-1] or len(times) <= MAX_POINTS + 1
    shorter = [period for period in PERIODS if period < span.period]
    assert all(seconds / period > MAX_POINTS for period in shorter)
