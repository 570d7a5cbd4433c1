"""Deploy the stack into an AWS account: `make deploy`.

A first deployment asks for the parameters that need a decision. An update changes only what
`--parameter-overrides` names; CloudFormation keeps every other value. Nothing is written to
samconfig.toml. Everything that this module imports is part of SAM's environment.
"""

from __future__ import annotations

import argparse
import difflib
import os
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
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    Stack = Mapping[str, Any]
    Parameters = Mapping[str, Mapping[str, Any]]

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
    "Runtime",
)
"""What a first deployment asks for. Everything else has a default that fits most stacks."""
BUILD_RUNTIME = "python{}.{}".format(*sys.version_info[:2])
"""The Python that builds: the artifact has its bytecode (functions/Makefile)."""
_FAILED_FIRST = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
_NEVER_DEPLOYED = "REVIEW_IN_PROGRESS"
# SAM takes NAME=VALUE and ParameterKey=NAME,ParameterValue=VALUE, and several in one word.
_OVERRIDE = re.compile(
    r"""(?:^|\s)(?:ParameterKey=)?["']?(\w+)["']?(?:,ParameterValue)?="""
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|[^\s"\\])*)"""
)
_UNQUOTED = re.compile(r"""((?:ParameterKey=\w+,ParameterValue|\w+)=)([^"'\\]*\s[^"'\\]*)""")
_SEVERAL = re.compile(r"\s\w+=")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to deploy, and the other options of the command line.

    `overrides` are the values of SAM's `--parameter-overrides`, `rest` its other options.
    `confirms` is whether SAM asks for confirmation before it changes anything.
    """

    stack_name: str
    region: str | None
    profile: str | None
    config_env: str
    overrides: Sequence[str]
    rest: Sequence[str]
    confirms: bool

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Target:
        """Read the command line; samconfig.toml has the defaults."""
        parser = argparse.ArgumentParser(prog="make deploy", allow_abbrev=False, add_help=False)
        for name in ("--stack-name", "--region", "--profile"):
            parser.add_argument(name)
        parser.add_argument("--config-env", default="default")
        parser.add_argument("--parameter-overrides", nargs="+", action="extend")
        given, rest = parser.parse_known_args(arguments)
        config = _defaults(given.config_env)
        overrides = given.parameter_overrides or config.get("parameter_overrides", [])
        confirms = config.get("confirm_changeset", False)
        return cls(
            given.stack_name or config.get("stack_name", "arena-exports"),
            # boto3 ignores AWS_REGION, which the AWS CLI prefers to the profile's region.
            given.region or os.environ.get("AWS_REGION") or config.get("region"),
            given.profile or config.get("profile"),
            given.config_env,
            [_quoted(one) for one in ([overrides] if isinstance(overrides, str) else overrides)],
            rest,
            confirms and not {"--no-confirm-changeset", "--no-execute-changeset"} & {*rest},
        )

    @property
    def account(self) -> list[str]:
        """The options of the AWS CLI, and of SAM, that name account and region."""
        named = (("--region", self.region), ("--profile", self.profile))
        return [word for option, value in named if value for word in (option, value)]

    def named(self) -> dict[str, str]:
        """Return the parameters that the command line names, with their values."""
        found = (pair for token in self.overrides for pair in _OVERRIDE.findall(token))
        return {name: value.strip("\"'") for name, value in found}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment to a stack that may exist."""

    target: Target
    cloudformation: CloudFormationClient

    def run(self) -> None:
        """Ask, deploy, and print what to do next.

        Raises:
            ClickException: the deployment is not possible; the text says why and what to do.
            SystemExit: SAM ended with an error that it has printed.
        """
        parameters = yaml_parse(TEMPLATE.read_text())["Parameters"]
        self._check(parameters)
        before = self.stack()
        if before and before["StackStatus"] in _FAILED_FIRST:
            raise click.ClickException(self._leftovers())
        named = self.target.named()
        answers = {} if _is_deployed(before) else dict(self._ask(parameters, named))
        _warn_of_other_python({**_parameters(before), **answers, **named}.get("Runtime"))
        code = self._sam([f'{name}="{value}"' for name, value in answers.items()])
        after = self.stack()
        if code:
            if after and after["StackStatus"] in _FAILED_FIRST:
                click.echo(self._leftovers(), err=True)
            elif after and not _is_deployed(after):
                click.echo(self._remove_empty(), err=True)
            raise SystemExit(code)
        click.echo(self._result(before, after))

    def stack(self) -> Stack | None:
        """Return the stack, which may have no more than a change set; None if there is none."""
        try:
            found = self.cloudformation.describe_stacks(StackName=self.target.stack_name)
        except ClientError as exc:
            if "does not exist" in str(exc):
                return None
            raise
        (stack,) = found["Stacks"]
        return stack

    def _check(self, parameters: Parameters) -> None:
        """Refuse what SAM would ignore, or begin and not finish."""
        for name in self.target.named().keys() - parameters.keys():
            similar = difflib.get_close_matches(name, parameters, n=1)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise click.ClickException(f"The template has no parameter {name}.{hint}")
        if self.target.confirms and not sys.stdin.isatty():
            raise click.ClickException(NO_TERMINAL)

    def _ask(self, parameters: Parameters, named: Collection[str]) -> Iterator[tuple[str, str]]:
        """Ask for the parameters that are not named; without a terminal, take the defaults.

        Raises:
            ClickException: there is no terminal, and a parameter without a default is not named.
        """
        hints = {name: hint.format(account=self._account()) for name, hint in HINTS.items()}
        for name in (name for name in ASKED if name not in named):
            parameter, default = parameters[name], _default(name, parameters[name])
            if sys.stdin.isatty():
                click.echo("\n" + parameter["Description"] + hints.get(name, ""))
                yield name, _answer(name, parameter, default)
            elif default is None:
                message = (
                    f'{name} has no default: make deploy ARGS="--parameter-overrides {name}=…"'
                )
                raise click.ClickException(message)
            else:
                yield name, default

    def _sam(self, answers: Sequence[str]) -> int:
        target = self.target
        command = [SAM, "deploy", "--config-file", str(SAMCONFIG), "--config-env"]
        command += [target.config_env, "--template-file", str(TEMPLATE), "--stack-name"]
        # `sam delete` empties the prefix, so it must not be another stack's.
        command += [target.stack_name, "--s3-prefix", target.stack_name, *target.account]
        overrides = [*answers, *target.overrides]
        command += ["--parameter-overrides", *overrides] if overrides else []
        return subprocess.run([*command, *target.rest], cwd=ROOT, check=False).returncode

    def _resources(self) -> dict[str, Mapping[str, Any]]:
        found = self.cloudformation.describe_stack_resources(StackName=self.target.stack_name)
        return {one["LogicalResourceId"]: one for one in found["StackResources"]}

    def _result(self, before: Stack | None, after: Stack | None) -> str:
        """Return what to print after SAM ended well."""
        if not _is_deployed(after):
            return NOTHING_DEPLOYED + (f" {self._remove_empty()}" if after else "")
        if not _is_deployed(before):
            return self._next_steps(_parameters(after))
        if _changed_at(before) == _changed_at(after):
            return NOTHING_DEPLOYED
        old, new = (_parameters(stack).get("AlarmEmail", "") for stack in (before, after))
        updated = UPDATED.format(stack=self.target.stack_name)
        return updated if old == new else f"{updated} {_about_alarms(new)}"

    def _next_steps(self, values: Mapping[str, str]) -> str:
        return NEXT_STEPS.format(
            stack=self.target.stack_name,
            email=_about_alarms(values.get("AlarmEmail", "")),
            account=self._account(),
            function=self._resources()["SessionFunction"]["PhysicalResourceId"],
        )

    def _leftovers(self) -> str:
        """Return how to remove what a failed first deployment left behind."""
        ledger = self._resources().get("Ledger", {})
        left = ledger.get("PhysicalResourceId") and ledger["ResourceStatus"] != "DELETE_COMPLETE"
        return (LEFTOVERS_WITH_TABLE if left else LEFTOVERS).format(
            stack=self.target.stack_name,
            table=ledger.get("PhysicalResourceId"),
            account=self._account(),
        )

    def _remove_empty(self) -> str:
        """Return how to remove a stack that has a change set and nothing else."""
        return EMPTY_STACK.format(stack=self.target.stack_name, account=self._account())

    def _account(self) -> str:
        return "".join(f" {word}" for word in self.target.account)


def _default(name: str, parameter: Mapping[str, Any]) -> str | None:
    if name == "Runtime" and BUILD_RUNTIME in parameter["AllowedValues"]:
        return BUILD_RUNTIME
    default: str | None = parameter.get("Default")
    return default


def _answer(name: str, parameter: Mapping[str, Any], default: str | None) -> str:
    def checked(text: str) -> str:
        if "AllowedValues" in parameter and text not in parameter["AllowedValues"]:
            message = f"must be one of {', '.join(parameter['AllowedValues'])}."
            raise click.BadParameter(message)
        if not re.fullmatch(parameter.get("AllowedPattern", ".*"), text):
            raise click.BadParameter(parameter["ConstraintDescription"])
        return text

    answer: str = click.prompt(
        name, default=default, show_default=bool(default), value_proc=checked
    )
    return answer


def _warn_of_other_python(runtime: str | None) -> None:
    if runtime not in (None, BUILD_RUNTIME):
        click.echo(OTHER_PYTHON.format(build=BUILD_RUNTIME, runtime=runtime), err=True)


def _quoted(override: str) -> str:
    """Quote a value that has blanks: SAM would take what follows the first for something else."""
    unquoted = _UNQUOTED.fullmatch(override.strip())
    if unquoted is None or _SEVERAL.search(unquoted[2]):
        return override
    return f'{unquoted[1]}"{unquoted[2]}"'


def _defaults(config_env: str) -> dict[str, Any]:
    config = tomllib.loads(SAMCONFIG.read_text())
    found: dict[str, Any] = config.get(config_env, {}).get("deploy", {}).get("parameters", {})
    return found


def _is_deployed(stack: Stack | None) -> bool:
    """Report whether a stack has more than a change set that was never executed."""
    return stack is not None and stack["StackStatus"] != _NEVER_DEPLOYED


def _parameters(stack: Stack | None) -> dict[str, str]:
    found = stack.get("Parameters", ()) if stack else ()
    return {one["ParameterKey"]: one["ParameterValue"] for one in found}


def _changed_at(stack: Stack | None) -> object:
    return stack and stack.get("LastUpdatedTime", stack.get("CreationTime"))


def _about_alarms(email: str) -> str:
    return ALARMS_GO_TO.format(email=email) if email else ALARMS_GO_NOWHERE


HINTS = {
    "ArenaCredentialsSecretArn": """
To print the ARN of a secret that is named arena:

  aws secretsmanager describe-secret{account} --secret-id arena --query ARN --output text
""",
    "Runtime": f"""
The build has the bytecode of {BUILD_RUNTIME}; with any other runtime, cold starts take longer.""",
}
ACCOUNT = (
    "Account and region come from AWS_PROFILE and AWS_REGION, or from "
    'ARGS="--profile NAME --region NAME".'
)
NO_TERMINAL = (
    "There is no terminal to confirm the changes in. To deploy without confirmation:\n\n"
    '  make deploy ARGS="--no-confirm-changeset"'
)
OTHER_PYTHON = """
Warning: the build has the bytecode of {build}, but the stack's Runtime is {runtime}. Lambda
would compile the code at each cold start, which takes about 1.5 times the processor time.
To build with {runtime}:

  make clean
  make PYTHON={runtime} deploy
"""
NOTHING_DEPLOYED = "Nothing was deployed."
EMPTY_STACK = """The stack {stack} is empty. Run make deploy again, or remove the stack:

  aws cloudformation delete-stack{account} --stack-name {stack}"""
UPDATED = "The stack {stack} is updated."
ALARMS_GO_TO = (
    "Open the link in the e-mail that AWS sent to {email}: until then, no alarm is delivered."
)
ALARMS_GO_NOWHERE = """Nobody is notified of alarms. To change that:

   make deploy ARGS="--parameter-overrides AlarmEmail=you@example.com\""""
NEXT_STEPS = """
The stack {stack} is deployed. Next steps:

1. {email}
2. Test role, key, secret, network and password. This logs in to Arena and sends no message:

   aws lambda invoke{account} --function-name {function} \\
     --cli-binary-format raw-in-base64-out --payload '{{}}' /dev/stdout | cat

   {{"version": "..."}} means that the login succeeded. Any other answer gives the reason.
3. Continue with step 2 of "A first deployment" in infra/runbook.md.
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
    """Deploy; print an error that the user can act on as one sentence."""
    try:
        target = Target.read(arguments)
        session = boto3.Session(profile_name=target.profile, region_name=target.region)
        Deployment(target, session.client("cloudformation")).run()
    except click.ClickException as exc:
        exc.show()
        raise SystemExit(1) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except (BotoCoreError, ClientError) as exc:
        click.echo(f"Error: {str(exc).rstrip('.')}. {ACCOUNT}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1:])
