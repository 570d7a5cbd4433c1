"""The commands that change something: send, pause, resume, reconcile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from arena_exports.domain.pause import Pause
from arena_exports.domain.times import format_utc
from arena_exports_operator.answers import backfills
from arena_exports_operator.answers.forecast import make_plan
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted
from arena_exports_operator.aws import sending
from arena_exports_operator.command.confirmation import Confirmation, confirmed, cost
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.durations import DURATION
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import UsageError

if TYPE_CHECKING:
    from arena_exports_operator.command.context import Context

_MAX_REASON = 200
_BY_PARAMETER = (
    "Warning: the stack's parameter ExportsPaused is still true, so no new run starts. Set it to "
    "false (see the runbook, Pause and resume)."
)


@click.command(
    cls=Command,
    short_help="Request an export of items, or a run of a definition.",
    epilog="Example: arena-exports send CUEXB8CEPGHGZI18WDMU --correlation-id ECO-23",
)
@click.argument("guids", metavar="[GUID]...", nargs=-1)
@click.option("--export", "export_guid", help="The export definition (default: the stack's).")
@click.option("--correlation-id", help="Your own reference, at most 128 characters.")
@click.option("--bulk", is_flag=True, help="Mark it as a backfill, which alternates with others.")
@confirmed
@with_context
def send(  # noqa: PLR0913 - the options
    context: Context,
    guids: tuple[str, ...],
    export_guid: str | None,
    correlation_id: str | None,
    *,
    bulk: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Request an export of items, or, without GUIDs, a run with the definition's own criteria."""
    if not guids and not export_guid:
        raise UsageError("name items, or an export definition with --export")
    fields = {
        "exportGuid": export_guid,
        "itemGuids": list(guids) or None,
        "correlationId": correlation_id,
        "priority": "bulk" if bulk else None,
    }
    body = json.dumps({name: value for name, value in fields.items() if value is not None})
    stack_state = context.read_stack_state()
    request = backfills.check(body, stack_state)
    plan = make_plan(
        context.ledger, take_snapshot(context.ledger, stack_state, context.clock.now()), [request]
    )
    items = counted(len(request.item_guids), "item") if guids else "the definition's own criteria"
    what = f"Send one request for {items} of {request.group.export_guid}: {cost(plan)}"
    sent = None
    if Confirmation(yes=yes, dry_run=dry_run).ask(context, what):
        sent = sending.send(context.aws, context.stack, body, context.caller)
    if context.as_json:
        print_json({"requestId": sent, "plan": plan})
    elif sent:
        click.echo(sent)


@click.command(
    cls=Command,
    short_help="Stop new runs, for a time or until you resume.",
    epilog='Example: arena-exports pause --reason "Arena maintenance" --for 2h',
)
@click.option("--reason", required=True, help="The reason, which `status` and `why` show.")
@click.option("--for", "seconds", type=DURATION, help="Resume after this time, such as 15m or 2h.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M"]),
    help="Resume at this time (UTC).",
)
@confirmed
@with_context
def pause(  # noqa: PLR0913 - the options
    context: Context,
    *,
    reason: str,
    seconds: int | None,
    until: datetime | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Stop new runs at once. Requests are recorded, and the run in progress is completed."""
    end = _end(context, seconds, until)
    if len(reason) > _MAX_REASON:
        raise UsageError(f"the reason has more than {_MAX_REASON} characters")
    when = f"until {format_utc(end)}" if end else "until somebody resumes"
    what = f"Pause exports of {context.stack.name} {when}: no new run starts, nothing is lost."
    paused = Pause(reason, context.caller, end)
    if Confirmation(yes=yes, dry_run=dry_run).ask(context, what):
        context.ledger.pause.write(paused)
        context.reconcile("pause")
    if context.as_json:
        print_json(
            {"reason": reason, "by": context.caller, "until": format_utc(end) if end else None}
        )


def _end(context: Context, seconds: int | None, until: datetime | None) -> int:
    """Return when a pause ends; 0 for never."""
    if seconds and until:
        raise UsageError("use either --for or --until")
    now = context.clock.now()
    end = (
        int(until.replace(tzinfo=UTC).timestamp())
        if until
        else int(now + seconds)
        if seconds
        else 0
    )
    if end and end <= now:
        raise UsageError("the end of the pause is in the past")
    return end


@click.command(cls=Command, epilog="Example: arena-exports resume")
@confirmed
@with_context
def resume(context: Context, *, yes: bool, dry_run: bool) -> None:
    """End a pause at once."""
    stack_state, found = context.read_stack_state(), context.ledger.pause.read(context.clock.now())
    if found is None:
        click.echo(f"{context.stack.name} is not paused in the ledger.", err=True)
    elif Confirmation(yes=yes, dry_run=dry_run).ask(
        context, f'Resume exports of {context.stack.name}, paused by {found.by} ("{found.reason}").'
    ):
        context.ledger.pause.clear()
        context.reconcile("resume")
    if context.as_json:
        print_json({"pausedByParameter": stack_state.paused_by_parameter})
    if stack_state.paused_by_parameter:
        click.echo(_BY_PARAMETER, err=True)
        raise SystemExit(1)


@click.command(
    cls=Command,
    short_help="Check for pending work now.",
    epilog="Example: arena-exports reconcile",
)
@confirmed
@with_context
def reconcile(context: Context, *, yes: bool, dry_run: bool) -> None:
    """Check for pending work now, as the stack does every minute."""
    what = "Check for pending work: a run is started if one may start, at its usual cost."
    if Confirmation(yes=yes, dry_run=dry_run).ask(context, what):
        context.reconcile("reconcile")
    if context.as_json:
        print_json({"invoked": not dry_run})


COMMANDS = (send, pause, resume, reconcile)
