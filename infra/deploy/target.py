"""The command line of `make deploy`: where to deploy, and with which parameters."""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMCONFIG = ROOT / "samconfig.toml"
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
        config = tomllib.loads(SAMCONFIG.read_text()).get(given.config_env, {})
        config = config.get("deploy", {}).get("parameters", {})
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
    def account_options(self) -> list[str]:
        """The options of the AWS CLI, and of SAM, that name account and region."""
        named = (("--region", self.region), ("--profile", self.profile))
        return [word for option, value in named if value for word in (option, value)]

    @property
    def account(self) -> str:
        """The same as text, each word after a blank."""
        return "".join(f" {word}" for word in self.account_options)

    def named(self) -> dict[str, str]:
        """Return the parameters that the command line names, with their values."""
        found = (pair for token in self.overrides for pair in _OVERRIDE.findall(token))
        return {name: value.strip("\"'") for name, value in found}


def _quoted(override: str) -> str:
    """Quote a value that has blanks: SAM would take what follows the first for something else."""
    unquoted = _UNQUOTED.fullmatch(override.strip())
    if unquoted is None or _SEVERAL.search(unquoted[2]):
        return override
    return f'{unquoted[1]}"{unquoted[2]}"'
