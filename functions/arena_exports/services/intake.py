"""Record the messages of a batch: from then on they are safe, whatever Arena does.

Valid messages are recorded first, then invalid ones are refused. If that fails or time runs out,
a message is redelivered after a minute, then after twice as long each time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from arena_exports.domain.errors import (
    ConditionFailedError,
    InvalidMessageError,
    LedgerUnavailableError,
    MessagingError,
)
from arena_exports.domain.messages import IntakeRules, parse_message
from arena_exports.ledger.pages import transactions
from arena_exports.services.rejections import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arena_exports.domain.deadline import Deadline
    from arena_exports.domain.model import ExportRequest
    from arena_exports.ledger.requests import RequestStore
    from arena_exports.ports import Clock, InParallel, IntakeQueue, Telemetry
    from arena_exports.services.rejections import Rejections

FIRST_REDELIVERY_SECONDS = 60
MAX_REDELIVERY_SECONDS = 1020  # the queue's visibility timeout
MIN_JITTER = 0.8  # of the seconds above
# A write, an event and a dead letter each time out after 20 s, and a refusal is an event and a dead
# letter.
SECONDS_FOR_A_CALL = 45
SECONDS_FOR_A_CHANGE = 10  # of visibility: its client waits no longer than that

_TRIES = 3
_RETRY_BASE_SECONDS = 0.2
_MAX_SENDER = 300  # characters of an ARN; anyone who may send can set the attribute
_MAX_DIGITS = 14  # of milliseconds, until the year 5138


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Turns SQS records into recorded requests."""

    requests: RequestStore
    rejections: Rejections
    queue: IntakeQueue
    rules: IntakeRules
    in_parallel: InParallel
    clock: Clock
    telemetry: Telemetry

    def record(self, records: Sequence[Mapping[str, Any]], deadline: Deadline) -> list[str]:
        """Record a batch, and return the ids of the messages that SQS must redeliver.

        Args:
            records: of an SQS event: `messageId`, `body`, `receiptHandle`, and in `attributes`, as
                text, `SentTimestamp` (epoch milliseconds) and `ApproximateReceiveCount`. The last
                three may be missing.
            deadline: when the function must be done.
        """
        # Those received most often go first: SQS would give them up next.
        oldest_first = sorted(records, key=_receives, reverse=True)
        self._report_senders(records)
        requests, refusals = self._read(oldest_first)
        failed: list[str] = [
            request.request_id
            for bundle in transactions(requests)
            if not self._record(bundle, deadline)
            for request in bundle
        ]
        failed += self._refuse(refusals, deadline)
        again = set(failed)
        self._redeliver_sooner([r for r in records if r["messageId"] in again], deadline)
        return failed

    def _read(
        self, records: Sequence[Mapping[str, Any]]
    ) -> tuple[list[ExportRequest], list[Refusal]]:
        requests: dict[str, ExportRequest] = {}
        refusals: dict[str, Refusal] = {}
        for record in records:
            request_id, body = record["messageId"], record["body"]
            try:
                request = parse_message(request_id, body, self.rules)
            except InvalidMessageError as exc:
                refusals[request_id] = Refusal(request_id, body, exc, self._sent_at(record))
            else:
                if request is not None:
                    requests[request_id] = request
        return list(requests.values()), list(refusals.values())

    def _report_senders(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log who sent messages with the operator's command, which names them in an attribute."""
        for record in records:
            attribute = (record.get("messageAttributes") or {}).get("sentBy") or {}
            if sent_by := str(attribute.get("stringValue") or "")[:_MAX_SENDER]:
                self.telemetry.info(
                    "operator sent message", requestId=record["messageId"], sentBy=sent_by
                )

    def _sent_at(self, record: Mapping[str, Any]) -> float:
        """Return when a message was sent, or now if the record does not say."""
        milliseconds = _number(record, "SentTimestamp")
        return self.clock.now() if milliseconds is None else milliseconds / 1000

    def _record(self, bundle: list[ExportRequest], deadline: Deadline) -> bool:
        """Record a bundle with a few tries; return whether it is recorded."""
        for attempt in range(_TRIES):
            if not deadline.allows(SECONDS_FOR_A_CALL, self.clock.now()):
                break
            try:
                recorded = self.requests.record(bundle)
            except (LedgerUnavailableError, ConditionFailedError) as exc:
                self.telemetry.warn("ledger did not record", error=str(exc), requests=len(bundle))
                self.clock.sleep(self.clock.jitter() * _RETRY_BASE_SECONDS * 2**attempt)
            else:
                self._report(recorded)
                return True
        return False

    def _refuse(self, refusals: Sequence[Refusal], deadline: Deadline) -> list[str]:
        """Deliver refusals, several at a time; return the ids of those that failed."""

        def deliver(refusal: Refusal) -> str | None:
            refuse = partial(self.rejections.refuse, refusal)
            return self._problem(refuse, deadline, SECONDS_FOR_A_CALL)

        failed: list[str] = []
        reasons: Counter[str] = Counter()
        for refusal, reason in zip(refusals, self.in_parallel(deliver, refusals), strict=True):
            if reason is None:
                self.rejections.report_refusal(refusal)
            else:
                failed.append(refusal.request_id)
                reasons[reason] += 1
        for reason, messages in reasons.items():
            self.telemetry.warn("refusals not delivered", error=reason, messages=messages)
        return failed

    def _redeliver_sooner(self, records: Sequence[Mapping[str, Any]], deadline: Deadline) -> None:
        """Make the queue redeliver messages before its visibility timeout.

        If that fails, they are redelivered after the timeout.
        """
        waits = [
            (record["receiptHandle"], redelivery_seconds(_receives(record), self.clock.jitter()))
            for record in records
            if record.get("receiptHandle")
        ]

        def change(wait: tuple[str, int]) -> str | None:
            change_visibility = partial(self.queue.change_visibility, *wait)
            return self._problem(change_visibility, deadline, SECONDS_FOR_A_CHANGE)

        for reason, messages in Counter(self.in_parallel(change, waits)).items():
            if reason is not None:
                self.telemetry.debug("visibility not changed", error=reason, messages=messages)

    def _problem(self, call: Callable[[], None], deadline: Deadline, seconds: float) -> str | None:
        """Make a call if `seconds` are left; return why it was not made or failed, or None."""
        if not deadline.allows(seconds, self.clock.now()):
            return "no time left"
        try:
            call()
        except MessagingError as exc:
            return str(exc)
        return None

    def _report(self, recorded: Sequence[ExportRequest]) -> None:
        self.telemetry.count("RequestsRecorded", len(recorded))
        for request in recorded:
            self.telemetry.info(
                "request recorded",
                requestId=request.request_id,
                correlationId=request.correlation_id,
                exportGuid=request.group.export_guid,
                items=len(request.item_guids),
            )


def redelivery_seconds(receives: int, jitter: float) -> int:
    """Return after how many seconds to redeliver a message that was received `receives` times.

    A minute, twice as long after each receive, up to the visibility timeout; `jitter` from 0 to 1
    takes up to a fifth off. Ten receives (`maxReceiveCount`) take at least 79 minutes.
    """
    doublings = min(receives - 1, MAX_REDELIVERY_SECONDS.bit_length())
    seconds = min(FIRST_REDELIVERY_SECONDS << doublings, MAX_REDELIVERY_SECONDS)
    return round(seconds * (MIN_JITTER + (1 - MIN_JITTER) * jitter))


def _receives(record: Mapping[str, Any]) -> int:
    """Return how often a message was received, including this time."""
    return _number(record, "ApproximateReceiveCount") or 1


def _number(record: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number among a record's attributes; None if it is missing or invalid."""
    text = str((record.get("attributes") or {}).get(name))
    digits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if digits else None
