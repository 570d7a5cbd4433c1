"""`deliver`: request another delivery of a run, or try pending deliveries now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.deliveries import delivery_of
from arena_exports.domain.times import format_utc
from arena_exports_operator.answers import history
from arena_exports_operator.answers.texts import NO_RUN
from arena_exports_operator.answers.words import counted
from arena_exports_operator.command.confirmation import Confirmation, confirmed
from arena_exports_operator.command.context import Command, with_context
from arena_exports_operator.command.output import print_json
from arena_exports_operator.errors import NotFoundError, OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.deliveries import Delivery
    from arena_exports_operator.command.context import Context


@click.command(
    cls=Command,
    short_help="Deliver the files of a run that are not in the bucket.",
    epilog="Example: arena-exports deliver 1042",
)
@click.argument("name", metavar="RUN", required=False)
@click.option("--pending", is_flag=True, help="Try the pending deliveries of all runs now.")
@confirmed
@with_context
def deliver(context: Context, *, name: str | None, pending: bool, yes: bool, dry_run: bool) -> None:
    """Deliver the files of RUN (its GUID or number) that are not in the bucket yet.

    Files that are in the bucket are listed in the new manifest, not downloaded again. If a delivery
    is already pending, it is tried now, whatever it waits for: use this after you have repaired the
    bucket, the key or the topic.
    """
    if pending == (name is not None):
        raise click.UsageError("name a RUN, or use --pending")
    confirmation = Confirmation(yes=yes, dry_run=dry_run)
    if name is None:
        _check_delivers(context)
        outcome = _try_now(context, confirmation, context.ledger.deliveries.pending())
    else:
        outcome = _deliver_run(context, confirmation, name)
    if context.as_json:
        print_json({"outcome": outcome})


def _deliver_run(context: Context, confirmation: Confirmation, name: str) -> str:
    """Request a delivery of a run, or try the pending one now."""
    deliveries = context.ledger.deliveries
    attempt = history.find_attempt(context.ledger, context.table, name, context.clock.now())
    if attempt is None:
        raise NotFoundError(NO_RUN.format(name))
    reported = deliveries.history(attempt.attempt_id)
    bucket = context.stack.outputs.get("DeliveryBucketName")
    if reported and (reported[-1]["outcome"], reported[-1]["bucket"]) == ("delivered", bucket):
        click.echo(f"Every file of run {attempt.run_guid} is already in the bucket.", err=True)
        return "delivered"
    delivery = _delivery(context, attempt, reported[-1]["number"] + 1 if reported else 1)
    found = deliveries.find(delivery)
    if found:
        click.echo("A delivery of this run is already pending.", err=True)
        return _try_now(context, confirmation, [found])
    what = f"Deliver run {attempt.run_guid} again: at most {_cost([delivery])}, one for each"
    if not confirmation.ask(context, f"{what} missing file."):
        return "unchanged"
    if not deliveries.request(delivery):
        return "unchanged"
    context.reconcile("deliver")
    return "requested"


def _try_now(context: Context, confirmation: Confirmation, pending: Sequence[Delivery]) -> str:
    """Try pending deliveries now, whatever they wait for."""
    if not pending:
        click.echo("No delivery is pending.", err=True)
        return "unchanged"
    runs = counted(len(pending), "delivery")
    what = f"Try the rest of {runs} now, whatever it waits for: at most {_cost(pending)}."
    if not confirmation.ask(context, what):
        return "unchanged"
    for delivery in pending:
        context.ledger.deliveries.try_now(delivery)
    context.reconcile("deliver")
    return "retried"


def _cost(deliveries: Sequence[Delivery]) -> str:
    return counted(sum(delivery.files_left for delivery in deliveries), "Arena request")


def _check_delivers(context: Context) -> None:
    if context.read_stack_state().parameters.get("DeliverFiles") != "true":
        raise OperatorError("the stack does not deliver files (parameter DeliverFiles)")


def _delivery(context: Context, attempt: Attempt, number: int) -> Delivery:
    """Return the next delivery of a run.

    Raises:
        OperatorError: it cannot be delivered.
    """
    _check_delivers(context)
    now, workspace = context.clock.now(), context.read_stack_state().workspace
    files = context.ledger.file_counts(attempt)
    delivery = delivery_of(attempt, workspace, files, now, number)
    if delivery is None or attempt.state is not AttemptState.SETTLED:
        raise OperatorError("only a completed and published run can be delivered")
    if delivery.expires_at <= now:
        at = format_utc(delivery.expires_at)
        raise OperatorError(f"Arena deleted the files of this run at {at}")
    return delivery
