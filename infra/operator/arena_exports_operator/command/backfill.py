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
from arena_exports_operator.command.confirmation import Confirmation, confirmed, cost
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import OperatorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports_operator.answers.backfills import Message
    from arena_exports_operator.answers.forecast import Plan
    from arena_exports_operator.answers.progress import Followed
    from arena_exports_operator.command.context import Context

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
@confirmed
@with_context
def backfill(  # noqa: PLR0913 - the options
    context: Context,
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
    stack_state = context.read_stack_state()
    work = backfills.read_backfill(backfills.decoded(file.read()), export_guid, stack_state)
    messages = backfills.messages_from(work, line)
    seen = take_snapshot(context.ledger, stack_state, context.clock.now())
    plan = make_plan(context.ledger, seen, [message.request for message in messages])
    what = (
        f"Send {counted(plan.items, 'item')} in {counted(len(messages), 'bulk request')} "
        f"({work.duplicates} duplicates left out): {cost(plan)}"
    )
    if file.name == "<stdin>" and not (yes or dry_run or only_plan):
        raise UsageError("add --yes: standard input cannot have both the GUIDs and your answer")
    if Confirmation(yes=yes, dry_run=dry_run or only_plan).ask(context, what):
        _carry_out(context, messages, plan, wait=wait)
    else:
        _report(context, Sent((), plan, None))


def _carry_out(context: Context, messages: Sequence[Message], plan: Plan, *, wait: bool) -> None:
    """Send messages, wait if asked to, and report what was sent, even if something fails."""
    request_ids: list[str] = []
    followed = None
    try:
        _send(context, messages, request_ids)
        followed = _wait(context, request_ids, plan.items) if wait else None
    finally:
        _report(context, Sent(tuple(request_ids), plan, followed))


def _send(context: Context, messages: Sequence[Message], request_ids: list[str]) -> None:
    """Send messages in order; if one fails, say where to continue."""
    message = messages[0]
    try:
        for message in messages:
            request_ids.append(
                sending.send(context.aws, context.stack, message.body, context.caller)
            )
    except (OperatorError, KeyboardInterrupt) as exc:
        reason = str(exc) or "interrupted"
        raise OperatorError(
            f"{reason}; {len(request_ids)} of {len(messages)} requests were sent: continue with "
            f"--from {message.first_line}"
        ) from exc


def _wait(context: Context, request_ids: Sequence[str], items: int) -> Followed:
    """Follow requests until they are done; if that fails, say that they continue."""
    try:
        return _follow(context, request_ids, items)
    except (OperatorError, KeyboardInterrupt) as exc:
        reason = str(exc) or "interrupted"
        sent = counted(len(request_ids), "request")
        raise OperatorError(
            f"{reason}; {sent} sent, which the stack still exports: see arena-exports find"
        ) from exc


def _follow(context: Context, request_ids: Sequence[str], items: int) -> Followed:
    """Show a progress bar on standard error until no item of the requests is open."""
    follower = Follower(context.ledger, context.table, request_ids)
    stack_state = context.read_stack_state()
    columns = (TextColumn("items done"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=items)
        while not (state := follower.poll(stack_state, context.clock.now())).ended:
            bar.update(task, completed=state.done)
            context.clock.sleep(POLL_SECONDS)
        bar.update(task, completed=state.done)
    return state


def _report(context: Context, sent: Sent) -> None:
    if context.as_json:
        print_json(sent)
    else:
        for request_id in sent.request_ids:
            click.echo(request_id)
    if sent.followed and sent.followed.rejected:
        rejected = counted(sent.followed.rejected, "item")
        click.echo(f"Rejected: {rejected} (see arena-exports dead-letters list).", err=True)
        raise SystemExit(1)
