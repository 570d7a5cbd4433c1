"""The entry of publish: called by the state machine when a run has ended."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.model import AttemptId
from arena_exports.wiring.publish import PublishFunction
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

deployed = cache(PublishFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of the attempt that `attemptId` names; ignore other keys."""
    return publish(event, deployed())


def publish(event: dict[str, Any], function: PublishFunction) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    function.publication.publish(AttemptId(event["attemptId"]))
    return {}


if in_lambda():
    deployed()  # a function has a whole processor while it starts
