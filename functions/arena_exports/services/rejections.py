"""Tell the outside that items are rejected or given up: the event first, then the dead letter.

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
    from arena_exports.ports import Clock, DeadLetterQueue, Telemetry, Topic

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
    """The topic and the dead-letter queue, in their order."""

    topic: Topic
    dead_letters: DeadLetterQueue
    clock: Clock
    telemetry: Telemetry
    workspace: str

    def refuse(self, refusal: Refusal) -> None:
        """Publish the event, then send the message's own body to the dead-letter queue.

        An event of ours that came back leads to no other event. Several threads may call this at
        once; `report_refusal` follows in one.

        Raises:
            DeliveryError: the event, or the entry behind it, could not be delivered.
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
        self._count(1)
        self._tell(
            refusal.request_id, error.correlation_id, error.export_guid, error.code, str(error)
        )

    def reject(self, group: Group, entries: Sequence[Entry], code: str, message: str) -> None:
        """Say for each request that these items of it can never be exported.

        Raises:
            DeliveryError: not everything could be delivered; saying it again makes doubles with the
                same ids.
        """
        now = self.clock.now()
        rejections = [
            Rejection(
                self.workspace,
                group.export_guid,
                e.request_id,
                e.correlation_id,
                e.item_guids,
                code,
                message,
                now,
            )
            for e in entries
        ]
        self.topic.publish(
            [event for rejection in rejections for event in rejection_events(rejection)]
        )
        self.dead_letter(group, entries, code, message)

    def dead_letter(self, group: Group, entries: Sequence[Entry], code: str, message: str) -> None:
        """Put the items of each request on the dead-letter queue, in a form that can be sent again.

        Raises:
            DeliveryError: not everything could be delivered.
        """
        letters = [
            DeadLetter(body, entry.request_id, code, message)
            for entry in entries
            for body in _bodies(group, entry)
        ]
        self.dead_letters.send(letters)
        self._count(len(letters))
        for entry in entries:
            self._tell(entry.request_id, entry.correlation_id, group.export_guid, code, message)

    def _count(self, letters: int) -> None:
        self.telemetry.count("RequestsRejected", letters)

    def _tell(
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
    """Yield full-form bodies with the items of one request, in pieces that fit the queue."""
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
