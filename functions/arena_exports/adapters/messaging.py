"""The outcome topic (SNS) and the dead-letter queue (SQS).

One call for each message: a batch call costs as much and answers 200 with a list of failures.
Retries are botocore's. Who has many messages sends them page by page, so that a restart goes on
from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arena_exports.ports import DeadLetter, Event


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


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _delivery_error(target: str, exc: Exception) -> DeliveryError:
    code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
    return DeliveryError(f"the {target} did not accept a message ({code})")
