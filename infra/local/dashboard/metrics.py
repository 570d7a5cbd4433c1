"""Bring metrics to the embedded CloudWatch: it makes none of log lines, and measures no queue."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from infra.local.logs import function_lines
from infra.local.stack import Stack

SAMPLE_SECONDS = 1.0
_EMBEDDED = '{"_aws"'
_DEPTHS = {
    "ApproximateNumberOfMessagesVisible": "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
}
"""AWS's metrics of a queue, and the attributes that tell the same."""


def post_logged(stack: Stack) -> None:
    """Post what the functions have counted into their logs, as CloudWatch does by itself."""
    for logical_id, group in stack.resources.items():
        if logical_id.endswith("LogGroup"):
            for namespace, data in embedded(function_lines(stack.clients, group)):
                stack.clients.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)


def embedded(lines: Iterable[str]) -> Iterator[tuple[str, list[Any]]]:
    """Read lines in embedded metric format: for each its namespaces, and the data to be posted."""
    for line in lines:
        if not line.startswith(_EMBEDDED):
            continue
        record = json.loads(line)
        at = datetime.fromtimestamp(record["_aws"]["Timestamp"] / 1000, UTC)
        for directive in record["_aws"]["CloudWatchMetrics"]:
            yield directive["Namespace"], list(_data(record, directive, at))


def _data(record: dict[str, Any], directive: dict[str, Any], at: datetime) -> Iterator[Any]:
    for names in directive["Dimensions"]:
        dimensions = [{"Name": name, "Value": record[name]} for name in names]
        for metric in directive["Metrics"]:
            values = record[metric["Name"]]
            yield {
                "MetricName": metric["Name"],
                "Unit": metric["Unit"],
                "Dimensions": dimensions,
                "Timestamp": at,
                "Values": values if isinstance(values, list) else [values],
            }


@contextmanager
def queues_measured(stack: Stack) -> Iterator[None]:
    """Measure the depth of the stack's queues for as long as the block lasts."""
    over = threading.Event()
    urls = [url for logical_id, url in stack.resources.items() if logical_id.endswith("Queue")]

    def measure() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for url in urls:
                _measure_queue(stack, url)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _measure_queue(stack: Stack, url: str) -> None:
    names = list(_DEPTHS.values())
    sqs: Any = stack.clients.sqs  # whose stubs want each name spelt out
    depths = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    dimensions = [{"Name": "QueueName", "Value": url.rpartition("/")[2]}]
    data: Any = [
        {"MetricName": metric, "Dimensions": dimensions, "Value": int(depths[name])}
        for metric, name in _DEPTHS.items()
    ]
    stack.clients.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=data)
