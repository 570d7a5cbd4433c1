"""The template after SAM's transform, with its conditions evaluated."""

from functools import cache
from typing import Any, cast

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from infra.local.paths import ROOT

TEMPLATE = ROOT / "template.yaml"
_NOTHING = {"Ref": "AWS::NoValue"}


@cache
def translated() -> dict[str, Any]:
    """Return the template after SAM's transform."""
    parsed = yaml_parse(TEMPLATE.read_text())
    for resource in parsed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/key"
    parsed["Globals"]["Function"].pop("CodeUri")
    session = boto3.Session(region_name="us-east-1")
    translator = Translator({}, Parser(), boto_session=session)
    template: dict[str, Any] = translator.translate(parsed, {})
    return template


def resources(type_: str, *true: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of a type, with only the conditions `true` true."""
    return {
        name: cast("dict[str, Any]", _chosen(body.get("Properties", {}), true))
        for name, body in translated()["Resources"].items()
        if body["Type"] == type_ and body.get("Condition", "") in ("", *true)
    }


def _chosen(value: object, true: tuple[str, ...]) -> object:
    """Evaluate `Fn::If`, and remove `AWS::NoValue`."""
    if isinstance(value, list):
        return [kept for one in value if (kept := _chosen(one, true)) != _NOTHING]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        return _chosen(then if condition in true else otherwise, true)
    kept = {key: _chosen(inner, true) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner != _NOTHING or value == _NOTHING}
