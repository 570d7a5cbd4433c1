"""The outcome topic (SNS), the intake queue and the dead-letter queue (SQS).

One call for each message: a batch call costs as much, and answers 200 with a list of failures.
botocore retries. Callers with many messages send them page by page, so that a retry resumes after
the last page, or several at a time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from arena_exports.adapters.aws_errors import AWS_ERRORS, error_code
from arena_exports.domain.errors import MessagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena_exports.ports import DeadLetter, Event

T = TypeVar("T")
R = TypeVar("R")

CALLS_AT_ONCE = 10  # as many connections as botocore keeps for a client


def in_parallel(work: Callable[[T], R], values: Iterable[T], /) -> Iterator[R]:
    """Implement `ports.InParallel` with threads, which AWS clients may share."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        yield from threads.map(work, values)


class SnsTopic:
    """Implements `ports.Topic`."""

    def __init__(self, client: Any, arn: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._arn = arn

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in order."""
        for event in events:
            attributes = _attributes(event.attributes)
            with _delivery_errors("topic"):
                self._client.publish(
                    TopicArn=self._arn, Message=event.body, MessageAttributes=attributes
                )


class SqsDeadLetterQueue:
    """Implements `ports.DeadLetterQueue`."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._url = url

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send all."""
        for letter in letters:
            attributes = _attributes(letter.attributes)
            with _delivery_errors("dead-letter queue"):
                self._client.send_message(
                    QueueUrl=self._url, MessageBody=letter.body, MessageAttributes=attributes
                )


class SqsIntakeQueue:
    """Implements `ports.IntakeQueue`."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._url = url

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Make the queue redeliver a message after a number of seconds."""
        with _delivery_errors("intake queue"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


@contextmanager
def _delivery_errors(target: str) -> Iterator[None]:
    try:
        yield
    except AWS_ERRORS as exc:
        message = f"the {target} did not accept a message ({error_code(exc)})"
        raise MessagingError(message) from exc
