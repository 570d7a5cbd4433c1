"""A first deployment, or an update.

A first deployment asks for the parameters that need a decision. An update changes only what
`--parameter-overrides` names; CloudFormation keeps every other value. Nothing is written to
samconfig.toml.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import texts
from infra.deploy.questions import ask, warn_of_other_python
from infra.deploy.target import SAMCONFIG, Target
from infra.local.paths import BUILD, ROOT, executable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceTypeDef

SAM = executable("sam", "sam")
TEMPLATE = BUILD / "template.yaml"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, which may have no more than a change set; without a status, there is none."""

    status: str = ""
    changed_at: object = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_deployed(self) -> bool:
        """Whether it has more than a change set that was never executed."""
        return self.status not in ("", "REVIEW_IN_PROGRESS")

    def __bool__(self) -> bool:
        """Report whether there is a stack."""
        return bool(self.status)

    @property
    def has_failed_first(self) -> bool:
        """Whether its first deployment failed, so that it cannot be updated."""
        return self.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment to a stack that may exist."""

    target: Target
    cloudformation: CloudFormationClient

    def run(self) -> None:
        """Ask, deploy, and print what to do next.

        Raises:
            ClickException: the deployment is not possible; the text says why and what to do.
            SystemExit: always, with SAM's exit code; SAM has printed its error.
        """
        parameters = yaml_parse(TEMPLATE.read_text())["Parameters"]
        self._check(parameters)
        before = self._stack()
        if before.has_failed_first:
            raise click.ClickException(self._leftovers())
        named, account = self.target.named(), self.target.account
        answers = {} if before.is_deployed else dict(ask(parameters, named, account))
        warn_of_other_python({**before.parameters, **answers, **named}.get("Runtime"))
        code = self._sam(answers)
        after = self._stack()
        if not code:
            click.echo(self._result(before, after))
        elif after.has_failed_first:
            click.echo(self._leftovers(), err=True)
        elif after and not after.is_deployed:
            click.echo(self._text(texts.EMPTY_STACK), err=True)
        raise SystemExit(code)

    def _stack(self) -> Stack:
        """Return the stack as it is now."""
        try:
            reply = self.cloudformation.describe_stacks(StackName=self.target.stack_name)
        except ClientError as exc:
            if "does not exist" in str(exc):
                return Stack()
            raise
        (found,) = reply["Stacks"]
        given = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())}
        changed_at = found.get("LastUpdatedTime", found.get("CreationTime"))
        return Stack(found["StackStatus"], changed_at, given)

    def _check(self, parameters: Collection[str]) -> None:
        """Refuse what SAM would ignore, or begin and not finish."""
        for name in self.target.named().keys() - set(parameters):
            similar = difflib.get_close_matches(name, parameters, n=1)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise click.ClickException(f"The template has no parameter {name}.{hint}")
        if self.target.confirms and not sys.stdin.isatty():
            raise click.ClickException(texts.NO_TERMINAL)

    def _sam(self, answers: Mapping[str, str]) -> int:
        target = self.target
        command = [SAM, "deploy", "--config-file", str(SAMCONFIG), "--config-env"]
        command += [target.config_env, "--template-file", str(TEMPLATE), "--stack-name"]
        # `sam delete` empties the prefix, so it must not be another stack's.
        command += [target.stack_name, "--s3-prefix", target.stack_name, *target.account_options]
        overrides = [f'{name}="{value}"' for name, value in answers.items()]
        overrides += target.overrides
        command += ["--parameter-overrides", *overrides] if overrides else []
        return subprocess.run([*command, *target.rest], cwd=ROOT, check=False).returncode

    def _resources(self) -> dict[str, StackResourceTypeDef]:
        found = self.cloudformation.describe_stack_resources(StackName=self.target.stack_name)
        return {one["LogicalResourceId"]: one for one in found["StackResources"]}

    def _text(self, template: str, **values: object) -> str:
        target = self.target
        return template.format(stack=target.stack_name, account=target.account, **values)

    def _result(self, before: Stack, after: Stack) -> str:
        """Return what to print after SAM ended well."""
        email = after.parameters.get("AlarmEmail", "")
        alarms = texts.ALARMS_GO_TO.format(email=email) if email else texts.ALARMS_GO_NOWHERE
        if not after.is_deployed:
            empty = self._text(texts.EMPTY_STACK) if after else ""
            return f"{texts.NOTHING_DEPLOYED} {empty}".rstrip()
        if not before.is_deployed:
            function = self._resources()["SessionFunction"]["PhysicalResourceId"]
            return self._text(texts.NEXT_STEPS, alarms=alarms, function=function)
        if before.changed_at == after.changed_at:
            return texts.NOTHING_DEPLOYED
        changed = before.parameters.get("AlarmEmail", "") != email
        return self._text(texts.UPDATED) + (f" {alarms}" if changed else "")

    def _leftovers(self) -> str:
        """Return how to remove what a failed first deployment left behind."""
        ledger = self._resources().get("Ledger")
        table = ledger.get("PhysicalResourceId") if ledger else None
        if ledger is None or table is None or ledger["ResourceStatus"] == "DELETE_COMPLETE":
            return self._text(texts.LEFTOVERS)
        return self._text(texts.LEFTOVERS_WITH_TABLE, table=table)
