"""Checks of `doctor` for the bucket and the key of deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from arena_exports_operator.answers.checks import failure, ok, warning
from arena_exports_operator.aws.calls import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports_operator.answers.checks import Check
    from arena_exports_operator.aws.calls import Aws
    from arena_exports_operator.aws.stack import Stack


def delivery_key(aws: Aws, stack: Stack) -> Iterator[Check]:
    """Yield whether the key of the objects can be used; nothing if the bucket uses SSE-S3."""
    arn = stack.parameters.get("DeliveryKeyArn")
    if not arn or stack.parameters.get("DeliverFiles") != "true":
        return
    with explained():
        state = aws.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    if state == "Enabled":
        yield ok("delivery key", "the key for delivered files is enabled")
    else:
        yield failure(
            "delivery key",
            f"the key for delivered files is {state}, so no file can be delivered",
            "enable it, or cancel its deletion",
        )


def bucket(aws: Aws, stack: Stack) -> Iterator[Check]:
    """Yield whether the account owns the bucket, it is versioned, and it aborts old uploads."""
    name = stack.outputs.get("DeliveryBucketName")
    if name is None:
        yield ok("bucket", "the stack does not deliver files")
        return
    s3, whose = aws.client("s3"), {"Bucket": name, "ExpectedBucketOwner": _account(stack)}
    with explained():
        if not _exists(s3, whose):
            yield failure(
                "bucket",
                f"there is no bucket {name}, so no file can be delivered",
                "create it again, or deploy with another DeliveryBucketName",
            )
            return
        yield ok("bucket", f"bucket {name} exists, and belongs to this account")
        yield _versions(s3.get_bucket_versioning(**whose).get("Status"), name)
        yield _incomplete_uploads(_rules(s3, whose), name)


def _account(stack: Stack) -> str:
    """Return the account of the stack, whose ARNs name it."""
    return stack.outputs["IntakeQueueArn"].split(":")[4]


def _exists(s3: Any, whose: dict[str, str]) -> bool:  # noqa: ANN401 - boto3
    """Return whether the bucket exists; S3 refuses the call if it belongs to another account."""
    try:
        s3.head_bucket(**whose)
    except ClientError as exc:
        if exc.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        return False
    return True


def _rules(s3: Any, whose: dict[str, str]) -> list[dict[str, Any]]:  # noqa: ANN401 - boto3
    try:
        return list(s3.get_bucket_lifecycle_configuration(**whose)["Rules"])
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return []


def _versions(status: str | None, name: str) -> Check:
    if status == "Enabled":
        return ok("bucket", f"bucket {name} is versioned")
    return warning(
        "bucket",
        f"bucket {name} is not versioned: a file that somebody deletes is lost",
        "turn on versioning",
    )


def _incomplete_uploads(rules: list[dict[str, Any]], name: str) -> Check:
    in_force = [rule for rule in rules if rule["Status"] == "Enabled"]
    if any("AbortIncompleteMultipartUpload" in rule for rule in in_force):
        return ok("bucket", f"bucket {name} aborts incomplete uploads")
    return warning(
        "bucket",
        f"bucket {name} never removes incomplete uploads, which cost money",
        "add a lifecycle rule that aborts incomplete multipart uploads after a day",
    )
