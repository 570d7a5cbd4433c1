"""The price list, and the cost of a counted day.

US dollars, us-east-1, on demand, without free tiers, as published in November 2026 on
https://aws.amazon.com/<service>/pricing/. Assumptions are at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

MILLION = 1_000_000

PRICES = {
    "SQS requests": 0.40 / MILLION,  # receives and deletes, ten messages each
    "Lambda requests": 0.20 / MILLION,
    "Lambda GB-seconds": 0.000_013_333_4,  # arm64
    "Step Functions transitions": 25.0 / MILLION,
    "DynamoDB write units": 0.625 / MILLION,
    "DynamoDB read units": 0.125 / MILLION,
    "Scheduler invocations": 1.00 / MILLION,
    "SNS requests": 0.50 / MILLION,  # one for each 64 KiB
    "Secrets Manager calls": 5.0 / MILLION,
    "CloudWatch log GB": 0.50,
}

S3_WRITE = 5.00 / MILLION  # PUT, POST and LIST requests
S3_READ = 0.40 / MILLION

# Dollars a month, for as long as it is there.
ALARM_METRIC = 0.10  # of standard resolution; an alarm on metric math pays for each of its metrics
CUSTOM_METRIC = 0.30  # in each hour in which it is measured
CREDENTIALS_SECRET = 0.40  # yours, not the stack's
FIXED = {
    "AWS::CloudWatch::Dashboard": 3.00,  # after the account's first three
    "AWS::KMS::Key": 1.00,
    "AWS::SecretsManager::Secret": 0.40,
}
# What costs nothing while it is not used.
FREE_WHEN_IDLE = {
    "AWS::DynamoDB::Table",  # on demand; an empty table's storage and backup
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",  # its polling is counted with the queue's requests
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",  # an empty one
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachine",
}
HOURS_A_MONTH = 730

MEMORY_GB = 0.5  # template.yaml: MemorySize 512
# Lambda gives a whole processor to 1,769 MB; ours work with a share of one.
CPU_STRETCH = 1769 / 512

# How long one call takes from a Lambda function, seconds: assumed. No Arena and no account is at
# hand; AWS's are typical of one region, Arena's of a web application.
ASSUMED_SECONDS = {
    "ledger": 0.008,
    "secret": 0.020,
    "topic": 0.025,
    "queue": 0.020,
    "executions": 0.040,
    "arena": 0.800,
}
ASSUMED_S3_SECONDS = 0.030
ASSUMED_DOWNLOAD_BYTES_PER_SECOND = 25_000_000
DELIVER_MEMORY_GB = 1.0  # template.yaml: MemorySize 1024
PLATFORM_LOG_BYTES = 330  # Lambda's own START, END and REPORT lines of an invocation


def bill(counts: Mapping[str, float]) -> dict[str, float]:
    """Return dollars for each line of the price list.

    Args:
        counts: how many of each; what the list does not name costs nothing.
    """
    return {name: price * counts.get(name, 0) for name, price in PRICES.items()}


def fixed_bill(resources: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Return the fixed monthly cost of a stack, in dollars.

    Args:
        resources: the properties of the stack's resources, by their type.

    Raises:
        KeyError: a type has no price here, and is not known to be free.
    """
    alarms = resources.get("AWS::CloudWatch::Alarm", ())
    metrics = sum(len(alarm.get("Metrics", ())) or 1 for alarm in alarms)
    priced = {
        type_: FIXED[type_] * len(found)
        for type_, found in resources.items()
        if type_ not in {*FREE_WHEN_IDLE, "AWS::CloudWatch::Alarm"}
    }
    return {"AWS::CloudWatch::Alarm": ALARM_METRIC * metrics, **priced}
