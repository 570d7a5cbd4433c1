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
from arena_exports_operator.command.consent import Consent, asks, cost
from arena_exports_operator.command.desk import Command, at_desk
from arena_exports_operator.command.durations import DURATION
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import UsageError

if TYPE_CHECKING:
    from arena_exports_operator.command.desk import Desk

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
@asks
@at_desk
def send(  # noqa: PLR0913 - the options
    desk: Desk,
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
    surroundings = desk.surroundings()
    request = backfills.check(body, surroundings)
    plan = make_plan(
        desk.ledger, take_snapshot(desk.ledger, surroundings, desk.clock.now()), [request]
    )
    items = counted(len(request.item_guids), "item") if guids else "the definition's own criteria"
    what = f"Send one request for {items} of {request.group.export_guid}: {cost(plan)}"
    sent = None
    if Consent(yes=yes, dry_run=dry_run).obtain(desk, what):
        sent = sending.send(desk.aws, desk.stack, body, desk.caller)
    if desk.as_json:
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
@asks
@at_desk
def pause(  # noqa: PLR0913 - the options
    desk: Desk,
    *,
    reason: str,
    seconds: int | None,
    until: datetime | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Stop new runs at once. Requests are recorded, and the run in progress is completed."""
    end = _end(desk, seconds, until)
    if len(reason) > _MAX_REASON:
        raise UsageError(f"the reason has more than {_MAX_REASON} characters")
    when = f"until {format_utc(end)}" if end else "until somebody resumes"
    what = f"Pause exports of {desk.stack.name} {when}: no new run starts, nothing is lost."
    paused = Pause(reason, desk.caller, end)
    if Consent(yes=yes, dry_run=dry_run).obtain(desk, what):
        desk.ledger.pause.write(paused)
        desk.reconcile("pause")
    if desk.as_json:
        print_json({"reason": reason, "by": desk.caller, "until": format_utc(end) if end else None})


def _end(desk: Desk, seconds: int | None, until: datetime | None) -> int:
    """Return when a pause ends; 0 for never."""
    if seconds and until:
        raise UsageError("use either --for or --until")
    now = desk.clock.now()
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
@asks
@at_desk
def resume(desk: Desk, *, yes: bool, dry_run: bool) -> None:
    """End a pause at once."""
    surroundings, found = desk.surroundings(), desk.ledger.pause.read(desk.clock.now())
    if found is None:
        click.echo(f"{desk.stack.name} is not paused in the ledger.", err=True)
    elif Consent(yes=yes, dry_run=dry_run).obtain(
        desk, f'Resume exports of {desk.stack.name}, paused by {found.by} ("{found.reason}").'
    ):
        desk.ledger.pause.clear()
        desk.reconcile("resume")
    if desk.as_json:
        print_json({"pausedByParameter": surroundings.paused_by_parameter})
    if surroundings.paused_by_parameter:
        click.echo(_BY_PARAMETER, err=True)
        raise SystemExit(1)


@click.command(
    cls=Command,
    short_help="Check for pending work now.",
    epilog="Example: arena-exports reconcile",
)
@asks
@at_desk
def reconcile(desk: Desk, *, yes: bool, dry_run: bool) -> None:
    """Check for pending work now, as the stack does every minute."""
    what = "Check for pending work: a run is started if one may start, at its usual cost."
    if Consent(yes=yes, dry_run=dry_run).obtain(desk, what):
        desk.reconcile("reconcile")
    if desk.as_json:
        print_json({"invoked": not dry_run})


COMMANDS = (send, pause, resume, reconcile)
