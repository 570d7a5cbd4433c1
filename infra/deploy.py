"""Deploy the stack into an AWS account: `make deploy`.

A first deployment asks for the parameters that need a decision. An update changes what
`--parameter-overrides` names, and CloudFormation keeps the value of every other parameter. Nothing
is written to samconfig.toml. SAM's environment has all that this module imports.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.local.paths import BUILD, ROOT, executable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

SAM = executable("sam", "sam")
SAMCONFIG = ROOT / "samconfig.toml"
TEMPLATE = BUILD / "template.yaml"
ASKED = (
    "ArenaCredentialsSecretArn",
    "ArenaCredentialsKeyArn",
    "ArenaBaseUrl",
    "WorkspaceName",
    "DefaultExportGuid",
    "AlarmEmail",
)
"""What a first deployment asks for. Everything else has a default that fits most stacks."""
_FAILED_FIRST = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
_NAMES = re.compile(r"(?:^|\s)(?:ParameterKey=)?(\w+)(?=[=,])")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to deploy, and what the command line says besides.

    `overrides` are the values of SAM's `--parameter-overrides`, `rest` its other options.
    """

    stack_name: str
    region: str | None
    profile: str | None
    config_env: str
    overrides: Sequence[str]
    rest: Sequence[str]

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Target:
        """Read the command line; samconfig.toml has the defaults."""
        parser = argparse.ArgumentParser(prog="make deploy", allow_abbrev=False, add_help=False)
        for name in ("--stack-name", "--region", "--profile"):
            parser.add_argument(name)
        parser.add_argument("--config-env", default="default")
        parser.add_argument("--parameter-overrides", nargs="+")
        given, rest = parser.parse_known_args(arguments)
        config = _defaults(given.config_env)
        overrides = given.parameter_overrides or config.get("parameter_overrides", [])
        return cls(
            given.stack_name or config.get("stack_name", "arena-exports"),
            given.region or config.get("region"),
            given.profile or config.get("profile"),
            given.config_env,
            [overrides] if isinstance(overrides, str) else overrides,
            rest,
        )

    @property
    def account(self) -> list[str]:
        """The options of the AWS CLI, and of SAM, that name account and region."""
        named = (("--region", self.region), ("--profile", self.profile))
        return [word for option, value in named if value for word in (option, value)]

    def named(self) -> set[str]:
        """Return the names of the parameters that the command line gives a value."""
        return {name for token in self.overrides for name in _NAMES.findall(token)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment to a stack that may exist."""

    target: Target
    cloudformation: CloudFormationClient

    def run(self) -> None:
        """Ask, deploy, and print the next steps.

        Raises:
            ClickException: it cannot be done; the text says why and what to do.
            SystemExit: SAM ended with an error that it has printed.
        """
        before = self.stack()
        if before and before["StackStatus"] in _FAILED_FIRST:
            raise click.ClickException(self._leftovers())
        answers = [] if before else list(ask(self.target.named()))
        code = self._sam([*answers, *self.target.overrides])
        after = self.stack()
        if code:
            if after and after["StackStatus"] in _FAILED_FIRST:
                click.echo(self._leftovers(), err=True)
            raise SystemExit(code)
        if after is None or (before and _changed_at(before) == _changed_at(after)):
            click.echo("Nothing was deployed.")
        else:
            click.echo(self._next_steps(after))

    def stack(self) -> Mapping[str, Any] | None:
        """Return the stack, or None where there is none yet or only a change set for it."""
        try:
            found = self.cloudformation.describe_stacks(StackName=self.target.stack_name)
        except ClientError as exc:
            if "does not exist" in str(exc):
                return None
            raise
        (stack,) = found["Stacks"]
        return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack

    def _sam(self, overrides: Sequence[str]) -> int:
        target = self.target
        command = [SAM, "deploy", "--config-file", str(SAMCONFIG), "--config-env"]
        command += [target.config_env, "--template-file", str(TEMPLATE), "--stack-name"]
        # `sam delete` empties the prefix, so it must not be another stack's.
        command += [target.stack_name, "--s3-prefix", target.stack_name, *target.account]
        command += ["--parameter-overrides", *overrides] if overrides else []
        return subprocess.run([*command, *target.rest], cwd=ROOT, check=False).returncode

    def _resources(self) -> dict[str, Mapping[str, Any]]:
        found = self.cloudformation.describe_stack_resources(StackName=self.target.stack_name)
        return {one["LogicalResourceId"]: one for one in found["StackResources"]}

    def _next_steps(self, stack: Mapping[str, Any]) -> str:
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        function = self._resources()["SessionFunction"]["PhysicalResourceId"]
        return NEXT_STEPS.format(
            stack=self.target.stack_name,
            email=_about_alarms(values.get("AlarmEmail", "")),
            account=self._account(),
            function=function,
        )

    def _leftovers(self) -> str:
        """Say how to remove what a failed first deployment left behind."""
        ledger = self._resources().get("Ledger", {})
        left = ledger.get("PhysicalResourceId") and ledger["ResourceStatus"] != "DELETE_COMPLETE"
        return (LEFTOVERS_WITH_TABLE if left else LEFTOVERS).format(
            stack=self.target.stack_name,
            table=ledger.get("PhysicalResourceId"),
            account=self._account(),
        )

    def _account(self) -> str:
        return "".join(f" {word}" for word in self.target.account)


def ask(named: set[str]) -> Iterator[str]:
    """Ask for the parameters that are not named; yield them as SAM takes them.

    Without a terminal nothing is asked, and the defaults are taken.

    Raises:
        ClickException: there is no terminal, and a parameter without a default is not named.
    """
    parameters = yaml_parse(TEMPLATE.read_text())["Parameters"]
    for name in (name for name in ASKED if name not in named):
        if sys.stdin.isatty():
            yield f'{name}="{_answer(name, parameters[name])}"'
        elif "Default" not in parameters[name]:
            message = f'{name} has no default: make deploy ARGS="--parameter-overrides {name}=…"'
            raise click.ClickException(message)


def _answer(name: str, parameter: Mapping[str, Any]) -> str:
    def checked(text: str) -> str:
        if not re.fullmatch(parameter["AllowedPattern"], text):
            raise click.BadParameter(parameter["ConstraintDescription"])
        return text

    default = parameter.get("Default")
    click.echo(f"\n{parameter['Description']}")
    answer: str = click.prompt(
        name, default=default, show_default=bool(default), value_proc=checked
    )
    return answer


def _defaults(config_env: str) -> dict[str, Any]:
    config = tomllib.loads(SAMCONFIG.read_text())
    found: dict[str, Any] = config.get(config_env, {}).get("deploy", {}).get("parameters", {})
    return found


def _changed_at(stack: Mapping[str, Any]) -> object:
    return stack.get("LastUpdatedTime", stack.get("CreationTime"))


def _about_alarms(email: str) -> str:
    return ALARMS_GO_TO.format(email=email) if email else ALARMS_GO_NOWHERE


ALARMS_GO_TO = (
    "Confirm the alarm e-mail: open the link in the message that AWS sent to\n"
    "   {email}. No alarm reaches anybody before."
)
ALARMS_GO_NOWHERE = (
    "Nobody is told of alarms. To change that:\n\n"
    '   make deploy ARGS="--parameter-overrides AlarmEmail=you@example.com"'
)
NEXT_STEPS = """
The stack {stack} is deployed. Next steps:

1. {email}
2. Prove role, key, secret, network and password. This logs in to Arena and sends no message:

   aws lambda invoke{account} --function-name {function} \\
     --cli-binary-format raw-in-base64-out --payload '{{}}' /dev/stdout

   {{"version": "..."}} means that the login worked. Any other answer gives the reason.
3. Go on with step 2 of "A first deployment" in infra/runbook.md.
"""
_FAILED = """
The first deployment of the stack {stack} failed and was rolled back; its events say why.
Remove what is left before you try again:
"""
_REMOVE_TABLE = """
  aws dynamodb update-table{account} --table-name {table} --no-deletion-protection-enabled
  aws dynamodb wait table-exists{account} --table-name {table}
  aws dynamodb delete-table{account} --table-name {table}"""
_REMOVE_STACK = """
  aws cloudformation delete-stack{account} --stack-name {stack}
  aws cloudformation wait stack-delete-complete{account} --stack-name {stack}
"""
LEFTOVERS = _FAILED + _REMOVE_STACK
LEFTOVERS_WITH_TABLE = _FAILED + _REMOVE_TABLE + _REMOVE_STACK


def main(arguments: Sequence[str]) -> None:
    """Deploy; an error that the user can act on ends as one sentence."""
    try:
        target = Target.read(arguments)
        session = boto3.Session(profile_name=target.profile, region_name=target.region)
        Deployment(target, session.client("cloudformation")).run()
    except click.ClickException as exc:
        exc.show()
        raise SystemExit(1) from None
    except click.Abort:
        raise SystemExit(130) from None
    except (BotoCoreError, ClientError) as exc:
        click.echo(f"Error: {exc} Account and region: --profile, --region.", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1:])
