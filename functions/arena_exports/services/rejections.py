"""Report items that are rejected or given up: the event first, then the dead letter.

README describes both, in "Send" and "Subscribe".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.events import Rejection, rejection_events
from arena_exports.domain.model import Kind, Lane
from arena_exports.ports import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arena_exports.domain.errors import InvalidMessageError
    from arena_exports.domain.model import Entry, Group
    from arena_exports.ports import Clock, DeadLetterQueue, Event, Telemetry, Topic

MAX_LETTER_BYTES = 900_000
_GUID_BYTES = 35  # the longest GUID with quotes and comma


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is refused at intake; `sent_at` is epoch seconds."""

    request_id: str
    body: str
    error: InvalidMessageError
    sent_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """Publishes to the topic, then sends to the dead-letter queue."""

    topic: Topic
    dead_letters: DeadLetterQueue
    clock: Clock
    telemetry: Telemetry
    workspace: str

    def refuse(self, refusal: Refusal) -> None:
        """Publish the event, then send the message's own body to the dead-letter queue.

        One of our own events leads to no other event. Several threads may call this at once;
        `report_refusal` is then called in one thread.

        Raises:
            MessagingError: the event or the dead letter could not be delivered.
        """
        error = refusal.error
        rejection = Rejection(
            workspace=self.workspace,
            export_guid=error.export_guid,
            request_id=refusal.request_id,
            correlation_id=error.correlation_id,
            item_guids=(),
            error_code=error.code,
            error_message=str(error),
            time=refusal.sent_at,
        )
        if not error.is_own_event:
            self.topic.publish(rejection_events(rejection))
        letter = DeadLetter(refusal.body, refusal.request_id, error.code, str(error))
        self.dead_letters.send([letter])

    def report_refusal(self, refusal: Refusal) -> None:
        """Count and log a refusal that was delivered."""
        error = refusal.error
        self.telemetry.count("RequestsRejected")
        self._log(
            refusal.request_id, error.correlation_id, error.export_guid, error.code, str(error)
        )

    def reject(self, group: Group, entries: Sequence[Entry], code: str, message: str) -> None:
        """Report, for each request, which of its items can never be exported.

        Raises:
            MessagingError: not everything could be delivered; a retry repeats the same event ids.
        """
        now = self.clock.now()
        events: list[Event] = []
        for entry in entries:
            rejection = Rejection(
                workspace=self.workspace,
                export_guid=group.export_guid,
                request_id=entry.request_id,
                correlation_id=entry.correlation_id,
                item_guids=entry.item_guids,
                error_code=code,
                error_message=message,
                time=now,
            )
            events += rejection_events(rejection)
        self.topic.publish(events)
        self.dead_letter(group, entries, code, message)

    def dead_letter(self, group: Group, entries: Sequence[Entry], code: str, message: str) -> None:
        """Send the items of each request to the dead-letter queue, as bodies that can be resent.

        Raises:
            MessagingError: not everything could be delivered.
        """
        letters = [
            DeadLetter(body, entry.request_id, code, message)
            for entry in entries
            for body in _bodies(group, entry)
        ]
        self.dead_letters.send(letters)
        self.telemetry.count("RequestsRejected", len(letters))
        for entry in entries:
            self._log(entry.request_id, entry.correlation_id, group.export_guid, code, message)

    def _log(
        self,
        request_id: str,
        correlation_id: str | None,
        export_guid: str | None,
        code: str,
        message: str,
    ) -> None:
        self.telemetry.warn(
            "request rejected",
            requestId=request_id,
            correlationId=correlation_id,
            exportGuid=export_guid,
            errorCode=code,
            errorMessage=message,
        )


def _bodies(group: Group, entry: Entry) -> Iterator[str]:
    """Yield full-form bodies with the items of one request, each small enough for the queue."""
    fixed = {
        "exportGuid": group.export_guid,
        **({"correlationId": entry.correlation_id} if entry.correlation_id else {}),
        **({"priority": Lane.BULK.value} if group.lane is Lane.BULK else {}),
    }
    if group.kind is Kind.DEFINITION:
        yield json.dumps(fixed)
        return
    step = MAX_LETTER_BYTES // _GUID_BYTES
    for start in range(0, len(entry.item_guids), step):
        yield json.dumps({**fixed, "itemGuids": entry.item_guids[start : start + step]})
