"""The formats of export definitions, which tell CSV from other text; each is read only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.errors import ArenaAnswerError, ArenaError, IncompleteFileError

if TYPE_CHECKING:
    from arena_exports.arena.files import ArenaFiles
    from arena_exports.domain.deliveries import Delivery, FileRecord
    from arena_exports.ledger.deliveries import DeliveryStore
    from arena_exports.ports import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormats:
    """Knows the formats of export definitions, which can be neither edited nor deleted."""

    deliveries: DeliveryStore
    files: ArenaFiles
    telemetry: Telemetry

    def known(self, delivery: Delivery) -> str | None:
        """Return a definition's format, "" if Arena gave none; None before it was asked."""
        return self.deliveries.export_format(delivery.export_guid)

    def ask(self, delivery: Delivery, record: FileRecord) -> str:
        """Ask Arena for the format of a definition, and keep it; "" if Arena gives none.

        Raises:
            IncompleteFileError: Arena did not answer; it is asked again when the file is retried.
        """
        try:
            form = self.files.export_format(delivery)
        except ArenaError as exc:
            if record.is_first_try and not isinstance(exc, ArenaAnswerError):
                raise IncompleteFileError(f"its format is not known: {exc}", None) from exc
            self.telemetry.warn(
                "format of an export definition is not known",
                exportGuid=delivery.export_guid,
                error=str(exc),
            )
            form = ""
        self.deliveries.keep_export_format(delivery.export_guid, form)
        return form
