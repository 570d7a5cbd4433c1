"""`doctor`: checks before and after a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted, without_addresses
from arena_exports_operator.aws import doctor as checks
from arena_exports_operator.aws.doctor import Plans, Verdict
from arena_exports_operator.command.desk import Command, at_desk
from arena_exports_operator.command.output import console, print_json
from arena_exports_operator.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arena_exports_operator.aws.doctor import Check
    from arena_exports_operator.command.desk import Desk

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.NOT_CHECKED: "dim",
}


@click.command(cls=Command, epilog="Example: arena-exports doctor --before --secret ARN")
@click.option("--before", is_flag=True, help="Check what a deployment needs, not a stack.")
@click.option("--secret", "secret_arn", help="Before a deployment: the credentials secret's ARN.")
@click.option("--export", "export_guid", help="Before a deployment: the export definition's GUID.")
@at_desk
def doctor(desk: Desk, *, before: bool, secret_arn: str | None, export_guid: str | None) -> None:
    """Check a deployed stack, or, where there is none, what a deployment needs.

    Each check is OK, a warning or a failure with its fix, or was not made. Nothing is sent to
    Arena. The exit code is 1 if a check failed.
    """
    plans = Plans(desk.would_be_named(), secret_arn, export_guid)
    found = list(checks.before(desk.aws, plans) if before else _after(desk, plans))
    print_json({"checks": found}) if desk.as_json else _show(found)
    if any(check.verdict is Verdict.FAILURE for check in found):
        raise SystemExit(1)


def _after(desk: Desk, plans: Plans) -> Iterator[Check]:
    try:
        stack = desk.stack
    except NotFoundError as exc:
        click.echo(f"{exc}: these are the checks before a deployment.", err=True)
        return checks.before(desk.aws, plans)
    seen = take_snapshot(desk.ledger, desk.surroundings(), desk.clock.now())
    return checks.after(desk.aws, stack, seen)


def _show(found: Sequence[Check]) -> None:
    out = console()
    for check in found:
        out.print(f"{check.verdict.value:<12}", style=_STYLES[check.verdict], end="")
        out.print(f"{check.name:<14}{without_addresses(check.text)}", soft_wrap=True)
        if check.fix:
            out.print(f"{'':<26}fix: {check.fix}", soft_wrap=True)
    left_out = sum(check.verdict is Verdict.NOT_CHECKED for check in found)
    click.echo(f"{counted(left_out, 'check')} could not be made.", err=True)
