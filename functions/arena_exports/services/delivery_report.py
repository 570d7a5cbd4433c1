"""Report a delivery whose files all have an outcome: the manifest, then the event made from it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.errors import BucketError, ObjectConflictError
from arena_exports.domain.events import WrittenManifest, delivery_events
from arena_exports.domain.manifests import manifest_bytes, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.deliveries import Delivery, FileRecord
    from arena_exports.domain.model import Entry
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Bucket, Clock, Event, Telemetry, Topic

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """Writes manifests and publishes events."""

    ledger: Ledger
    bucket: Bucket
    topic: Topic
    clock: Clock
    telemetry: Telemetry

    def manifest_key(self, delivery: Delivery) -> str:
        """Return the key of a delivery's manifest."""
        return f"{self.bucket.prefix}/{delivery.folder}{delivery.manifest_name}"

    def write(self, delivery: Delivery, files: Sequence[FileRecord]) -> None:
        """Write the manifest, unless it exists, and publish what it says.

        Raises:
            BucketError: the bucket refused.
            MessagingError: not everything was published; repeating it publishes the same.
            ValueError: the object there is not the manifest of this delivery.
        """
        body = manifest_bytes(delivery, files, self._entries(delivery), self.clock.now())
        with suppress(ObjectConflictError):  # the existing one is read
            self.bucket.put(self.manifest_key(delivery), body, "application/json")
            if delivery.files_without_guid:
                self.telemetry.count("FilesUndeliverable", delivery.files_without_guid)
        self.publish(delivery)

    def publish(self, delivery: Delivery) -> None:
        """Publish what the manifest in the bucket says, and close the delivery.

        Raises:
            BucketError, MessagingError, ValueError: as for `write`.
        """
        key = self.manifest_key(delivery)
        body = self._read(key)
        content = read_manifest(body, delivery)
        digest = hashlib.sha256(body).hexdigest()
        manifest = WrittenManifest(content, self.bucket.name, key, digest)
        self.topic.publish(self._events(delivery, manifest))
        self._abort_uploads(delivery)
        complete = bool(content["complete"])
        self.ledger.deliveries.finish(delivery, self.bucket.name, key, complete=complete)
        self.telemetry.count("RunsDelivered" if complete else "RunsUndelivered")
        self.telemetry.info(
            "run delivered" if complete else "run delivered in part",
            runGuid=delivery.run_guid,
            exportGuid=delivery.export_guid,
            delivery=delivery.number,
            files=len(content["files"]),
            undeliverable=len(content["undeliverable"]),
            manifest=key,
            secondsAfterSettling=int(self.clock.now()) - delivery.settled_at,
        )

    def _events(self, delivery: Delivery, manifest: WrittenManifest) -> list[Event]:
        open_counts = self.ledger.deliveries.open_counts(delivery.attempt_id)
        try:
            return delivery_events(manifest, open_counts)
        except (LookupError, TypeError, AttributeError) as exc:
            message = f"the manifest lacks what its event needs: {exc}"
            raise ValueError(message) from exc

    def _abort_uploads(self, delivery: Delivery) -> None:
        """Abort uploads of dead copies; if that is forbidden, a lifecycle rule does it."""
        try:
            self.bucket.abort_all(f"{self.bucket.prefix}/{delivery.folder}")
        except BucketError as exc:
            self.telemetry.warn("uploads not aborted", runGuid=delivery.run_guid, error=str(exc))

    def _read(self, key: str) -> bytes:
        pieces = []
        with self.bucket.read(key) as body:
            while piece := body.read(_PIECE_BYTES):
                pieces.append(piece)
        return b"".join(pieces)

    def _entries(self, delivery: Delivery) -> Sequence[Entry]:
        """Return what the run carried; nothing if that has expired in the ledger."""
        try:
            attempt = self.ledger.attempts.get(delivery.attempt_id)
            return self.ledger.selection(attempt).entries
        except KeyError:
            return ()
