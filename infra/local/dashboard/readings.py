"""Read the deployed dashboard and what its widgets show: series of metrics, states of alarms."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.local.aws import Clients
from infra.local.stack import Stack

MAX_POINTS = 60
PERIODS = (5, 10, 30, 60, 300)
"""The CloudWatch periods, in seconds, that a short scenario needs."""
_COMPARISONS = {
    "GreaterThanThreshold": float.__gt__,
    "GreaterThanOrEqualToThreshold": float.__ge__,
    "LessThanThreshold": float.__lt__,
    "LessThanOrEqualToThreshold": float.__le__,
}
_STATE_WITHOUT_DATA = {"breaching": "ALARM", "notBreaching": "OK"}


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown, and the seconds that make one point of it."""

    begin: datetime
    end: datetime

    @property
    def period(self) -> int:
        """The shortest period that does not make too many points."""
        seconds = (self.end - self.begin).total_seconds()
        return next((p for p in PERIODS if seconds / p <= MAX_POINTS), PERIODS[-1])

    def times(self) -> Iterator[datetime]:
        """Yield the times of the points: multiples of the period, as in CloudWatch."""
        at = self.begin.timestamp() // self.period * self.period
        while at <= self.end.timestamp():
            yield datetime.fromtimestamp(at, UTC)
            at += self.period


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a widget.

    `is_emulated` is false for a metric of AWS that the embedded AWS does not measure, `is_right`
    true for one with the axis on the right.
    """

    label: str
    points: Sequence[tuple[datetime, float]]
    is_emulated: bool = True
    is_right: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A widget in CloudWatch's own form, and its series, or the names and states of its alarms."""

    widget: Mapping[str, Any]
    series: Sequence[Series] = ()
    states: Sequence[tuple[str, str]] = ()


def read(stack: Stack, span: Span) -> list[Reading]:
    """Return the widgets of the deployed dashboard, and what they show."""
    name = stack.outputs["DashboardName"]
    body = stack.clients.cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]
    return [_read(stack, widget, span) for widget in json.loads(body)["widgets"]]


def _read(stack: Stack, widget: Mapping[str, Any], span: Span) -> Reading:
    clients, properties = stack.clients, widget["properties"]
    if widget["type"] == "alarm":
        return Reading(widget, states=list(_alarm_states(stack, properties["alarms"], span)))
    metrics = properties.get("metrics", ())
    return Reading(widget, [_series(clients, properties, span, metric) for metric in metrics])


def _series(
    clients: Clients, properties: Mapping[str, Any], span: Span, metric: Sequence[Any]
) -> Series:
    namespace, name, dimension, value, *options = metric
    rendering = options[0] if options else {}
    named = (namespace, name, [{"Name": dimension, "Value": value}])
    statistic = rendering.get("stat", properties["stat"])
    points = _points(clients, named, statistic, span, span.period)
    return Series(
        label=rendering.get("label", name),
        points=points,
        is_emulated=_is_emulated(namespace, points),
        is_right=rendering.get("yAxis") == "right",
    )


def _is_emulated(namespace: str, points: Sequence[object]) -> bool:
    """Return whether a metric is measured: AWS metrics in use always have points, even zeros."""
    return bool(points) or not namespace.startswith("AWS/")


def _points(
    clients: Clients, metric: tuple[str, str, Any], statistic: str, span: Span, period: int
) -> list[tuple[datetime, float]]:
    namespace, name, dimensions = metric
    named = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    query: Any = {
        "Id": "m",
        "MetricStat": {"Metric": named, "Period": period, "Stat": statistic},
    }
    (result,) = clients.cloudwatch.get_metric_data(
        MetricDataQueries=[query], StartTime=span.begin, EndTime=span.end
    )["MetricDataResults"]
    return sorted(zip(result["Timestamps"], result["Values"], strict=True))


def _alarm_states(stack: Stack, arns: Iterable[str], span: Span) -> Iterator[tuple[str, str]]:
    """Return the logical id of each alarm, and its state at the end."""
    logical_ids = {physical_id: logical_id for logical_id, physical_id in stack.resources.items()}
    pages = stack.clients.cloudwatch.get_paginator("describe_alarms").paginate()
    alarms = {alarm["AlarmArn"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    for arn in arns:
        yield logical_ids[alarms[arn]["AlarmName"]], _state(stack.clients, alarms[arn], span)


def _state(clients: Clients, alarm: Any, span: Span) -> str:  # noqa: ANN401 - boto3's own type has all keys optional
    """Return the state of an alarm, or `NOT_EMULATED`.

    The embedded AWS tells metrics of one name apart by no dimension when it evaluates alarms, and
    does not know what missing data means. So the alarm's own rule is applied here.
    """
    metric = (alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"])
    if not _is_emulated(metric[0], _points(clients, metric, "SampleCount", span, span.period)):
        return "NOT_EMULATED"
    window = timedelta(seconds=alarm["Period"] * alarm["EvaluationPeriods"])
    evaluated = Span(span.end - window, span.end)
    points = _points(clients, metric, alarm["Statistic"], evaluated, alarm["Period"])
    return state(alarm, [value for _, value in points])


def state(alarm: Mapping[str, Any], values: Sequence[float]) -> str:
    """Evaluate an alarm over the values of its evaluation periods, those that are missing left out.

    Returns:
        `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    """
    missing = alarm["TreatMissingData"]
    if not values:
        return _STATE_WITHOUT_DATA.get(missing, "INSUFFICIENT_DATA")
    periods = alarm["EvaluationPeriods"]
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    count = sum(breaches(float(value), float(alarm["Threshold"])) for value in values)
    if missing == "breaching":
        count += max(periods - len(values), 0)
    return "ALARM" if count >= alarm.get("DatapointsToAlarm", periods) else "OK"
