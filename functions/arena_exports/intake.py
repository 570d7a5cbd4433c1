"""Record the messages of a batch: from then on they are safe, whatever Arena does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arena_exports.errors import (
    ConditionFailedError,
    DeliveryError,
    InvalidMessageError,
    LedgerUnavailableError,
)
from arena_exports.messages import IntakeRules, parse_message
from arena_exports.pages import bundles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arena_exports.ledger.requests import RequestBook
    from arena_exports.model import ExportRequest
    from arena_exports.outcomes import Outcomes
    from arena_exports.ports import Clock, Telemetry

_TRIES = 3
_BREATH_SECONDS = 0.2


class Intake:
    """Turns SQS records into recorded requests."""

    def __init__(
        self,
        *,
        requests: RequestBook,
        outcomes: Outcomes,
        rules: IntakeRules,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._requests = requests
        self._outcomes = outcomes
        self._rules = rules
        self._clock = clock
        self._telemetry = telemetry

    def record(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Record a batch, and return the ids of the messages that SQS must deliver again.

        Args:
            records: of an SQS event: `messageId`, `body`, `attributes.SentTimestamp` (epoch
                milliseconds, text).
        """
        failed: list[str] = []
        requests: dict[str, ExportRequest] = {}
        for record in records:
            try:
                request = self._read(record)
            except DeliveryError as exc:
                self._telemetry.warn(
                    "refusal not delivered", requestId=record["messageId"], error=str(exc)
                )
                failed.append(record["messageId"])
            else:
                if request is not None:
                    requests[request.request_id] = request
        for bundle in bundles(requests.values()):
            if not self._record(bundle):
                failed += [request.request_id for request in bundle]
        return failed

    def _read(self, record: Mapping[str, Any]) -> ExportRequest | None:
        request_id, body = record["messageId"], record["body"]
        try:
            return parse_message(request_id, body, self._rules)
        except InvalidMessageError as exc:
            sent_at = int(record["attributes"]["SentTimestamp"]) / 1000
            self._outcomes.refuse_message(request_id, body, exc, sent_at)
            return None

    def _record(self, bundle: list[ExportRequest]) -> bool:
        """Record a bundle with a few tries, and say whether it is safe now."""
        for attempt in range(_TRIES):
            try:
                recorded = self._requests.record(bundle)
            except (LedgerUnavailableError, ConditionFailedError) as exc:
                self._telemetry.warn("ledger did not record", error=str(exc), requests=len(bundle))
                self._clock.sleep(self._clock.jitter() * _BREATH_SECONDS * 2**attempt)
            else:
                self._tell(recorded)
                return True
        return False

    def _tell(self, recorded: Sequence[ExportRequest]) -> None:
        self._telemetry.count("RequestsRecorded", len(recorded))
        for request in recorded:
            self._telemetry.event(
                "request recorded",
                requestId=request.request_id,
                correlationId=request.correlation_id,
                exportGuid=request.group.export_guid,
                items=len(request.item_guids),
            )
