"""Copy one file to the bucket: one GET, streamed in parts, and hashed on the way (R12).

A file is stored whole or not at all. What is in the bucket already wins.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from arena_exports.domain import contents
from arena_exports.domain.contents import HEAD_BYTES, TAIL_BYTES, Edges
from arena_exports.domain.deliveries import StoredFile
from arena_exports.domain.errors import (
    ArenaAnswerError,
    ArenaError,
    BucketError,
    IncompleteFileError,
    RequestNotCompletedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from arena_exports.arena.content import Content
    from arena_exports.arena.files import ArenaFiles
    from arena_exports.domain.deliveries import Delivery, FileRecord
    from arena_exports.ports import Bucket, InBackground, Telemetry, Upload
    from arena_exports.services.export_formats import ExportFormats

    Check = Callable[[], object]

PART_BYTES = 16 * 1024 * 1024  # S3 takes 10,000 parts
MAX_FILE_BYTES = 10_000 * PART_BYTES
MAX_RESUMES = 3
HTTP_OK = 200
HTTP_PARTIAL = 206
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Downloads files into the bucket."""

    files: ArenaFiles
    formats: ExportFormats
    bucket: Bucket
    in_background: InBackground
    telemetry: Telemetry

    def fetch(self, delivery: Delivery, record: FileRecord, check: Check) -> StoredFile:
        """Download a file and store it.

        `check` is called between the pieces; an exception from it stops the transfer.

        Raises:
            RequestNotCompletedError: Arena did not send the file; as `IncompleteFileError`: it sent
                something that is not the whole file.
            ArenaAnswerError: Arena refused it.
            RetryLaterError: nothing was sent.
            BucketError: the bucket did not store it.
        """
        with ExitStack() as stack:
            source = _Source(self.files, delivery, record.guid, stack, check)
            first = source.next_part()
            form = self._format(source, delivery, record)
            if source.is_closed and len(first) == PART_BYTES:
                return self.fetch(delivery, record, check)  # again, as the format is known now
            kind = contents.extension(source.head, source.content_type, form)
            key = f"{self.bucket.prefix}/{delivery.folder}{record.guid}.{kind}"
            content_type = contents.CONTENT_TYPES[kind]

            def make_sure() -> None:
                self._check_whole(source, kind, delivery, record)

            if len(first) < PART_BYTES:
                _refuse_error(first)
                make_sure()
                source.digest.update(first)
                version = self.bucket.put(key, first, content_type)
            else:
                version = self._upload(key, content_type, source, first, make_sure)
            digest, name = source.digest.hexdigest(), contents.file_name(source.content.headers)
            return StoredFile(key, source.length, digest, content_type, name, version)

    def _format(self, source: _Source, delivery: Delivery, record: FileRecord) -> str:
        """Return the definition's format, "" if it does not matter; ask for it if unknown."""
        if not contents.depends_on_format(source.head, source.content_type):
            return ""
        known = self.formats.known(delivery)
        if known is not None:
            return known
        source.close()  # Arena may answer nothing else while it sends a file
        return self.formats.ask(delivery, record)

    def _upload(
        self, key: str, content_type: str, source: _Source, first: bytearray, make_sure: Check
    ) -> str | None:
        upload = self.bucket.begin(key, content_type)
        try:
            parts: list[Mapping[str, object]] = []
            part = first
            while part:
                store = partial(self._store, source, upload, len(parts) + 1, part)
                stored = self.in_background(store)
                try:
                    part = source.next_part()  # while the previous one is hashed and stored
                finally:
                    parts.append(stored())
            make_sure()
            return self.bucket.complete(upload, parts, source.length)
        except Exception:
            with suppress(BucketError):
                self.bucket.abort(upload)
            raise

    def _store(
        self, source: _Source, upload: Upload, number: int, part: bytearray
    ) -> Mapping[str, object]:
        source.digest.update(part)
        return self.bucket.put_part(upload, number, part)

    def _check_whole(
        self, source: _Source, kind: str, delivery: Delivery, record: FileRecord
    ) -> None:
        """Check that a body that has ended is the whole file (CONTRACT §6).

        Raises:
            IncompleteFileError: it is not, as far as is known.
        """
        defect = contents.defect(source.edges, kind) if source.length else "the body is empty"
        if defect:
            raise IncompleteFileError(defect, source.length)
        if source.content.is_delimited:
            return
        size = self._size(source, delivery, record) if record.size is None else record.size
        if size == source.length:
            return
        if record.length != source.length:
            raise IncompleteFileError("length differs from metadata", source.length, size)
        self.telemetry.warn(
            "file length differs from its metadata", file=record.guid, length=source.length
        )

    def _size(self, source: _Source, delivery: Delivery, record: FileRecord) -> int | None:
        """Return the size in the metadata; None if Arena gives none, which proves nothing.

        Raises:
            IncompleteFileError: it is not known yet.
        """
        source.close()  # Arena may answer nothing else while it sends a file
        try:
            return self.files.size(delivery, record.guid)
        except ArenaAnswerError as exc:
            self.telemetry.warn("no metadata of a file", file=record.guid, error=str(exc))
            return None
        except ArenaError as exc:
            raise IncompleteFileError(f"its size is not known: {exc}", source.length) from exc

    def read_back(self, key: str, check: Check) -> StoredFile:
        """Return the size and hash of an object in the bucket.

        Raises:
            BucketError: the bucket did not send it.
        """
        digest, size = hashlib.sha256(), 0
        with self.bucket.read(key) as body:
            while piece := body.read(_PIECE_BYTES):
                check()
                digest.update(piece)
                size += len(piece)
            content_type = contents.CONTENT_TYPES.get(key.rpartition(".")[2], "")
            return StoredFile(
                key, size, digest.hexdigest(), content_type, version_id=body.version_id
            )


def _refuse_error(body: bytearray) -> None:
    if contents.is_error(body):
        raise IncompleteFileError("the body is an Arena error", len(body))


class _Source:
    """The bytes of a file, part by part; a body that is cut off is resumed if that is safe."""

    def __init__(
        self, files: ArenaFiles, delivery: Delivery, guid: str, stack: ExitStack, check: Check
    ) -> None:
        self._open: Callable[[Mapping[str, str] | None], Content] = lambda resume: (
            stack.enter_context(files.open(delivery, guid, check, resume))
        )
        self._stack = stack
        self.is_closed = False
        self._files = files
        self._resumes = MAX_RESUMES
        self._resumed_at = 0
        self._tail = b""
        self._spare: bytearray | None = None
        self._last: bytearray | None = None
        self.content = self._open(None)
        self.head = self.content.head
        self.content_type = self.content.headers.get("content-type", "")
        self.digest = hashlib.sha256()
        self.length = 0
        if self.content.status != HTTP_OK:  # 202: not ready; 206: a part that was not requested
            raise IncompleteFileError(f"the answer has status {self.content.status}", None)
        if contents.is_page(self.head, self.content_type):
            raise IncompleteFileError("the body is a web page", None)

    def close(self) -> None:
        """End the download; what was read is kept."""
        self._stack.close()
        self.is_closed = True

    @property
    def edges(self) -> Edges:
        """Return the first and last bytes of what was read."""
        return Edges(self.head[:HEAD_BYTES], self._tail)

    def next_part(self) -> bytearray:
        """Return the next `PART_BYTES`; fewer at the end.

        Two buffers alternate: the second call after this one overwrites what this one returns.

        Raises:
            RequestNotCompletedError: the body was cut off.
        """
        part = bytearray(PART_BYTES) if self._spare is None else self._spare
        self._spare, self._last = self._last, part
        filled = 0
        while filled < PART_BYTES and (piece := self._piece(PART_BYTES - filled)):
            part[filled : filled + len(piece)] = piece
            filled += len(piece)
        del part[filled:]
        self._tail = (self._tail + part[-TAIL_BYTES:])[-TAIL_BYTES:]
        return part

    def _piece(self, size: int) -> bytes:
        try:
            piece = self.content.read(min(size, _PIECE_BYTES))
        except RequestNotCompletedError as exc:
            self._resume(exc)
            return self._piece(size)
        self.length += len(piece)
        if self.length > MAX_FILE_BYTES:
            raise IncompleteFileError("the file is too large for S3", None)
        return piece

    def _resume(self, cut_off: RequestNotCompletedError) -> None:
        """Ask for the rest of a body that was cut off, with `If-Range` and a strong `ETag`.

        Raises:
            RequestNotCompletedError: `cut_off`, if the body cannot be resumed safely.
        """
        etag = self.content.headers.get("etag", "")
        progress = self.length - self._resumed_at >= PART_BYTES
        if not (self._resumes and progress and etag.startswith('"') and not self.content.is_coded):
            raise cut_off
        if self._files.wait_seconds(first_try=False):
            raise cut_off  # further requests for a file keep the reserve, as retries do
        self._resumes -= 1
        self._resumed_at = self.length
        try:
            rest = self._open({"Range": f"bytes={self.length}-", "If-Range": etag})
        except ArenaError:
            raise cut_off from None  # it says nothing about the file
        begins = rest.headers.get("content-range", "").startswith(f"bytes {self.length}-")
        same = rest.headers.get("etag") == etag and not rest.is_coded
        if not (rest.status == HTTP_PARTIAL and begins and same):
            raise cut_off
        self.content = rest
