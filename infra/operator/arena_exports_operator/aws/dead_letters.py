"""The entries of the dead-letter queue: read without hiding them all, sent again, deleted.

The queue's alarm watches the number of visible messages, so at least one entry stays visible while
the others are being read. If this process is killed, hidden entries become visible again.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports_operator.aws.calls import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HIDDEN_SECONDS = 60
_MAX_IN_A_BATCH = 10
_MAX_EMPTY_ANSWERS = 3
_MAX_MESSAGE_BYTES = 1024 * 1024
_ATTRIBUTES_BYTES = 4096  # an ARN has at most 2,048 characters
_ATTRIBUTES = ["requestId", "errorCode", "errorMessage"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: the body, which can be sent to the intake queue again, and why it is here.

    An entry that SQS itself moved here has no `request_id`, code or message.
    """

    message_id: str
    request_id: str | None
    error_code: str | None
    error_message: str | None
    sent_at: int
    body: str
    handle: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class Entries:
    """What was read; `complete` is False if the queue has more."""

    entries: tuple[Entry, ...]
    complete: bool


class DeadLetters:
    """The dead-letter queue and the intake queue of one stack."""

    def __init__(self, sqs: Any, url: str, intake_url: str) -> None:  # noqa: ANN401 - boto3
        self._sqs = sqs
        self._url = url
        self._intake_url = intake_url

    @contextmanager
    def read(self, limit: int) -> Iterator[Entries]:
        """Yield the entries, about `limit` at most; what was hidden is visible afterwards."""
        hidden: list[Entry] = []
        try:
            yield self._read(limit, hidden)
        finally:
            self._show(hidden)

    def _read(self, limit: int, hidden: list[Entry]) -> Entries:
        found: dict[str, Entry] = {}
        empty = 0
        while len(found) < limit and empty < _MAX_EMPTY_ANSWERS:
            visible = self._visible()
            if not visible:
                return Entries(tuple(found.values()), complete=True)
            if visible == 1:  # the last one stays visible
                received = self._receive(_MAX_IN_A_BATCH, 0)
                found |= {entry.message_id: entry for entry in received}
                return Entries(tuple(found.values()), len(received) >= visible)
            received = self._receive(min(visible - 1, _MAX_IN_A_BATCH), HIDDEN_SECONDS)
            hidden += received
            # What was read a minute ago is visible again, and may be all that comes.
            empty = empty + 1 if found.keys() >= {entry.message_id for entry in received} else 0
            found |= {entry.message_id: entry for entry in received}
        return Entries(tuple(found.values()), complete=False)

    def _visible(self) -> int:
        name = "ApproximateNumberOfMessages"
        with explained():
            answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _receive(self, most: int, hidden_seconds: int) -> list[Entry]:
        """Receive some entries; waiting a second makes SQS query all of its servers."""
        with explained():
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                VisibilityTimeout=hidden_seconds,
                WaitTimeSeconds=1,
                MessageAttributeNames=_ATTRIBUTES,
                AttributeNames=["SentTimestamp"],
            )
        return [_entry(message) for message in answer.get("Messages", [])]

    def _show(self, hidden: Sequence[Entry]) -> None:
        """Make entries visible again; SQS refuses those that were deleted, which is harmless."""
        for start in range(0, len(hidden), _MAX_IN_A_BATCH):
            batch = [
                {"Id": str(n), "ReceiptHandle": entry.handle, "VisibilityTimeout": 0}
                for n, entry in enumerate(hidden[start : start + _MAX_IN_A_BATCH])
            ]
            with explained():
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=batch)

    def redrive(self, entries: Iterable[Entry], caller: str) -> Iterator[tuple[Entry, str]]:
        """Send entries to the intake queue; delete each after it is sent, and yield its new id."""
        for entry in entries:
            with explained():
                sent = self._sqs.send_message(
                    QueueUrl=self._intake_url,
                    MessageBody=entry.body,
                    MessageAttributes=sent_by(caller) if _leaves_room(entry.body) else {},
                )
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=entry.handle)
            yield entry, str(sent["MessageId"])


def sent_by(caller: str) -> dict[str, dict[str, str]]:
    """Return the message attribute that says who sent a message."""
    return {"sentBy": {"DataType": "String", "StringValue": caller}}


def _leaves_room(body: str) -> bool:
    """Return whether attributes fit beside a body: SQS counts both."""
    return len(body.encode()) + _ATTRIBUTES_BYTES <= _MAX_MESSAGE_BYTES


def _entry(message: dict[str, Any]) -> Entry:
    attributes = message.get("MessageAttributes", {})
    request_id, code, text = (attributes.get(n, {}).get("StringValue") for n in _ATTRIBUTES)
    return Entry(
        message_id=message["MessageId"],
        request_id=request_id,
        error_code=code,
        error_message=text,
        sent_at=int(message["Attributes"]["SentTimestamp"]) // 1000,
        body=message["Body"],
        handle=message["ReceiptHandle"],
    )
