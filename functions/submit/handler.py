"""The entry of submit: an SQS batch, or a reconcile.

`{"action": "reconcile"}` comes from the schedule and from the state machine's last step.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.deadline import Deadline
from arena_exports.wiring.settings import in_lambda
from arena_exports.wiring.submit import (
    deployed_dependencies,
    make_backlog,
    make_dispatch,
    make_intake,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from arena_exports.services.backlog import Backlog
    from arena_exports.services.dispatch import Dispatch
    from arena_exports.services.intake import Intake
    from arena_exports.wiring.dependencies import Dependencies

_SECONDS_TO_LEAVE = 5


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the messages of an SQS event (`Records`), then start a run or move one on.

    Returns:
        `{"batchItemFailures": [{"itemIdentifier": "<message id>"}]}`: messages that are not safe
            yet.
    """
    return submit(event, context.get_remaining_time_in_millis() / 1000, deployed_dependencies())


def submit(
    event: dict[str, Any], seconds_left: float, dependencies: Dependencies
) -> dict[str, Any]:
    """Do what `handler` does, with given parts."""
    intake, dispatch, backlog = _services(dependencies)
    deadline = Deadline(dependencies.clock, seconds_left - _SECONDS_TO_LEAVE)
    records = event.get("Records")
    if records is None:
        dispatch.run(deadline, linger=False)
        backlog.measure()
        return {"batchItemFailures": []}
    failed = intake.record(records, deadline)
    try:
        dispatch.run(deadline, linger=True)
    except Exception:  # noqa: BLE001 - the messages are safe already, and reconcile comes by
        logger.exception("no run was started")
        dependencies.telemetry.count("SubmissionErrors")
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


@cache
def _services(dependencies: Dependencies) -> tuple[Intake, Dispatch, Backlog]:
    return make_intake(dependencies), make_dispatch(dependencies), make_backlog(dependencies)


if in_lambda():
    deployed_dependencies()  # while the function starts it has a whole processor
