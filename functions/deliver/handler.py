"""The entry of deliver: invoked by submit when files of settled runs are due."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.deadline import Deadline
from arena_exports.services.delivery import deliver_files
from arena_exports.wiring.deliver import DeliverFunction
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_SECONDS_TO_RETURN = 90  # a read that stalls takes 25 s, and a part that S3 does not take 60 s

deployed = cache(DeliverFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver the files of runs that were settled before `settledBefore` (epoch seconds)."""
    return deliver(event, context.get_remaining_time_in_millis() / 1000, deployed())


def deliver(
    event: dict[str, Any], seconds_left: float, function: DeliverFunction
) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    now = function.clock.now()
    deadline = Deadline(now + seconds_left - _SECONDS_TO_RETURN)
    deliver_files(function.delivery, float(event.get("settledBefore", now)), deadline)
    return {}


if in_lambda():
    deployed()  # a function has a whole processor while it starts
