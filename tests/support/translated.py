"""The template as CloudFormation gets it from SAM, with the branches of its conditions chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
_NOTHING = {"Ref": "AWS::NoValue"}


class _NoManagedPolicies:
    """The template uses none."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def translated() -> dict[str, Any]:
    """Return the template after SAM's transform."""
    parsed = yaml_parse((ROOT / "template.yaml").read_text())
    for resource in parsed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/key"
    parsed["Globals"]["Function"].pop("CodeUri")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        template: dict[str, Any] = transform(parsed, {}, _NoManagedPolicies())
    return template


def resources(type_: str, *true: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of a type, where just the conditions `true` hold."""
    return {
        name: _chosen(body.get("Properties", {}), true)
        for name, body in translated()["Resources"].items()
        if body["Type"] == type_ and body.get("Condition", "") in ("", *true)
    }


def _chosen(value: Any, true: tuple[str, ...]) -> Any:
    """Follow `Fn::If`, and leave out what is no value."""
    if isinstance(value, list):
        return [kept for one in value if (kept := _chosen(one, true)) != _NOTHING]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        return _chosen(then if condition in true else otherwise, true)
    kept = {key: _chosen(inner, true) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner != _NOTHING or value == _NOTHING}


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, with lists where IAM allows one or many."""

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
    """Yield what the roles grant."""
    for name, role in resources("AWS::IAM::Role", *true).items():
        for policy in role["Policies"]:
            yield from statements(name, policy["PolicyDocument"])


def resource_statements(*true: str) -> Iterator[Statement]:
    """Yield what the policies of roles (trust), queues, topics and keys say of who may come in."""
    for name, role in resources("AWS::IAM::Role", *true).items():
        yield from statements(name, role["AssumeRolePolicyDocument"])
    for type_ in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for name, policy in resources(type_, *true).items():
            yield from statements(name, policy["PolicyDocument"])
    for name, key in resources("AWS::KMS::Key", *true).items():
        yield from statements(name, key["KeyPolicy"])


def reference(value: Any) -> str:
    """Return what a value refers to: a logical name, a substituted text, or the text itself."""
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Fn::GetAtt":
        return str(argument[0] if isinstance(argument, list) else argument.split(".")[0])
    return (
        re.sub(r"\$\{(?:AWS::)?(\w+)\}", r"<\1>", argument)
        if function == "Fn::Sub"
        else str(argument)
    )


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _principal(statement: Mapping[str, Any], kind: str) -> Any:
    principal = statement.get("Principal", {})
    if principal == "*":
        return "*" if kind == "AWS" else ()
    return principal.get(kind, ())
