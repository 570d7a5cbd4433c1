"""`backfill`: send a file of GUIDs as bulk requests, and follow their progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arena_exports_operator.answers import backfills
from arena_exports_operator.answers.forecast import make_plan
from arena_exports_operator.answers.progress import Follower
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted
from arena_exports_operator.aws import sending
from arena_exports_operator.command.consent import Consent, asks, cost
from arena_exports_operator.command.desk import Command, at_desk
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import OperatorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports_operator.answers.backfills import Message
    from arena_exports_operator.answers.forecast import Plan
    from arena_exports_operator.answers.progress import Followed
    from arena_exports_operator.command.desk import Desk

POLL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of a backfill: what was sent, and, with `--wait`, how it ended."""

    request_ids: tuple[str, ...]
    plan: Plan
    followed: Followed | None


@click.command(
    cls=Command,
    short_help="Export the items of a file, or forecast what that costs.",
    epilog="Example: arena-exports backfill items.csv --plan",
)
@click.argument("file", type=click.File("rb"))
@click.option("--export", "export_guid", help="The export definition (default: the stack's).")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what it would cost.")
@click.option("--from", "line", type=click.IntRange(1), default=1, help="Continue from this line.")
@click.option("--wait", is_flag=True, help="Show the progress until the last item is done.")
@asks
@at_desk
def backfill(  # noqa: PLR0913 - the options
    desk: Desk,
    *,
    file: BinaryIO,
    export_guid: str | None,
    only_plan: bool,
    line: int,
    wait: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Send the item GUIDs of FILE (- for standard input) as bulk requests.

    FILE is text with GUIDs, a CSV file with a column guid, or a JSON list. Its GUIDs are checked
    first, and each is sent once. The correlation ids are backfill-<hash>-<n>, the same for the same
    file. If sending stops half-way, the command prints the line to continue from.
    """
    surroundings = desk.surroundings()
    work = backfills.read_backfill(backfills.decoded(file.read()), export_guid, surroundings)
    messages = backfills.part_from(work, line)
    seen = take_snapshot(desk.ledger, surroundings, desk.clock.now())
    plan = make_plan(desk.ledger, seen, [message.request for message in messages])
    what = (
        f"Send {counted(plan.items, 'item')} in {counted(len(messages), 'bulk request')} "
        f"({work.duplicates} duplicates left out): {cost(plan)}"
    )
    if file.name == "<stdin>" and not (yes or dry_run or only_plan):
        raise UsageError("add --yes: standard input cannot have both the GUIDs and your answer")
    if Consent(yes=yes, dry_run=dry_run or only_plan).obtain(desk, what):
        _carry_out(desk, messages, plan, wait=wait)
    else:
        _report(desk, Sent((), plan, None))


def _carry_out(desk: Desk, messages: Sequence[Message], plan: Plan, *, wait: bool) -> None:
    """Send messages, wait if asked to, and report what was sent, even if something fails."""
    request_ids: list[str] = []
    followed = None
    try:
        _send(desk, messages, request_ids)
        followed = _wait(desk, request_ids, plan.items) if wait else None
    finally:
        _report(desk, Sent(tuple(request_ids), plan, followed))


def _send(desk: Desk, messages: Sequence[Message], request_ids: list[str]) -> None:
    """Send messages in order; if one fails, say where to continue."""
    message = messages[0]
    try:
        for message in messages:
            request_ids.append(sending.send(desk.aws, desk.stack, message.body, desk.caller))
    except (OperatorError, KeyboardInterrupt) as exc:
        reason = str(exc) or "interrupted"
        raise OperatorError(
            f"{reason}; {len(request_ids)} of {len(messages)} requests were sent: continue with "
            f"--from {message.first_line}"
        ) from exc


def _wait(desk: Desk, request_ids: Sequence[str], items: int) -> Followed:
    """Follow requests until they are done; if that fails, say that they continue."""
    try:
        return _follow(desk, request_ids, items)
    except (OperatorError, KeyboardInterrupt) as exc:
        reason = str(exc) or "interrupted"
        sent = counted(len(request_ids), "request")
        raise OperatorError(
            f"{reason}; {sent} sent, which the stack still exports: see arena-exports find"
        ) from exc


def _follow(desk: Desk, request_ids: Sequence[str], items: int) -> Followed:
    """Show a progress bar on standard error until no item of the requests is open."""
    follower = Follower(desk.ledger, desk.table, request_ids)
    surroundings = desk.surroundings()
    columns = (TextColumn("items done"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=items)
        while not (state := follower.look(surroundings, desk.clock.now())).ended:
            bar.update(task, completed=state.done)
            desk.clock.sleep(POLL_SECONDS)
        bar.update(task, completed=state.done)
    return state


def _report(desk: Desk, sent: Sent) -> None:
    if desk.as_json:
        print_json(sent)
    else:
        for request_id in sent.request_ids:
            click.echo(request_id)
    if sent.followed and sent.followed.rejected:
        rejected = counted(sent.followed.rejected, "item")
        click.echo(f"Rejected: {rejected} (see arena-exports dead-letters list).", err=True)
        raise SystemExit(1)
