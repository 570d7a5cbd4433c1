"""Show what happened to a request: `python -m infra.lookup --table <LedgerTableName> <message id>`.

Reads the ledger by key, from the request's marker to its pages and to the attempts with its items.
Changes nothing. The environment defines the AWS account and region.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import boto3
import click
from botocore.exceptions import BotoCoreError

sys.path.insert(0, str(Path(__file__).parents[2] / "functions"))

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.domain.errors import LedgerUnavailableError
from arena_exports.domain.model import AttemptId, Entry, ItemGuid, Kind, RequestId
from arena_exports.domain.times import format_utc
from arena_exports.ledger import Ledger, open_ledger
from infra.lookup.reasons import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports.domain.attempts import Attempt
    from arena_exports.ledger.items import PageState
    from arena_exports.ports import Clock, Table

_UNKNOWN = (
    "{} was never recorded (it may still be on the intake queue), or its marker has expired "
    "(after 75 days), or it was rejected as malformed (see the dead-letter queue)."
)
_NO_MESSAGE_ID = (
    " This command takes the id of an SQS message, which this is not. To find the id by a "
    "correlation id, search the logs: it is the requestId of the lines."
)


@click.command()
@click.option("--table", required=True, help="The stack's output LedgerTableName.")
@click.argument("request_id")
def main(table: str, request_id: str) -> None:
    """Show the pending items and the runs of REQUEST_ID, which is the id of an SQS message."""
    try:
        known = _show(DynamoTable(boto3.client("dynamodb"), table), SystemClock(), request_id)
    except (BotoCoreError, LedgerUnavailableError) as exc:
        cause = " ".join(str(exc.__cause__ or exc).split()).rstrip(".")
        account = "AWS_PROFILE and AWS_DEFAULT_REGION define account and region"
        raise click.ClickException(f"cannot read table {table}: {cause} ({account})") from exc
    if not known:
        raise SystemExit(1)


def _show(table: Table, clock: Clock, request_id: str) -> bool:
    """Print a request; return False if it is not in the ledger."""
    ledger = open_ledger(table, clock)
    states = ledger.requests.trace(RequestId(request_id))
    if states is None:
        hint = "" if _is_message_id(request_id) else _NO_MESSAGE_ID
        click.echo(_UNKNOWN.format(request_id) + hint)
        return False
    groups = dict.fromkeys(state.page.group for state in states if _pending(state, request_id))
    click.echo(_summary(states, request_id))
    if groups:
        for reason in reasons(ledger, groups, clock.now()):
            click.echo(f"- {reason}")
    for line in _lines(list(_attempts(ledger, states, request_id))):
        click.echo(line)
    return True


def _is_message_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _lines(attempts: list[tuple[Attempt, list[Entry]]]) -> Iterator[str]:
    """Yield an aligned header and a line for each attempt, without truncation."""
    rows = [("submitted", "state", "run", "items", "outcome")]
    rows += [_row(attempt, entries) for attempt, entries in attempts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if attempts else []:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _entries(state: PageState, request_id: str, start: int, stop: int) -> Iterator[Entry]:
    """Yield the entries of the request between two positions of a page."""
    return (entry for entry in state.page.part(start, stop) if entry.request_id == request_id)


def _pending(state: PageState, request_id: str) -> list[Entry]:
    """Return the pending entries of the request on a page."""
    if state.position is None:
        return []
    return list(_entries(state, request_id, state.position, state.page.size))


def _summary(states: list[PageState], request_id: str) -> str:
    """Return the first line: the number of pending items."""
    pending = [entry for state in states for entry in _pending(state, request_id)]
    if any(state.page.group.kind is Kind.DEFINITION for state in states):
        state = "pending" if pending else "finished"
        return f"Run of an export definition with its own criteria: {state}"
    open_items = sum(len(entry.item_guids) for entry in pending)
    entries = (e for state in states for e in _entries(state, request_id, 0, state.page.size))
    totals = {entry.total for entry in entries}
    return f"Items still pending: {open_items}" + "".join(f" of {total}" for total in totals)


def _attempts(
    ledger: Ledger, states: list[PageState], request_id: str
) -> Iterator[tuple[Attempt, list[Entry]]]:
    """Yield the attempts with items of the request, the current one included, and these entries."""
    current = ledger.lease.read().attempt_id
    attempt_ids = {name for state in states for name in state.attempts}
    for attempt_id in sorted(attempt_ids | ({current} if current else set())):
        with suppress(KeyError):  # expired, 60 days after it was settled
            attempt = ledger.attempts.get(AttemptId(attempt_id))
            entries = _carried(attempt, states, request_id)
            if entries:
                yield attempt, entries


def _carried(attempt: Attempt, states: list[PageState], request_id: str) -> list[Entry]:
    """Return the entries of the request in an attempt."""
    known = {state.page.page_id: state for state in states}
    return [
        entry
        for cut in attempt.slices
        if cut.page_id in known
        for entry in _entries(known[cut.page_id], request_id, cut.start, cut.stop)
    ]


def _row(attempt: Attempt, entries: list[Entry]) -> tuple[str, str, str, str, str]:
    """Return the time, state, run, share of the items, and outcome of an attempt."""
    own = _items(entries) - attempt.rejected
    share = f"{len(own)} of {attempt.item_count - len(attempt.rejected)}"
    return (
        format_utc(attempt.sent_at),
        attempt.state.value,
        attempt.run_guid or "",
        "criteria" if attempt.group.kind is Kind.DEFINITION else share,
        "; ".join(_outcome(attempt, entries)),
    )


def _outcome(attempt: Attempt, entries: list[Entry]) -> Iterator[str]:
    """Yield the status with its error, and how many items were not found or refused."""
    result = attempt.result
    if result:
        status = result.status or result.outcome.value
        items, found = attempt.item_count - len(attempt.rejected), result.criteria_results_count
        if found is not None and found < items:
            status += f", {found} of {items} found"
        error = f"{result.error_code} {result.error_message}".strip()
        yield f"{status}: {error}" if error else status
    refused = _items(entries) & attempt.rejected
    if refused:
        yield f"{len(refused)} refused by Arena (see the dead-letter queue)"


def _items(entries: list[Entry]) -> set[ItemGuid]:
    return {guid for entry in entries for guid in entry.item_guids}


if __name__ == "__main__":
    main()
