"""`dead-letters list` and `dead-letters redrive`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from arena_exports.domain.times import format_utc
from arena_exports_operator.answers import backfills
from arena_exports_operator.answers.forecast import make_plan
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.words import counted, for_terminal, how_long
from arena_exports_operator.aws.dead_letters import DeadLetters
from arena_exports_operator.command.confirmation import Confirmation, confirmed, cost
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.durations import DURATION
from arena_exports_operator.command.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena_exports_operator.answers.forecast import Plan
    from arena_exports_operator.aws.dead_letters import Entry
    from arena_exports_operator.command.context import Context

_NONE = "No entry matches."
_MORE = "The queue has more entries than were read: raise --limit, or run the command again."


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to select; None matches all."""

    code: str | None
    request_id: str | None
    older_than: int | None
    newer_than: int | None

    def matches(self, entry: Entry, now: float) -> bool:
        """Report whether an entry matches."""
        age = now - entry.sent_at
        return (
            self.code in (None, entry.error_code)
            and self.request_id in (None, entry.request_id)
            and (self.older_than is None or age >= self.older_than)
            and (self.newer_than is None or age <= self.newer_than)
        )


@click.group("dead-letters")
def dead_letters() -> None:
    """List the requests that failed, or send them again."""


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--limit", type=click.IntRange(1, 10_000), default=1_000, show_default=True),
        click.option("--newer-than", type=DURATION, help="Only entries newer than 90s, 15m …"),
        click.option("--older-than", type=DURATION, help="Only entries older than 2h, 3d …"),
        click.option("--request", "request_id", help="Only entries of this request."),
        click.option("--code", help="Only entries with this error code."),
    ):
        function = option(function)
    return function


def _queue(context: Context) -> DeadLetters:
    outputs = context.stack.outputs
    sqs = context.aws.client("sqs")
    return DeadLetters(sqs, outputs["DeadLetterQueueUrl"], outputs["IntakeQueueUrl"])


@dead_letters.command(
    "list",
    cls=Command,
    short_help="List entries, without hiding them from the alarm.",
    epilog="Example: arena-exports dead-letters list --code 3011",
)
@_filters
@with_context
def list_entries(context: Context, *, limit: int, **filters: str | int | None) -> None:
    """List entries by code, age or request, without hiding them from the alarm."""
    wanted, now = Filter(**filters), context.clock.now()  # type: ignore[arg-type] # click's options
    with _queue(context).read(limit) as read:
        found = [entry for entry in read.entries if wanted.matches(entry, now)]
    if context.as_json:
        rows = [{**_fields(entry), "body": entry.body} for entry in found]
        print_json({"entries": rows, "complete": read.complete})
    elif found:
        print_table(("age", "code", "request", "message"), [_row(context, e) for e in found])
    else:
        click.echo(_NONE, err=True)
    if not read.complete:
        click.echo(_MORE, err=True)


def _fields(entry: Entry) -> dict[str, str | None]:
    return {
        "messageId": entry.message_id,
        "requestId": entry.request_id,
        "errorCode": entry.error_code,
        "errorMessage": entry.error_message,
        "sentAt": format_utc(entry.sent_at),
    }


def _row(context: Context, entry: Entry) -> tuple[str, ...]:
    return (
        how_long(max(context.clock.now() - entry.sent_at, 0)),
        entry.error_code or "-",
        entry.request_id or "-",
        entry.error_message or "moved here by SQS",
    )


@dead_letters.command(
    "redrive",
    cls=Command,
    short_help="Send entries to the intake queue again.",
    epilog="Example: arena-exports dead-letters redrive --code 3011 --dry-run",
)
@_filters
@confirmed
@with_context
def redrive(
    context: Context, *, limit: int, yes: bool, dry_run: bool, **filters: str | int | None
) -> None:
    """Send entries to the intake queue again. Each is sent before it is deleted.

    If the command is stopped, nothing is lost; at worst, one entry is sent twice.
    """
    wanted, now = Filter(**filters), context.clock.now()  # type: ignore[arg-type] # click's options
    queue, sent = _queue(context), list[dict[str, str | None]]()
    with queue.read(limit) as read:
        found = [entry for entry in read.entries if wanted.matches(entry, now)]
        plan, again = _plan(context, found)
        what = _summary(found)
        if plan.runs:
            what += f" {cost(plan)}"
        if again:
            what += f" Will be rejected again, because it is malformed: {counted(again, 'entry')}."
        if not found:
            click.echo(_NONE, err=True)
        elif Confirmation(yes=yes, dry_run=dry_run).ask(context, what):
            for entry, request_id in queue.redrive(found, context.caller):
                sent.append({**_fields(entry), "newRequestId": request_id})
                if not context.as_json:
                    old = for_terminal(entry.request_id or entry.message_id)
                    click.echo(f"{old} -> {request_id}")
    if context.as_json:
        print_json({"sent": sent, "plan": plan, "complete": read.complete})
    if not read.complete:
        click.echo(_MORE, err=True)


def _plan(context: Context, found: Sequence[Entry]) -> tuple[Plan, int]:
    """Return what the entries will cost, and how many of them intake will reject again."""
    stack_state = context.read_stack_state()
    requests = backfills.accepted([entry.body for entry in found], stack_state)
    seen = take_snapshot(context.ledger, stack_state, context.clock.now())
    return make_plan(context.ledger, seen, requests), len(found) - len(requests)


def _summary(found: Sequence[Entry]) -> str:
    codes = Counter(entry.error_code or "none" for entry in found)
    by_code = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return f"Send {counted(len(found), 'entry')} to the intake queue again (by code: {by_code})."
