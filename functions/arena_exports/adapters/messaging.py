"""The outcome topic (SNS), the intake queue and the dead-letter queue (SQS).

One call for each message: a batch call costs as much and answers 200 with a list of failures.
Retries are botocore's. Who has many messages sends them page by page, so that a restart goes on
from there, or several at a time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.domain.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena_exports.ports import DeadLetter, Event

T = TypeVar("T")
R = TypeVar("R")

CALLS_AT_ONCE = 10  # as many connections as botocore keeps for a client


def in_parallel(work: Callable[[T], R], values: Iterable[T], /) -> Iterator[R]:
    """Fulfil `ports.InParallel` with threads, which AWS clients may share."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        yield from threads.map(work, values)


class SnsTopic:
    """Fulfils `ports.Topic`."""

    def __init__(self, client: Any, arn: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._arn = arn

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in order."""
        for event in events:
            attributes = _attributes(event.attributes)
            try:
                self._client.publish(
                    TopicArn=self._arn, Message=event.body, MessageAttributes=attributes
                )
            except (BotoCoreError, ClientError) as exc:
                raise _delivery_error("topic", exc) from exc


class SqsDeadLetterQueue:
    """Fulfils `ports.DeadLetterQueue`."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._url = url

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send all."""
        for letter in letters:
            attributes = _attributes(letter.attributes)
            try:
                self._client.send_message(
                    QueueUrl=self._url, MessageBody=letter.body, MessageAttributes=attributes
                )
            except (BotoCoreError, ClientError) as exc:
                raise _delivery_error("dead-letter queue", exc) from exc


class SqsIntakeQueue:
    """Fulfils `ports.IntakeQueue`."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        self._client = client
        self._url = url

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Have the queue deliver a message again so many seconds from now."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
        except (BotoCoreError, ClientError) as exc:
            raise _delivery_error("intake queue", exc) from exc


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _delivery_error(target: str, exc: Exception) -> DeliveryError:
    code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
    return DeliveryError(f"the {target} did not accept a message ({code})")
