"""`deliver`: have the files of a run that are not in the bucket delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.deliveries import delivery_of
from arena_exports.domain.times import format_utc
from arena_exports_operator.answers import history
from arena_exports_operator.answers.texts import NO_RUN
from arena_exports_operator.answers.words import counted
from arena_exports_operator.command.consent import Consent, asks
from arena_exports_operator.command.desk import Command, at_desk
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import NotFoundError, OperatorError

if TYPE_CHECKING:
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.deliveries import Delivery
    from arena_exports_operator.command.desk import Desk


@click.command(
    cls=Command,
    short_help="Deliver the files of a run that are not in the bucket.",
    epilog="Example: arena-exports deliver 1042",
)
@click.argument("name", metavar="RUN")
@asks
@at_desk
def deliver(desk: Desk, *, name: str, yes: bool, dry_run: bool) -> None:
    """Deliver the files of a run, by its GUID or number, that are not in the bucket yet.

    Files that are there are listed in the new manifest, not downloaded again.
    """
    attempt = history.find_attempt(desk.ledger, desk.table, name, desk.clock.now())
    if attempt is None:
        raise NotFoundError(NO_RUN.format(name))
    reported = desk.ledger.deliveries.history(attempt.attempt_id)
    bucket = desk.stack.outputs.get("DeliveryBucketName")
    if reported and (reported[-1]["outcome"], reported[-1]["bucket"]) == ("delivered", bucket):
        click.echo(f"Every file of run {attempt.run_guid} is in the bucket already.", err=True)
        _report(desk, "delivered")
        return
    delivery = _delivery(desk, attempt, len(reported) + 1)
    what = (
        f"Deliver run {attempt.run_guid} again: at most "
        f"{counted(delivery.file_count, 'Arena request')}, one for each file that is missing."
    )
    asked = False
    if Consent(yes=yes, dry_run=dry_run).obtain(desk, what):
        asked = desk.ledger.deliveries.request(delivery)
        if asked:
            desk.reconcile("deliver")
        else:
            click.echo("A delivery of this run is pending already.", err=True)
    _report(desk, "requested" if asked else "unchanged")


def _delivery(desk: Desk, attempt: Attempt, number: int) -> Delivery:
    """Return the next delivery of a run.

    Raises:
        OperatorError: it cannot be delivered.
    """
    surroundings, now = desk.surroundings(), desk.clock.now()
    if surroundings.parameters.get("DeliverFiles") != "true":
        raise OperatorError("the stack does not deliver files (parameter DeliverFiles)")
    files = len(desk.ledger.attempts.files(attempt.attempt_id))
    delivery = delivery_of(attempt, surroundings.workspace, files, now, number)
    if delivery is None or attempt.state is not AttemptState.SETTLED:
        raise OperatorError("only a run that has completed, and is published, can be delivered")
    if delivery.expires_at <= now:
        at = format_utc(delivery.expires_at)
        raise OperatorError(f"Arena deleted the files of this run at {at}")
    return delivery


def _report(desk: Desk, outcome: str) -> None:
    if desk.as_json:
        print_json({"outcome": outcome})
