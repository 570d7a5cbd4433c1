"""A bucket in memory, with S3's conditions and limits on what deliver does."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arena_exports.domain.errors import BucketError, ObjectConflictError
from arena_exports.ports import Upload
from tests.support.fakes import Interceptable
from tests.support.schemas import validate_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_KEY_BYTES = 1024


@dataclass
class StoredObject:
    """An object."""

    body: bytes
    content_type: str
    version_id: str


@dataclass
class InMemoryBucket(Interceptable):
    """Fulfils `ports.Bucket`."""

    name: str = "bucket"
    prefix: str = "arena"
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    versions: int = 0
    min_part_bytes: int = MIN_PART_BYTES

    def keys(self, folder: str) -> list[str]:
        """Return the keys of the objects in a folder, in order."""
        return sorted(key for key in self.objects if key.startswith(folder))

    def put(self, key: str, body: bytes | bytearray, content_type: str) -> str | None:
        """Create an object."""
        return self._create(key, bytes(body), content_type)

    def begin(self, key: str, content_type: str) -> Upload:
        """Open a multipart upload."""
        self.versions += 1
        upload = Upload(key, f"{content_type}#{self.versions}#{key}")
        self.uploads[upload.upload_id] = {}
        return upload

    def put_part(
        self, upload: Upload, number: int, body: bytes | bytearray
    ) -> Mapping[str, object]:
        """Keep a part."""
        self._parts(upload)[number] = bytes(body)
        return {"PartNumber": number, "ETag": hashlib.sha256(body).hexdigest()}

    def complete(
        self, upload: Upload, parts: Sequence[Mapping[str, object]], size: int
    ) -> str | None:
        """Create an object of the parts."""
        kept = self._parts(upload)
        bodies = [kept[int(str(part["PartNumber"]))] for part in parts]
        etags = [hashlib.sha256(body).hexdigest() for body in bodies]
        assert etags == [part["ETag"] for part in parts], "a part is another one"
        assert all(len(body) >= self.min_part_bytes for body in bodies[:-1]), "EntityTooSmall"
        body = b"".join(bodies)
        assert len(body) == size, "the size is another one"
        version = self._create(upload.key, body, upload.upload_id.partition("#")[0])
        del self.uploads[upload.upload_id]
        return version

    def abort(self, upload: Upload) -> None:
        """Abort a multipart upload."""
        self.uploads.pop(upload.upload_id, None)

    def abort_all(self, folder: str) -> None:
        """Abort the multipart uploads that are open in a folder."""
        for upload_id in list(self.uploads):
            if upload_id.split("#", 2)[2].startswith(folder):
                del self.uploads[upload_id]

    @contextmanager
    def read(self, key: str) -> Iterator[_Body]:
        """Return an object."""
        if key not in self.objects:
            raise BucketError("get_object: NoSuchKey")
        yield _Body(self.objects[key])

    def _parts(self, upload: Upload) -> dict[int, bytes]:
        if upload.upload_id not in self.uploads:
            raise ObjectConflictError("NoSuchUpload")
        return self.uploads[upload.upload_id]

    def _create(self, key: str, body: bytes, content_type: str) -> str:
        assert 0 < len(key.encode()) <= MAX_KEY_BYTES, "KeyTooLongError"
        assert key.startswith(f"{self.prefix}/v1/"), "AccessDenied"
        if key in self.objects:
            raise ObjectConflictError("PreconditionFailed")
        if "/manifest" in key:
            validate_manifest(body)
        self.versions += 1
        self.objects[key] = StoredObject(body, content_type, f"version-{self.versions}")
        return f"version-{self.versions}"


class _Body:
    """Fulfils `ports.ObjectBody`."""

    def __init__(self, stored: StoredObject) -> None:
        self.version_id: str | None = stored.version_id
        self._left = memoryview(stored.body)

    def read(self, size: int) -> bytes:
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)
