"""`doctor`: the bucket and the key of deliveries."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from arena_exports_operator.aws.calls import Aws
from arena_exports_operator.aws.delivery import bucket, delivery_key
from arena_exports_operator.aws.stack import Stack
from infra.local.aws import REGION, environment

if TYPE_CHECKING:
    from infra.local.aws import Clients

pytestmark = pytest.mark.integration

ACCOUNTS = {"ministack": "000000000000", "moto": "123456789012"}
_numbers = count()


@pytest.fixture(params=ACCOUNTS)
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The account of one of the stand-ins, which the tool reaches as its environment says."""
    clients: Clients = request.getfixturevalue(request.param)
    for name, value in environment(clients.endpoint or "").items():
        monkeypatch.setenv(name, value)
    return ACCOUNTS[str(request.param)]


def stack(account: str, name: str | None = None, **parameters: str) -> Stack:
    """Return a stack that delivers to a bucket, or to none."""
    outputs = {"IntakeQueueArn": f"arn:aws:sqs:{REGION}:{account}:intake"}
    named = {"DeliveryBucketName": name} if name else {}
    return Stack("arena-exports", outputs | named, parameters, "CREATE_COMPLETE")


def checks(stack: Stack) -> list[tuple[str, str]]:
    """Return verdict and text of each check of the bucket."""
    return [(check.verdict.value, check.text) for check in bucket(Aws(), stack)]


def make_bucket(versions: str | None = None, rule: str | None = None) -> str:
    """Make a bucket; `rule` is the status of a rule that aborts incomplete uploads."""
    s3, name = Aws().client("s3"), f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versions})
    if rule:
        abort = {"DaysAfterInitiation": 1}
        rules = [{"ID": "a", "Status": rule, "Prefix": "", "AbortIncompleteMultipartUpload": abort}]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    return name


def test_bucket__as_the_template_makes_it(account: str) -> None:
    """It is this account's, is versioned, and aborts incomplete uploads."""
    name = make_bucket("Enabled", "Enabled")
    assert checks(stack(account, name)) == [
        ("OK", f"bucket {name} exists, and belongs to this account"),
        ("OK", f"bucket {name} is versioned"),
        ("OK", f"bucket {name} aborts incomplete uploads"),
    ]


@pytest.mark.parametrize(
    ("versions", "rule"), [(None, None), ("Suspended", None), (None, "Disabled")]
)
def test_bucket__without_versions_or_rule(
    account: str, versions: str | None, rule: str | None
) -> None:
    """Each is a warning; so is a rule that is not enabled."""
    found = checks(stack(account, make_bucket(versions, rule)))
    assert [verdict for verdict, _ in found] == ["OK", "warning", "warning"]


def test_bucket__that_does_not_exist(account: str) -> None:
    """It is a failure; a stack without deliveries has none to check."""
    ((verdict, text),) = checks(stack(account, "no-such-bucket"))
    assert (verdict, text.startswith("there is no bucket no-such-bucket")) == ("failure", True)
    assert checks(stack(account)) == [("OK", "the stack does not deliver files")]


def test_bucket__every_call_names_the_owner(account: str) -> None:
    """S3 refuses the call if somebody else has the name; the stand-ins do not."""
    aws, name = Aws(), make_bucket("Enabled")
    owners: list[str | None] = []
    events = aws.client("s3").meta.events
    events.register(
        "provide-client-params.s3.*",
        lambda params, **_: owners.append(params.get("ExpectedBucketOwner")),
    )
    list(bucket(aws, stack(account, name)))
    assert owners == [account] * 3


def test_delivery_key__must_be_enabled(account: str) -> None:
    """A key that was disabled is a failure; without a key of its own there is no check."""
    kms = Aws().client("kms")
    key = kms.create_key()["KeyMetadata"]
    arn = key["Arn"]

    def verdicts(**parameters: str) -> list[str]:
        found = delivery_key(Aws(), stack(account, **parameters))
        return [check.verdict.value for check in found]

    assert verdicts(DeliverFiles="true", DeliveryKeyArn=arn) == ["OK"]
    kms.disable_key(KeyId=key["KeyId"])
    assert verdicts(DeliverFiles="true", DeliveryKeyArn=arn) == ["failure"]
    assert verdicts(DeliverFiles="false", DeliveryKeyArn=arn) == []
    assert verdicts(DeliverFiles="true") == []
