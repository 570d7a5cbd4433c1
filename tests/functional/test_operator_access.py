"""Where the command finds its account and region, and what it says where it finds none."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from arena_exports_operator.aws.calls import Aws
from arena_exports_operator.aws.stack import find_stack
from arena_exports_operator.errors import NoAccessError
from infra.local.paths import ROOT
from tests.support.operator import ask


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no region, no credentials and no stack."""
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(ROOT / "infra")  # without a samconfig.toml
    return monkeypatch


@pytest.mark.usefixtures("nowhere")
def test_command__without_a_region_says_how_to_set_one() -> None:
    """The exit code is that of no access."""
    result = ask("status")
    assert result.exit_code == 4
    assert result.stderr == "Error: no region is set: set AWS_REGION, or use --region\n"


def test_command__without_credentials_says_how_to_give_some(nowhere: pytest.MonkeyPatch) -> None:
    """No word about the stack: naming it would not help."""
    nowhere.setenv("AWS_REGION", "eu-west-1")
    result = ask("status")
    assert result.exit_code == 4
    assert result.stderr == (
        "Error: there are no AWS credentials: set AWS_PROFILE, or use --profile\n"
    )


def test_region__is_that_of_the_option_or_of_aws_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION, which boto3 ignores, goes before AWS_DEFAULT_REGION, as with the AWS CLI."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Aws().region == "eu-west-1"
    assert Aws(region="eu-west-2").region == "eu-west-2"


def test_search__that_is_not_permitted_asks_for_the_name(
    nowhere: pytest.MonkeyPatch,
) -> None:
    """The shipped policies permit reading this stack, and not listing others."""
    aws = Aws(region="us-east-1")

    def refuse(_name: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks")

    nowhere.setenv("AWS_ACCESS_KEY_ID", "test")
    nowhere.setenv("AWS_SECRET_ACCESS_KEY", "test")
    nowhere.setattr(aws.client("cloudformation"), "get_paginator", refuse)
    with pytest.raises(NoAccessError, match="name the stack with --stack, because listing"):
        find_stack(aws, None, ROOT / "infra")
