"""The policy statements of the translated template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.checks.template import resources
from infra.local.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ROOT", "Statement", "reference", "resource_statements", "resources", "role_statements"]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, with tuples where IAM allows one value or many."""

    of: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    services: tuple[str, ...]
    condition: Mapping[str, Any]


def statements(of: str, document: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a policy; references as their logical names."""
    return [
        Statement(
            of,
            one["Effect"],
            tuple(map(reference, _many(one["Action"]))),
            tuple(map(reference, _many(one.get("Resource", ())))),
            tuple(map(reference, _many(_principal(one, "AWS")))),
            tuple(map(reference, _many(_principal(one, "Service")))),
            one.get("Condition", {}),
        )
        for one in document["Statement"]
    ]


def role_statements(*true: str) -> Iterator[Statement]:
    """Yield the statements of the roles."""
    for name, role in resources("AWS::IAM::Role", *true).items():
        for policy in role["Policies"]:
            yield from statements(name, policy["PolicyDocument"])


def resource_statements(*true: str) -> Iterator[Statement]:
    """Yield the statements of trust, queue, topic, bucket, and key policies."""
    for name, role in resources("AWS::IAM::Role", *true).items():
        yield from statements(name, role["AssumeRolePolicyDocument"])
    for type_ in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"):
        for name, policy in resources(type_, *true).items():
            yield from statements(name, policy["PolicyDocument"])
    for name, key in resources("AWS::KMS::Key", *true).items():
        yield from statements(name, key["KeyPolicy"])


def reference(value: Any) -> str:
    """Return the target of a reference: a logical name, a substituted text, or the text itself."""
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Fn::GetAtt":
        return str(argument[0] if isinstance(argument, list) else argument.split(".")[0])
    return _substituted(argument) if function == "Fn::Sub" else str(argument)


def _substituted(argument: Any) -> str:
    """Return a text with `<Name>` for each reference in it."""
    text, own = (argument, {}) if isinstance(argument, str) else argument
    names = {name: reference(value) for name, value in own.items()}
    return re.sub(
        r"\$\{(?:AWS::)?(\w+)\}", lambda found: f"<{names.get(found[1], found[1])}>", text
    )


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _principal(statement: Mapping[str, Any], kind: str) -> Any:
    principal = statement.get("Principal", {})
    if principal == "*":
        return "*" if kind == "AWS" else ()
    return principal.get(kind, ())
