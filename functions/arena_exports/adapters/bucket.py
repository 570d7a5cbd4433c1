"""The bucket for delivered files, in S3.

Each call names the account that must own the bucket, so a bucket of the same name that belongs to
another account is refused.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError

from arena_exports.adapters.aws_errors import AWS_ERRORS, error_code
from arena_exports.domain.errors import BucketError, ObjectConflictError
from arena_exports.ports import Upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arena_exports.ports import ObjectBody

# Another write to the key is in progress, or the object exists.
_CONFLICTS = frozenset({409, 412})


class S3Bucket:
    """Implements `ports.Bucket`; botocore retries calls that are throttled or get no answer."""

    def __init__(self, client: Any, name: str, prefix: str, owner: str, key_arn: str) -> None:  # noqa: ANN401 - boto3 clients have no type
        """Take the account that owns the bucket, and the KMS key for objects ("": SSE-S3)."""
        self.name = name
        self.prefix = prefix
        self._client = client
        self._place = {"Bucket": name, "ExpectedBucketOwner": owner}
        self._encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_arn}
            if key_arn
            else {"ServerSideEncryption": "AES256"}
        )

    def keys(self, folder: str) -> list[str]:
        """Return the keys of the objects in a folder, in order."""
        keys: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=folder, **more)
            keys += [found["Key"] for found in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return keys
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def put(self, key: str, body: bytes | bytearray, content_type: str) -> str | None:
        """Create an object; return its version id."""
        answer = self._create(
            "put_object",
            Key=key,
            Body=body,
            ContentType=content_type,
            ChecksumSHA256=_base64(hashlib.sha256(body).digest()),
            IfNoneMatch="*",
            **self._encryption,
        )
        return _version(answer)

    def begin(self, key: str, content_type: str) -> Upload:
        """Open a multipart upload."""
        answer = self._call(
            "create_multipart_upload",
            Key=key,
            ContentType=content_type,
            ChecksumAlgorithm="CRC32",
            **self._encryption,
        )
        return Upload(key, answer["UploadId"])

    def put_part(
        self, upload: Upload, number: int, body: bytes | bytearray
    ) -> Mapping[str, object]:
        """Upload a part; return what `complete` needs to know about it."""
        # It protects the transfer to S3; the file's SHA-256 is computed over all parts anyway.
        checksum = _base64(zlib.crc32(body).to_bytes(4))
        answer = self._create(
            "upload_part", **_names(upload), PartNumber=number, Body=body, ChecksumCRC32=checksum
        )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": checksum}

    def complete(
        self, upload: Upload, parts: Sequence[Mapping[str, object]], size: int
    ) -> str | None:
        """Create an object from the parts; return its version id."""
        answer = self._create(
            "complete_multipart_upload",
            **_names(upload),
            MultipartUpload={"Parts": list(parts)},
            MpuObjectSize=size,
            IfNoneMatch="*",
        )
        return _version(answer)

    def abort(self, upload: Upload) -> None:
        """Abort a multipart upload."""
        try:
            self._create("abort_multipart_upload", **_names(upload))
        except ObjectConflictError:
            return

    def abort_all(self, folder: str) -> None:
        """Abort the multipart uploads that are open in a folder."""
        answer = self._call("list_multipart_uploads", Prefix=folder)
        for upload in answer.get("Uploads", []):
            self.abort(Upload(upload["Key"], upload["UploadId"]))

    @contextmanager
    def read(self, key: str) -> Iterator[ObjectBody]:
        """Open an object for reading."""
        answer = self._call("get_object", Key=key)
        body = answer["Body"]
        try:
            yield _ObjectBody(body, _version(answer))
        finally:
            body.close()

    def _create(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - botocore's
        """Make a call that creates something, unless it exists or may exist already."""
        try:
            return self._call(operation, **arguments)
        except BucketError as exc:
            if _may_be_there(exc.__cause__):
                raise ObjectConflictError(str(exc)) from exc.__cause__
            raise

    def _call(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - botocore's answer
        try:
            return getattr(self._client, operation)(**self._place, **arguments)
        except AWS_ERRORS as exc:
            message = f"{operation} in {self.name}: {error_code(exc)}"
            raise BucketError(message) from exc


class _ObjectBody:
    """Implements `ports.ObjectBody`."""

    def __init__(self, body: Any, version_id: str | None) -> None:  # noqa: ANN401 - botocore's
        self._body = body
        self.version_id = version_id

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        try:
            return bytes(self._body.read(size))
        except AWS_ERRORS as exc:
            message = f"get_object: {error_code(exc)}"
            raise BucketError(message) from exc


def _may_be_there(cause: BaseException | None) -> bool:
    """Return whether an error means that the object exists, or that it may exist."""
    if isinstance(cause, ClientError):
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _CONFLICTS or error_code(cause) == "NoSuchUpload"
    return isinstance(cause, HTTPClientError)  # the answer was lost


def _names(upload: Upload) -> dict[str, str]:
    return {"Key": upload.key, "UploadId": upload.upload_id}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _version(answer: Mapping[str, Any]) -> str | None:
    """Return the version id, which is "null" if versioning is suspended."""
    version = answer.get("VersionId")
    return None if version in (None, "null") else str(version)
