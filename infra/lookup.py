"""Say what became of a request: `python -m infra.lookup --table <LedgerTableName> <message id>`.

Reads the ledger by key, from the request's marker over its pages to the attempts that took its
items; nothing is changed. The AWS account and region are those of the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

import boto3
import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.ledger import Ledger, open_ledger
from arena_exports.model import AttemptId, RequestId
from arena_exports.runs import zulu


@click.command()
@click.option("--table", required=True, help="The stack's output LedgerTableName.")
@click.argument("request_id")
def main(table: str, request_id: str) -> None:
    """Show the attempts and runs that took items of REQUEST_ID, the id of its SQS message."""
    ledger = open_ledger(DynamoTable(boto3.client("dynamodb"), table), SystemClock())
    console = Console(highlight=False)
    attempts = ledger.requests.attempts_of(RequestId(request_id))
    if attempts is None:
        console.print(f"{request_id} was never recorded, or its marker has expired (75 days).")
        raise SystemExit(1)
    still_open = ledger.requests.open_counts([RequestId(request_id)], ())
    console.print(f"Items still pending: {still_open.get(RequestId(request_id), 0)}")
    console.print(_table(ledger, [AttemptId(attempt) for attempt in attempts]))


def _table(ledger: Ledger, attempts: list[AttemptId]) -> Table:
    table = Table("submitted", "state", "run", "status", "items")
    for attempt_id in attempts:
        attempt = ledger.lease.attempt(attempt_id)
        status = attempt.result.status or attempt.result.outcome.value if attempt.result else ""
        row = (zulu(attempt.sent_at), attempt.state.value, attempt.run_guid or "", status)
        table.add_row(*row, str(attempt.item_count))
    return table


if __name__ == "__main__":
    main()
