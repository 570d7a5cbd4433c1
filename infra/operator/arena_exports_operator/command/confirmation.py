"""Say what a command will do and cost, ask for confirmation, and log who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from arena_exports.domain.times import format_utc
from arena_exports_operator.answers.words import counted, for_terminal, how_long

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports_operator.answers.forecast import Plan
    from arena_exports_operator.command.context import Context


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Whether to ask, and whether to do anything."""

    yes: bool
    dry_run: bool

    def ask(self, context: Context, what: str) -> bool:
        """Say what will be done, and return whether to do it; log the caller if so.

        Raises:
            click.Abort: the operator declines.
        """
        click.echo(for_terminal(what), err=True)
        if self.dry_run:
            click.echo("Nothing was done.", err=True)
            return False
        if not self.yes:
            click.confirm("Continue?", abort=True, err=True)
        at = format_utc(context.clock.now())
        click.echo(for_terminal(f"{at} as {context.caller}"), err=True)
        return True


def confirmed(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--yes` and `--dry-run`."""
    function = click.option("--dry-run", is_flag=True, help="Only show what it would do.")(function)
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(function)


def cost(plan: Plan) -> str:
    """Return what requests will cost, in one sentence."""
    runs = counted(plan.runs, "run")
    ahead = f"after {counted(plan.runs_ahead, 'run')} for pending requests."
    if plan.arena_requests is None or plan.hours is None or plan.hours_95 is None:
        return (
            f"{runs}, at least {plan.arena_requests_at_least} Arena requests, {ahead} How long "
            "they take is not known, because no run of this export definition has succeeded yet."
        )
    return (
        f"{runs}, about {plan.arena_requests} Arena requests (95 %: {plan.arena_requests_95}), "
        f"done in about {how_long(plan.hours * 3600)} (95 %: {how_long(plan.hours_95 * 3600)}), "
        f"{ahead}"
    )
