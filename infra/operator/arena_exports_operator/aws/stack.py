"""Find the stack, and read its state from CloudFormation and SQS."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from arena_exports_operator.answers.stack_state import StackState
from arena_exports_operator.aws.calls import explained
from arena_exports_operator.errors import NoAccessError, NotFoundError, UsageError
from arena_exports_operator.version import major, own_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from arena_exports_operator.aws.calls import Aws

VARIABLE = "ARENA_EXPORTS_STACK"
DEFAULT_NAME = "arena-exports"
_MARKS = frozenset({"LedgerTableName", "Version"})


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack: its outputs and parameters by name, and its status in CloudFormation."""

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    status: str

    @property
    def version(self) -> str:
        """The release that is deployed."""
        return self.outputs["Version"]


def find_stack(aws: Aws, named: str | None, folder: Path) -> Stack:
    """Return the named stack, or that of the environment, of samconfig.toml, or the only one.

    Raises:
        NotFoundError: there is none, or it is not a stack of this application.
        UsageError: there are several, or it has a newer major version than this tool.
    """
    name = named or os.environ.get(VARIABLE)
    stack = _read(aws, name) if name else _of_samconfig(aws, folder) or _only_one(aws)
    missing = _MARKS - stack.outputs.keys()
    if missing:
        raise NotFoundError(
            f"stack {stack.name} has no output {' and no output '.join(sorted(missing))}: it is "
            "not a stack of arena-exports, or its release is older than this tool"
        )
    if major(stack.version) > major(own_version()):
        raise UsageError(
            f"stack {stack.name} has version {stack.version}, this tool has {own_version()}: "
            "install the tool of that release"
        )
    return stack


def name_of_deployment(named: str | None, folder: Path) -> str:
    """Return the name that `make deploy` would give a new stack."""
    return named or os.environ.get(VARIABLE) or name_in_samconfig(folder) or DEFAULT_NAME


def _of_samconfig(aws: Aws, folder: Path) -> Stack | None:
    """Return the stack that samconfig.toml names, if it exists."""
    name = name_in_samconfig(folder)
    try:
        return _read(aws, name) if name else None
    except NotFoundError:
        return None


def name_in_samconfig(folder: Path) -> str | None:
    """Return the stack's name in the folder's samconfig.toml, or None."""
    try:
        settings = tomllib.loads((folder / "samconfig.toml").read_text())
        name = settings["default"]["deploy"]["parameters"]["stack_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _read(aws: Aws, name: str) -> Stack:
    with explained():
        try:
            answer = aws.client("cloudformation").describe_stacks(StackName=name)
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "ValidationError":
                raise NotFoundError(
                    f"there is no stack {name} in {aws.region or 'this region'}"
                ) from exc
            raise
    return _stack(answer["Stacks"][0])


def _only_one(aws: Aws) -> Stack:
    found = [stack for stack in map(_stack, _all(aws)) if stack.outputs.keys() >= _MARKS]
    if not found:
        raise NotFoundError(f"there is no stack of arena-exports in {aws.region}")
    if len(found) > 1:
        names = ", ".join(stack.name for stack in found)
        raise UsageError(f"there are several stacks: select one of {names} with --stack")
    return found[0]


def _all(aws: Aws) -> Iterator[dict[str, Any]]:
    with explained():
        try:
            for page in aws.client("cloudformation").get_paginator("describe_stacks").paginate():
                yield from page["Stacks"]
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "AccessDenied":
                raise NoAccessError(
                    f"name the stack with --stack, because listing stacks is not permitted: {exc}"
                ) from exc
            raise


def _stack(found: Mapping[str, Any]) -> Stack:
    return Stack(
        name=found["StackName"],
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
        parameters={p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])},
        status=found["StackStatus"],
    )


def read_stack_state(aws: Aws, stack: Stack) -> StackState:
    """Read how many messages are on the queues."""
    return StackState(
        parameters=stack.parameters,
        intake_messages=_messages(aws, stack.outputs["IntakeQueueUrl"]),
        dead_letters=_messages(aws, stack.outputs["DeadLetterQueueUrl"]),
    )


def _messages(aws: Aws, url: str) -> int:
    """Return how many messages a queue has, including those that are being processed."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    with explained():
        answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def resource(aws: Aws, stack: Stack, logical_id: str) -> str:
    """Return the physical id of a resource of the stack."""
    with explained():
        answer = aws.client("cloudformation").describe_stack_resource(
            StackName=stack.name, LogicalResourceId=logical_id
        )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])
