"""Lint the IAM policies of the template with parliament: `python -m infra.checks.policies`.

parliament knows IAM but not templates, so each reference is replaced by a possible value. It does
not check trust policies, which have no resource.
"""

import json
import re
import sys
import warnings
from collections.abc import Iterator

from infra.checks.template import resources, translated

EXCEPTIONS = {
    ("SubmitRole", "RESOURCE_MISMATCH", "states:DescribeExecution"): (
        "parliament also expects executions of express state machines"
    ),
    **{
        (policy, "RESOURCE_MISMATCH", "states:DescribeExecution"): "the same"
        for policy in ("ReadOnlyPolicy", "OperatorPolicy")
    },
    **{
        (policy, "RESOURCE_STAR", "cloudwatch:DescribeAlarms"): "alarms are listed by a prefix"
        for policy in ("ReadOnlyPolicy", "OperatorPolicy")
    },
    ("Key", "RESOURCE_STAR", "kms:"): "a key policy applies to its key only",
    ("Key", "UNKNOWN_CONDITION_FOR_ACTION", "kms:DescribeKey"): (
        "the statement is from AWS (CloudWatch Logs: Encrypt log data using AWS KMS)"
    ),
    ("Key", "MISMATCHED_TYPE", "ArnLike"): "from AWS as well: this encryption context is an ARN",
}
"""Accepted findings: policy, issue, a part of its detail, and the reason."""
CONDITIONS = tuple(translated()["Conditions"])
_ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:123456789012:table/{}",
    "AWS::KMS::Key": "arn:aws:kms:us-east-1:123456789012:key/{}",
    "AWS::Lambda::Function": "arn:aws:lambda:us-east-1:123456789012:function:{}",
    "AWS::Lambda::EventSourceMapping": "01234567-89ab-cdef-0123-456789abcdef",
    "AWS::Logs::LogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:{}:*",
    "AWS::Scheduler::Schedule": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/{}",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:123456789012:{}",
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:{}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:{}-a1B2c3",
}
MAX_ACCOUNTS = {"SenderAccountIds": 40, "SubscriberAccountIds": 150}
"""The maximum number of accounts in these parameters, by the policy quotas of SQS, SNS and S3."""
_VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
    "ArenaCredentialsSecretArn": _ARNS["AWS::SecretsManager::Secret"].format("arena"),
    "ArenaCredentialsKeyArn": _ARNS["AWS::KMS::Key"].format("own"),
    "DeliveryBucket": "stack-deliverybucket-a1b2c3",
    "DeliveryBucketName": "own",
    "DeliveryKeyArn": _ARNS["AWS::KMS::Key"].format("delivery"),
    "DeliveryPrefix": "arena",
    **{name: ",".join(["210987654321"] * most) for name, most in MAX_ACCOUNTS.items()},
}


def policies(*true: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the JSON of each policy, with only the conditions `true` true."""
    for name, role in resources("AWS::IAM::Role", *true).items():
        for policy in role["Policies"]:
            yield name, json.dumps(resolved(policy["PolicyDocument"]))
    for name, policy in resources("AWS::IAM::ManagedPolicy", *true).items():
        yield name, json.dumps(resolved(policy["PolicyDocument"]))
    for type_ in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"):
        for name, policy in resources(type_, *true).items():
            yield name, json.dumps(resolved(policy["PolicyDocument"]))
    for name, key in resources("AWS::KMS::Key", *true).items():
        yield name, json.dumps(resolved(key["KeyPolicy"]))


def resolved(value: object) -> object:
    """Replace the references in a policy by realistic values."""
    if isinstance(value, list):
        return [resolved(one) for one in value]
    if isinstance(value, dict):
        return _called({key: resolved(inner) for key, inner in value.items()})
    return value


def _called(value: dict[str, object]) -> object:
    """Evaluate an intrinsic function with resolved arguments."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return _known(name)
        case {"Fn::Sub": str(text)}:
            return _substituted(text, {})
        case {"Fn::Sub": [str(text), dict(own)]}:
            return _substituted(text, own)
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(map(str, parts))
        case {"Fn::Split": [str(separator), str(text)]}:
            return text.split(separator)
    return value


def _known(name: str) -> object:
    if name in _VALUES:
        return _VALUES[name]
    return _ARNS[translated()["Resources"][name]["Type"]].format(name)


def _substituted(text: str, own: dict[str, object]) -> str:
    return re.sub(r"\$\{([\w:]+)\}", lambda found: str(own.get(found[1]) or _known(found[1])), text)


def problems() -> list[str]:
    """Return all findings, with every condition true and with none, and unused exceptions."""
    found = dict.fromkeys(_findings())
    known = {one: [key for key in EXCEPTIONS if _is_of(one, key)] for one in found}
    unused = EXCEPTIONS.keys() - {key for keys in known.values() for key in keys}
    return [
        *(": ".join(one) for one, keys in known.items() if not keys),
        *(f"{': '.join(key)}: this exception is no longer needed" for key in sorted(unused)),
    ]


def _findings() -> Iterator[tuple[str, str, str]]:
    with warnings.catch_warnings():
        # It finds its files through a deprecated interface of setuptools.
        warnings.simplefilter("ignore")
        # Only the environment of `make check` has parliament.
        from parliament import analyze_policy_string  # noqa: PLC0415

    for true in (CONDITIONS, ()):
        for name, document in policies(*true):
            for finding in analyze_policy_string(document).findings:
                yield name, finding.issue, str(finding.detail or finding.location)


def _is_of(found: tuple[str, str, str], exception: tuple[str, str, str]) -> bool:
    return found[:2] == exception[:2] and exception[2] in found[2]


if __name__ == "__main__":
    listed = problems()
    for problem in listed:
        print(problem)
    sys.exit(bool(listed))
