"""What all commands share: the options that name the stack, its ledger, and error handling."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.ledger import open_ledger
from arena_exports_operator.answers.words import for_terminal
from arena_exports_operator.aws import sending
from arena_exports_operator.aws import stack as stacks
from arena_exports_operator.aws.calls import Aws, explained
from arena_exports_operator.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Table
    from arena_exports_operator.answers.stack_state import StackState
    from arena_exports_operator.aws.stack import Stack

P = ParamSpec("P")


@dataclass(frozen=True)
class Context:
    """The stack that a command operates on; each part is created on first use."""

    stack_name: str | None
    profile: str | None
    region: str | None
    as_json: bool

    @cached_property
    def aws(self) -> Aws:
        """The account and region."""
        return Aws(self.profile, self.region)

    @cached_property
    def stack(self) -> Stack:
        """The stack, found and checked."""
        return stacks.find_stack(self.aws, self.stack_name, Path.cwd())

    @cached_property
    def clock(self) -> Clock:
        """The time."""
        return SystemClock()

    @cached_property
    def table(self) -> Table:
        """The ledger's table."""
        return DynamoTable(self.aws.client("dynamodb"), self.stack.outputs["LedgerTableName"])

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return open_ledger(self.table, self.clock)

    def would_be_named(self) -> str:
        """Return the name that a new deployment would give the stack."""
        return stacks.name_of_deployment(self.stack_name, Path.cwd())

    def read_stack_state(self) -> StackState:
        """Read the parameters and the queues."""
        return stacks.read_stack_state(self.aws, self.stack)

    @cached_property
    def caller(self) -> str:
        """The ARN that the command runs as."""
        return self.aws.caller()

    def reconcile(self, command: str) -> None:
        """Invoke submit to act on what a command has changed, and to log who ran it."""
        sending.reconcile(self.aws, self.stack, self.caller, command)


class Command(click.Command):
    """A command that reports an error in one line and exits with its code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """Run the command."""
        try:
            with explained():
                return super().invoke(ctx)
        except OperatorError as exc:
            click.echo(f"Error: {for_terminal(str(exc))}", err=True)
            ctx.exit(exc.exit_code)


_OPTIONS = (
    click.option("--stack", metavar="NAME", help="The stack (default: see arena-exports --help)."),
    click.option("--profile", help="The AWS profile."),
    click.option("--region", help="The AWS region."),
    click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="The output format.",
    ),
)


def with_context(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name the stack to a command, and pass it what they select."""

    @functools.wraps(function)
    def run(
        *args: Any,  # noqa: ANN401 - those of the command
        stack: str | None,
        profile: str | None,
        region: str | None,
        output: str,
        **kwargs: Any,  # noqa: ANN401 - those of the command
    ) -> None:
        function(make_context(stack, profile, region, output), *args, **kwargs)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def make_context(
    stack: str | None, profile: str | None, region: str | None, output: str
) -> Context:
    """Return the stack that a command's options select."""
    return Context(stack, profile, region, as_json=output == "json")
