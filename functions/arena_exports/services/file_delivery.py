"""Try to deliver one file, and decide what a failure means for it and for all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.domain.deliveries import FINAL_CODES, MAX_REDIRECTS, REDIRECTED
from arena_exports.domain.errors import (
    ArenaAnswerError,
    ArenaError,
    IncompleteFileError,
    RequestNotCompletedError,
    RetryLaterError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.arena.files import ArenaFiles
    from arena_exports.domain.deliveries import Delivery, DeliveryLane, FileRecord, StoredFile
    from arena_exports.ports import Clock, Telemetry
    from arena_exports.services.transfer import Transfer

    State = tuple[FileRecord, DeliveryLane]

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_HTTP_FORBIDDEN = 403
_CODE_NO_ACCESS = 3024


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDelivery:
    """Tries files."""

    files: ArenaFiles
    transfer: Transfer
    clock: Clock
    telemetry: Telemetry

    def attempt(
        self,
        delivery: Delivery,
        record: FileRecord,
        lane: DeliveryLane,
        check: Callable[[], object],
    ) -> State:
        """Try one file; return its new state, and that of the lease on downloads.

        Raises:
            RetryLaterError: nothing was sent.
            BucketError: the bucket did not store it; as `ObjectConflictError`: it may have.
            TransferStoppedError: raised by `check`.
        """
        began = self.clock.now()
        try:
            stored = self.transfer.fetch(delivery, record, check)
        except RetryLaterError:
            raise
        except ArenaError as exc:
            return self._failed(delivery, record, lane, exc)
        now = self.clock.now()
        self._report(delivery, record, stored, now - began)
        return replace(record, stored=stored), lane.delivered(now)

    def _report(
        self, delivery: Delivery, record: FileRecord, stored: StoredFile, seconds: float
    ) -> None:
        self.telemetry.count("FilesDelivered")
        self.telemetry.count("BytesDelivered", stored.size)
        self.telemetry.seconds("TransferSeconds", seconds)
        self.telemetry.info(
            "file delivered",
            runGuid=delivery.run_guid,
            fileGuid=record.guid,
            key=stored.key,
            size=stored.size,
            seconds=round(seconds, 3),
        )

    def _failed(
        self, delivery: Delivery, record: FileRecord, lane: DeliveryLane, exc: ArenaError
    ) -> State:
        changed, after = self._after(delivery, record, lane, exc)
        changed = changed.given_up(self.clock.now(), lane.delivered_at)
        self.telemetry.warn(
            "file not delivered",
            runGuid=delivery.run_guid,
            fileGuid=record.guid,
            error=str(exc),
            undeliverable=changed.error_code or None,
        )
        return changed, after

    def _after(
        self, delivery: Delivery, record: FileRecord, lane: DeliveryLane, exc: ArenaError
    ) -> State:
        """Return the states after an error; the most specific case comes first."""
        now = self.clock.now()
        match exc:
            case IncompleteFileError():
                known = replace(record, length=exc.length, size=exc.size or record.size)
                return known.answered_about(now), lane.failed(record.guid, now)
            case RequestNotCompletedError() if exc.status in _REDIRECT:
                return self._redirected(delivery, record, lane)
            case RequestNotCompletedError() if exc.status not in _SUCCESS:
                return record.failed(now), lane.failed(record.guid, now)
            case ArenaAnswerError() if exc.status == _HTTP_FORBIDDEN or exc.code == _CODE_NO_ACCESS:
                return record.failed(now), self._blocked(lane)
            case ArenaAnswerError() if exc.code in FINAL_CODES:
                return record.refused(str(exc.code), exc.arena_message, now), lane
        return record.answered_about(now), lane.failed(record.guid, now)

    def _redirected(self, delivery: Delivery, record: FileRecord, lane: DeliveryLane) -> State:
        """Handle a redirect: it may be of the file itself, or a sign that the session has ended."""
        session = self.files.session_version()
        try:
            self.files.size(delivery, record.guid)
        except ArenaError:
            return record.failed(self.clock.now()), self._blocked(lane)
        now = self.clock.now()
        if self.files.session_version() != session:  # the session may have caused the redirect
            return record.failed(now), lane.failed(record.guid, now)
        record = record.redirected(now)
        if record.redirects < MAX_REDIRECTS:
            return record, lane.failed(record.guid, now)
        message = "Arena redirects the download, and redirects are never followed"
        return record.undeliverable(REDIRECTED, message), lane

    def _blocked(self, lane: DeliveryLane) -> DeliveryLane:
        """Make all deliveries wait, with an alarm, for a cause that concerns every file."""
        self.telemetry.count("DeliveryBlocked")
        return lane.blocked(self.clock.now())
