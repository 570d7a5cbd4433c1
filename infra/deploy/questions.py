"""The questions of a first deployment: the parameters that need a decision."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from infra.deploy import texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Parameters = Mapping[str, Mapping[str, Any]]

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
HINTS = {
    "ArenaCredentialsSecretArn": """
To print the ARN of a secret that is named arena:

  aws secretsmanager describe-secret{account} --secret-id arena --query ARN --output text
""",
    "Runtime": f"""
The build has the bytecode of {BUILD_RUNTIME}; with any other runtime, cold starts take longer.""",
}


def ask(parameters: Parameters, named: Collection[str], account: str) -> Iterator[tuple[str, str]]:
    """Ask for the parameters that are not named; without a terminal, take the defaults.

    Raises:
        ClickException: there is no terminal, and a parameter without a default is not named.
    """
    for name in (name for name in ASKED if name not in named):
        parameter, default = parameters[name], _default(name, parameters[name])
        if sys.stdin.isatty():
            hint = HINTS.get(name, "").format(account=account)
            click.echo(f"\n{parameter['Description']}{hint}")
            yield name, _answer(name, parameter, default)
        elif default is None:
            raise click.ClickException(texts.NO_DEFAULT.format(name=name))
        else:
            yield name, default


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


def warn_of_other_python(runtime: str | None) -> None:
    """Warn of a build whose bytecode the stack's runtime ignores."""
    if runtime not in (None, BUILD_RUNTIME):
        click.echo(texts.OTHER_PYTHON.format(build=BUILD_RUNTIME, runtime=runtime), err=True)
