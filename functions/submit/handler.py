"""The entry of submit: an SQS batch, or a reconcile.

`{"action": "reconcile"}` comes from the schedule and from the state machine's last step; from the
operator's tool, it also has the `command`, and in `sentBy` the ARN of whoever ran it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.deadline import Deadline
from arena_exports.services.backlog import measure_backlog
from arena_exports.wiring.settings import in_lambda
from arena_exports.wiring.submit import SubmitFunction

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_SECONDS_TO_RETURN = 5

deployed = cache(SubmitFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the messages of an SQS event (`Records`), then start or advance a run.

    Returns:
        `{"batchItemFailures": [{"itemIdentifier": "<message id>"}]}`: messages that are not
            recorded yet.
    """
    return submit(event, context.get_remaining_time_in_millis() / 1000, deployed())


def submit(event: dict[str, Any], seconds_left: float, function: SubmitFunction) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    deadline = Deadline(function.clock.now() + seconds_left - _SECONDS_TO_RETURN)
    records = event.get("Records")
    if records is None:
        if "sentBy" in event:
            function.telemetry.info(
                "operator asks to reconcile", command=event["command"], sentBy=event["sentBy"]
            )
        due, now = function.downloads.are_due(), function.clock.now()
        try:
            function.dispatch.run(deadline, linger=False)
            due = due and not function.downloads.is_run_being_submitted()
        finally:
            if due:  # only now that the next run was submitted may a file be downloaded
                function.downloads.start(settled_before=now)
        measure_backlog(function.ledger.requests, function.clock, function.telemetry)
        return {"batchItemFailures": []}
    failed = function.intake.record(records, deadline)
    try:
        function.dispatch.run(deadline, linger=True)
    except Exception:  # noqa: BLE001 - the messages are safe already; the reconcile schedule retries
        logger.exception("no run was started")
        function.telemetry.count("SubmissionErrors")
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


if in_lambda():
    deployed()  # a function has a whole processor while it starts
