"""`doctor`: checks before and after a deployment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_exports.domain.messages import normal_guid
from arena_exports.services.examination import MAX_REQUESTS
from arena_exports_operator.answers.checks import Verdict, not_checked
from arena_exports_operator.answers.definition import checks_of, named_by
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted, for_terminal
from arena_exports_operator.aws import arena
from arena_exports_operator.aws import doctor as checks
from arena_exports_operator.aws.doctor import PlannedDeployment
from arena_exports_operator.command.confirmation import Confirmation
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.output import console, print_json
from arena_exports_operator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arena_exports_operator.answers.checks import Check
    from arena_exports_operator.command.context import Context

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.NOT_CHECKED: "dim",
}
_FILES = ("definition.json", "runs.json")


@click.command(
    cls=Command,
    short_help="Check a deployed stack, or the prerequisites of one.",
    epilog="Example: arena-exports doctor --arena --record fixtures/",
)
@click.option("--before", is_flag=True, help="Check the prerequisites of a deployment.")
@click.option("--secret", "secret_arn", help="With --before: the ARN of the credentials secret.")
@click.option("--export", "export_guid", help="The export definition (default: the stack's).")
@click.option("--arena", "asks_arena", is_flag=True, help="Also ask Arena, through the stack.")
@click.option(
    "--record",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --arena: write Arena's answers, redacted, to this folder.",
)
@click.option("--yes", is_flag=True, help="With --arena: do not ask for confirmation.")
@with_context
def doctor(  # noqa: PLR0913 - the options
    context: Context,
    *,
    before: bool,
    secret_arn: str | None,
    export_guid: str | None,
    asks_arena: bool,
    folder: Path | None,
    yes: bool,
) -> None:
    """Check a deployed stack, or, if there is none, the prerequisites of a deployment.

    Each check is OK, a warning or a failure with its fix, or not checked. Only --arena sends
    requests to Arena, at most three. The exit code is 1 if a check failed.
    """
    if folder and not asks_arena:
        raise UsageError("--record needs --arena")
    if before and asks_arena:
        raise UsageError("--arena needs a deployed stack, so it cannot be used with --before")
    planned = PlannedDeployment(context.would_be_named(), secret_arn, export_guid)
    if before:
        found = list(checks.before(context.aws, planned))
    elif asks_arena:
        guid = _agreed(context, export_guid, yes=yes)
        found = [*_after(context), *_of_arena(context, guid, folder)]
    else:
        found = list(_after_or_before(context, planned))
    print_json({"checks": found}) if context.as_json else _show(found)
    if any(check.verdict is Verdict.FAILURE for check in found):
        raise SystemExit(1)


def _after_or_before(context: Context, planned: PlannedDeployment) -> Iterator[Check]:
    try:
        _ = context.stack
    except NotFoundError as exc:
        click.echo(f"{exc}: these are the checks before a deployment.", err=True)
        yield from checks.before(context.aws, planned)
        return
    yield from _after(context)
    yield checks.arena_not_asked()


def _after(context: Context) -> Iterator[Check]:
    seen = take_snapshot(context.ledger, context.read_stack_state(), context.clock.now())
    return checks.after(context.aws, context.stack, seen)


def _agreed(context: Context, export_guid: str | None, *, yes: bool) -> str:
    """Return the definition to ask Arena about, after saying what it costs and asking."""
    named = named_by(context.stack.parameters)
    guid = normal_guid(export_guid or next(iter(named), ""))
    if guid is None:
        raise UsageError("name an export definition with --export GUID")
    what = (
        f"Ask Arena about {guid}: at most {MAX_REQUESTS} Arena requests, and none once "
        "RequestBudgetReserve is reached. If no session is active, the stack logs in."
    )
    Confirmation(yes=yes, dry_run=False).ask(context, what)
    return guid


def _of_arena(context: Context, guid: str, folder: Path | None) -> Iterator[Check]:
    """Yield what Arena says about a definition, and which others it was not asked about."""
    yield from checks.unless_denied("arena", lambda: _ask(context, guid, folder))
    others = [other for other in named_by(context.stack.parameters) if other != guid]
    what = ", ".join(others) or "definitions that only requests name"
    yield not_checked("definitions", f"Arena was not asked about {what}: use --export GUID")


def _ask(context: Context, guid: str, folder: Path | None) -> Iterator[Check]:
    examined = arena.examine(context.aws, context.stack, guid, context.caller)
    if folder:
        _record(folder, examined.answers)
    yield from checks_of(guid, examined.answers, examined.problem, context.stack.parameters)


def _record(folder: Path, answers: Sequence[Mapping[str, object]]) -> None:
    """Write Arena's answers, which the function has redacted, one file for each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, answer in zip(_FILES, answers, strict=False):
        (folder / name).write_text(json.dumps(answer, indent=2) + "\n")
        click.echo(f"Wrote {folder / name}.", err=True)


def _show(found: Sequence[Check]) -> None:
    out = console()
    for check in found:
        out.print(f"{check.verdict.value:<12}", style=_STYLES[check.verdict], end="")
        out.print(f"{check.name:<14}{for_terminal(check.text)}", soft_wrap=True)
        if check.fix:
            out.print(f"{'':<26}fix: {for_terminal(check.fix)}", soft_wrap=True)
    left_out = sum(check.verdict is Verdict.NOT_CHECKED for check in found)
    if left_out:
        verb = "was" if left_out == 1 else "were"
        click.echo(f"{counted(left_out, 'check')} {verb} not made.", err=True)
