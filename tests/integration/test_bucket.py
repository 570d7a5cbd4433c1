"""One contract for the bucket of delivered files, which the in-memory fake and S3 must fulfil."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from arena_exports.adapters.bucket import S3Bucket
from arena_exports.domain.errors import BucketError, ObjectConflictError
from tests.support.canned import answered_by, canned
from tests.support.fake_bucket import InMemoryBucket

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

    from arena_exports.ports import Bucket
    from infra.local.aws import Clients

pytestmark = pytest.mark.integration

FOLDER = "arena/v1/default/E/2026/01/31/00000001-R/"
KEY = f"{FOLDER}F.zip"
PART = 5 * 1024 * 1024
OWNER = {"ministack": "000000000000", "moto": "123456789012"}

_numbers = count()


def s3_bucket(aws: Clients, owner: str) -> S3Bucket:
    """Return a fresh bucket with versions, as the template makes one."""
    name = f"delivery-{next(_numbers)}"
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return S3Bucket(aws.s3, name, "arena", owner, "")


@pytest.fixture(params=["memory", "ministack", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """Each test runs against all of them."""
    if request.param == "memory":
        return InMemoryBucket()
    return s3_bucket(request.getfixturevalue(request.param), OWNER[request.param])


def body_of(bucket: Bucket, key: str) -> bytes:
    """Return the bytes of an object, read in pieces."""
    with bucket.read(key) as body:
        return b"".join(iter(lambda: body.read(1_000_000), b""))


def test_bucket__never_changes_an_object(bucket: Bucket) -> None:
    """The first object stays; the second put learns that the key is taken."""
    version = bucket.put(KEY, b"first", "application/zip")
    with pytest.raises(ObjectConflictError):
        bucket.put(KEY, b"second", "application/zip")
    with bucket.read(KEY) as body:
        assert (body.read(10), body.read(10), body.version_id) == (b"first", b"", version)


def test_bucket__lists_the_keys_of_one_folder(bucket: Bucket) -> None:
    """Other folders are left out, and the keys are in order."""
    for key in (KEY, f"{FOLDER}A.json", "arena/v1/default/E/2026/01/31/00000002-R/F.zip"):
        bucket.put(key, b"-", "application/zip")
    assert bucket.keys(FOLDER) == [f"{FOLDER}A.json", KEY]
    assert bucket.keys("arena/v1/none/") == []


def test_bucket__makes_an_object_of_parts(bucket: Bucket) -> None:
    """The parts are joined in order, and the upload is gone."""
    upload = bucket.begin(KEY, "application/zip")
    bodies = [b"a" * PART, b"b" * PART, b"c"]
    parts = [bucket.put_part(upload, n, body) for n, body in enumerate(bodies, start=1)]
    version = bucket.complete(upload, parts, 2 * PART + 1)
    whole = hashlib.sha256(b"".join(bodies)).hexdigest()
    assert hashlib.sha256(body_of(bucket, KEY)).hexdigest() == whole
    with bucket.read(KEY) as body:
        assert body.version_id == version


def test_bucket__keeps_the_first_of_two_uploads(bucket: Bucket) -> None:
    """The second upload to the same key is not completed, whatever its bytes."""
    uploads = [bucket.begin(KEY, "application/zip") for _ in range(2)]
    parts = [
        [bucket.put_part(upload, 1, letter * PART)]
        for upload, letter in zip(uploads, (b"a", b"b"), strict=True)
    ]
    bucket.complete(uploads[0], parts[0], PART)
    with pytest.raises(ObjectConflictError):
        bucket.complete(uploads[1], parts[1], PART)
    assert body_of(bucket, KEY)[:1] == b"a"


# moto fails with a KeyError here.
@pytest.mark.parametrize("bucket", ["memory", "ministack"], indirect=True)
def test_bucket__upload_that_is_gone_is_a_conflict(bucket: Bucket) -> None:
    """Someone else may have completed or aborted it; aborting it again is no error."""
    upload = bucket.begin(KEY, "application/zip")
    part = bucket.put_part(upload, 1, b"a" * PART)
    bucket.abort_all(FOLDER)
    with pytest.raises(ObjectConflictError):
        bucket.complete(upload, [part], PART)
    with pytest.raises(ObjectConflictError):
        bucket.put_part(upload, 2, b"b")
    bucket.abort(upload)
    assert bucket.keys(FOLDER) == []


class Recorded:
    """An S3 client that records its calls and gives one answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> dict[str, Any]:
            self.calls.append((operation, arguments))
            return self._answer

        return call


@pytest.mark.parametrize("key_arn", ["", "arn:aws:kms:eu-west-1:123456789012:key/k"])
def test_s3_bucket__names_the_owner_and_encrypts(key_arn: str) -> None:
    """Each call names the account; only what creates an object says how it is encrypted."""
    client = Recorded({"UploadId": "u", "ETag": "e", "VersionId": "null", "Body": None})
    bucket = S3Bucket(client, "b", "arena", "123456789012", key_arn)
    upload = bucket.begin(KEY, "text/csv")
    part = bucket.put_part(upload, 1, b"a")
    assert bucket.complete(upload, [part], 1) is None
    assert bucket.put(KEY, b"a", "text/csv") is None
    bucket.abort(upload)
    bucket.abort_all(FOLDER)
    bucket.keys(FOLDER)
    assert {call["ExpectedBucketOwner"] for _, call in client.calls} == {"123456789012"}
    encrypted = {name: call.get("ServerSideEncryption") for name, call in client.calls}
    algorithm = "aws:kms" if key_arn else "AES256"
    creating = ("create_multipart_upload", "put_object")
    assert encrypted == {name: algorithm if name in creating else None for name, _ in client.calls}
    assert all(call.get("SSEKMSKeyId", "") == key_arn for n, call in client.calls if n in creating)


def test_s3_bucket__conditions_are_sent() -> None:
    """An object is created only where none is, with a checksum that S3 verifies."""
    client = Recorded({"UploadId": "u", "ETag": "e"})
    bucket = S3Bucket(client, "b", "arena", "123456789012", "")
    bucket.put(KEY, b"", "text/csv")
    bucket.complete(bucket.begin(KEY, "text/csv"), [], 7)
    calls = dict(client.calls)
    assert calls["put_object"]["IfNoneMatch"] == "*"
    assert calls["put_object"]["ChecksumSHA256"] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert calls["complete_multipart_upload"]["IfNoneMatch"] == "*"
    assert calls["complete_multipart_upload"]["MpuObjectSize"] == 7


ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"


@pytest.mark.parametrize(
    ("status", "code", "conflict"),
    [
        (403, "AccessDenied", False),
        (404, "NoSuchBucket", False),
        (400, "KMS.DisabledException", False),
        (409, "ConditionalRequestConflict", True),
        (412, "PreconditionFailed", True),
    ],
)
def test_s3_bucket__tells_conflicts_from_refusals(
    status: int, code: str, *, conflict: bool, moto: Clients
) -> None:
    """A conflict is a reason to look at what is there; anything else stops all delivery."""

    def refuse(request: Any, **_: object) -> AWSResponse:
        return canned(request, status, ERROR.format(code).encode())

    with answered_by(moto.s3, "s3.PutObject", refuse), pytest.raises(BucketError) as caught:
        S3Bucket(moto.s3, "b", "arena", "1", "").put(KEY, b"a", "text/csv")
    assert isinstance(caught.value, ObjectConflictError) == conflict
    assert code in str(caught.value)


def test_s3_bucket__lost_answer_is_a_conflict(moto: Clients) -> None:
    """The object may have been created."""

    def lose(**_: object) -> AWSResponse:
        raise ReadTimeoutError(endpoint_url="https://s3")

    with answered_by(moto.s3, "s3.PutObject", lose), pytest.raises(ObjectConflictError):
        S3Bucket(moto.s3, "b", "arena", "1", "").put(KEY, b"a", "text/csv")


def test_s3_bucket__complete_with_an_error_in_a_200_is_not_a_success(moto: Clients) -> None:
    """S3 may answer 200 and put the error into the body."""
    bucket = s3_bucket(moto, OWNER["moto"])
    upload = bucket.begin(KEY, "text/csv")

    def refuse(request: Any, **_: object) -> AWSResponse:
        return canned(request, 200, ERROR.format("InternalError").encode())

    with (
        answered_by(moto.s3, "s3.CompleteMultipartUpload", refuse),
        pytest.raises(BucketError, match="InternalError"),
    ):
        bucket.complete(upload, [{"PartNumber": 1, "ETag": "e"}], 1)
