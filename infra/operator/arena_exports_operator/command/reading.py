"""The commands that only read."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from arena_exports_operator.answers import find as finding
from arena_exports_operator.answers import history, schemas
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.status import Word, read_status
from arena_exports_operator.answers.texts import INCOMPLETE, NO_RUN, UNKNOWN
from arena_exports_operator.answers.why import why_not_exported, why_nothing_moves
from arena_exports_operator.command import views
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.output import console, print_json
from arena_exports_operator.errors import NotFoundError

if TYPE_CHECKING:
    from arena_exports_operator.answers.status import Status
    from arena_exports_operator.command.context import Context

WATCH_SECONDS = 5
_PROBLEMS = frozenset({Word.DEGRADED, Word.STALLED})


@click.command(
    cls=Command,
    short_help="Show whether the stack works, and if not, why.",
    epilog="Example: arena-exports status --watch",
)
@click.option("--watch", is_flag=True, help=f"Refresh the output every {WATCH_SECONDS} s.")
@with_context
def status(context: Context, *, watch: bool) -> None:
    """Show whether the stack works: one word with its reason, and the figures behind it.

    The word is OK, WAITING (it continues without help), DEGRADED (something needs your attention)
    or STALLED (nothing continues until you act). The exit code is 1 for the last two.
    """
    found = _show_status(context)
    with suppress(KeyboardInterrupt):  # Ctrl-C ends watching
        while watch:
            time.sleep(WATCH_SECONDS)
            if not context.as_json:
                console().clear()
            found = _show_status(context)
    if found.word in _PROBLEMS:
        raise SystemExit(1)


def _show_status(context: Context) -> Status:
    found = read_status(
        context.ledger, context.table, context.read_stack_state(), context.clock.now()
    )
    print_json(found) if context.as_json else views.show_status(found)
    return found


@click.command(
    cls=Command,
    short_help="Explain why nothing moves, or why ID is not exported yet.",
    epilog="Example: arena-exports why ECO-000023",
)
@click.argument("name", metavar="[ID]", required=False)
@with_context
def why(context: Context, name: str | None) -> None:
    """Explain in one sentence why nothing moves, or why ID is not exported yet.

    ID is a message id, a correlation id, an item GUID, or a run's GUID or number. Indented
    sentences give further reasons that apply at the same time.
    """
    stack_state, now = context.read_stack_state(), context.clock.now()
    if name is None:
        answer = why_nothing_moves(context.ledger, stack_state, now)
    else:
        found = why_not_exported(context.ledger, context.table, stack_state, name, now)
        if found is None:
            raise NotFoundError(UNKNOWN.format(name))
        answer = found
    print_json(answer) if context.as_json else views.show_why(answer)


@click.command(cls=Command, epilog="Example: arena-exports find CUEXB8CEPGHGZI18WDMU")
@click.argument("name", metavar="ID")
@with_context
def find(context: Context, name: str) -> None:
    """Show everything that is known of ID.

    ID is a message id, a correlation id, an item GUID, a run's GUID or number, or a file's GUID.
    """
    seen = take_snapshot(context.ledger, context.read_stack_state(), context.clock.now())
    found = finding.find(context.ledger, context.table, seen, name)
    if found.empty:
        raise NotFoundError(UNKNOWN.format(name) + ("" if found.complete else INCOMPLETE))
    print_json(found) if context.as_json else views.show_found(found)
    if not found.complete:
        click.echo(f"There may be more{INCOMPLETE}.", err=True)


_TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"])


@click.command(
    cls=Command, epilog="Example: arena-exports runs --outcome FAILED --since 2026-11-01"
)
@click.option("--export", "export_guid", default="", help="Only this export definition.")
@click.option("--outcome", default="", help="Only this status, for example FAILED.")
@click.option("--since", type=_TIMES, help="Only runs submitted at or after this time (UTC).")
@click.option("--until", type=_TIMES, help="Only runs submitted up to this time (UTC).")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--all", "with_voided", is_flag=True, help="Also show POSTs that led to no run.")
@with_context
def runs(  # noqa: PLR0913, PLR0917 - the filters
    context: Context,
    export_guid: str,
    outcome: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    *,
    with_voided: bool,
) -> None:
    """List runs, newest first."""
    wanted = history.RunFilter(
        export_guid.upper(), outcome, _epoch(since), _epoch(until), with_voided=with_voided
    )
    found = history.list_runs(context.table, context.clock.now(), wanted, limit)
    if context.as_json:
        print_json({"runs": found})
    elif found:
        views.show_runs(found)
    else:
        click.echo("No run matches.", err=True)


def _epoch(moment: datetime | None) -> float:
    return moment.replace(tzinfo=UTC).timestamp() if moment else 0


@click.command(
    cls=Command,
    short_help="Show one run, with its requests and files.",
    epilog="Example: arena-exports run 1042",
)
@click.argument("name", metavar="RUN")
@with_context
def run(context: Context, name: str) -> None:
    """Show RUN (its GUID or number) with its requests and files."""
    attempt = history.find_attempt(context.ledger, context.table, name, context.clock.now())
    if attempt is None:
        raise NotFoundError(NO_RUN.format(name))
    detail = history.describe(context.ledger, attempt)
    print_json(detail) if context.as_json else views.show_run(detail)


@click.command(
    cls=Command,
    short_help="Print a JSON schema, or the names of all schemas.",
    epilog="Example: arena-exports schema message",
)
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print the JSON schema NAME, or the names of all schemas."""
    if name is None:
        print("\n".join(schemas.names()))
    else:
        print(schemas.read(name), end="")


COMMANDS = (status, why, find, runs, run, schema)
