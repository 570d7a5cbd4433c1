"""The embedded AWS: its credentials, and a client for each service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    }


@dataclass(frozen=True)
class Clients:
    """The boto3 clients of the embedded AWS at `endpoint`, created on first use."""

    endpoint: str

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session("test", "test", region_name=REGION)

    @cached_property
    def _where(self) -> dict[str, Any]:
        config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 2})
        return {"endpoint_url": self.endpoint, "config": config}

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation."""
        return self._session.client("cloudformation", **self._where)

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """CloudWatch."""
        return self._session.client("cloudwatch", **self._where)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        return self._session.client("dynamodb", **self._where)

    @cached_property
    def functions(self) -> LambdaClient:
        """Lambda."""
        return self._session.client("lambda", **self._where)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs."""
        return self._session.client("logs", **self._where)

    @cached_property
    def s3(self) -> S3Client:
        """S3."""
        return self._session.client("s3", **self._where)

    @cached_property
    def secrets(self) -> SecretsManagerClient:
        """Secrets Manager."""
        return self._session.client("secretsmanager", **self._where)

    @cached_property
    def sns(self) -> SNSClient:
        """SNS."""
        return self._session.client("sns", **self._where)

    @cached_property
    def sqs(self) -> SQSClient:
        """SQS."""
        return self._session.client("sqs", **self._where)

    @cached_property
    def stepfunctions(self) -> SFNClient:
        """Step Functions."""
        return self._session.client("stepfunctions", **self._where)
