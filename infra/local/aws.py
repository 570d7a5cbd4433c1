"""The embedded AWS: its credentials, and a client for each service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

REGION = "us-east-1"


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables that point AWS SDKs and tools at the embedded AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,  # version 2 of the AWS CLI and arena-exports prefer it
    }


def _client(service: str) -> cached_property[Any]:
    return cached_property(lambda clients: clients.create(service))


@dataclass(frozen=True)
class Clients:
    """The boto3 clients of the embedded AWS at `endpoint`, created on first use.

    They have the permissions of the root user of `account`. By default that is the stack's account,
    000000000000.
    """

    endpoint: str
    account: str = "test"

    cloudformation: ClassVar[cached_property[CloudFormationClient]] = _client("cloudformation")
    cloudwatch: ClassVar[cached_property[CloudWatchClient]] = _client("cloudwatch")
    dynamodb: ClassVar[cached_property[DynamoDBClient]] = _client("dynamodb")
    functions: ClassVar[cached_property[LambdaClient]] = _client("lambda")
    logs: ClassVar[cached_property[CloudWatchLogsClient]] = _client("logs")
    s3: ClassVar[cached_property[S3Client]] = _client("s3")
    secrets: ClassVar[cached_property[SecretsManagerClient]] = _client("secretsmanager")
    sns: ClassVar[cached_property[SNSClient]] = _client("sns")
    sqs: ClassVar[cached_property[SQSClient]] = _client("sqs")
    stepfunctions: ClassVar[cached_property[SFNClient]] = _client("stepfunctions")

    def create(self, service: str) -> Any:  # noqa: ANN401 - the type depends on the service
        """Create a client of a service."""
        config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 2})
        return self._session.client(service, endpoint_url=self.endpoint, config=config)

    @cached_property
    def _session(self) -> Any:  # noqa: ANN401 - its stubs ask for literal names
        return boto3.Session(self.account, "test", region_name=REGION)
