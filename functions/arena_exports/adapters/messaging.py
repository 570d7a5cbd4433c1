"""The outcome topic (SNS) and the dead-letter queue (SQS): sent in batches, what was refused is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arena_exports.ports import Clock, DeadLetter, Event

_MOST_ENTRIES = 10
_MOST_TOPIC_BYTES = 256 * 1024
_MOST_QUEUE_BYTES = 1024 * 1024
_TRIES = 4
_FIRST_RETRY_SECONDS = 0.2
_STRING = "String"

Entry = dict[str, Any]


class SnsTopic:
    """Fulfils `ports.Topic`."""

    def __init__(self, client: Any, arn: str, clock: Clock) -> None:  # noqa: ANN401 - boto3 clients have no static type
        self._client = client
        self._arn = arn
        self._clock = clock

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in order."""
        entries = [
            {
                "Message": event.body,
                "MessageAttributes": {
                    name: {"DataType": _STRING, "StringValue": value}
                    for name, value in event.attributes.items()
                },
            }
            for event in events
        ]

        def send(batch: list[Entry]) -> Any:  # noqa: ANN401 - a boto3 answer
            return self._client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=batch)

        for batch in _batches(entries, "Message", _MOST_TOPIC_BYTES):
            _send_all(batch, send, self._clock, "topic")


class SqsDeadLetterQueue:
    """Fulfils `ports.DeadLetterQueue`."""

    def __init__(self, client: Any, url: str, clock: Clock) -> None:  # noqa: ANN401 - boto3 clients have no static type
        self._client = client
        self._url = url
        self._clock = clock

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send all."""
        entries = [
            {
                "MessageBody": letter.body,
                "MessageAttributes": {
                    "requestId": {"DataType": _STRING, "StringValue": letter.request_id},
                    "errorCode": {"DataType": _STRING, "StringValue": letter.error_code},
                    "errorMessage": {
                        "DataType": _STRING,
                        "StringValue": letter.error_message or "-",
                    },
                },
            }
            for letter in letters
        ]

        def send(batch: list[Entry]) -> Any:  # noqa: ANN401 - a boto3 answer
            return self._client.send_message_batch(QueueUrl=self._url, Entries=batch)

        for batch in _batches(entries, "MessageBody", _MOST_QUEUE_BYTES):
            _send_all(batch, send, self._clock, "dead-letter queue")


def _batches(entries: Sequence[Entry], body: str, most_bytes: int) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    used = 0
    for entry in entries:
        size = len(entry[body].encode()) + sum(
            len((name + value["DataType"] + value["StringValue"]).encode())
            for name, value in entry["MessageAttributes"].items()
        )
        if batch and (len(batch) == _MOST_ENTRIES or used + size > most_bytes):
            yield batch
            batch, used = [], 0
        batch.append({"Id": str(len(batch)), **entry})
        used += size
    if batch:
        yield batch


def _send_all(
    batch: list[Entry], send: Callable[[list[Entry]], Any], clock: Clock, target: str
) -> None:
    """Send a batch; both services answer 200 with a list of what failed, and only that is sent again."""
    left, reason = batch, ""
    for attempt in range(_TRIES):
        try:
            failed = {entry["Id"]: entry.get("Code", "") for entry in send(left).get("Failed", [])}
        except (BotoCoreError, ClientError) as exc:
            failed, reason = {entry["Id"]: "" for entry in left}, type(exc).__name__
        left = [entry for entry in left if entry["Id"] in failed]
        if not left:
            return
        reason = " ".join(sorted({code for code in failed.values() if code})) or reason
        clock.sleep(clock.jitter() * _FIRST_RETRY_SECONDS * 2**attempt)
    message = f"the {target} did not accept {len(left)} of {len(batch)} messages ({reason})"
    raise DeliveryError(message)
