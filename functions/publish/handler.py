"""The entry of publish: called by the state machine when a run has ended."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.model import AttemptId
from arena_exports.wiring.publish import make_publication, real_parts
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from arena_exports.services.publication import Publication
    from arena_exports.wiring.dependencies import Parts


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of the attempt that `attemptId` names; other keys are not looked at."""
    return publish(event, real_parts())


def publish(event: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Do what `handler` does, with given parts."""
    _publication(parts).publish(AttemptId(event["attemptId"]))
    return {}


@cache
def _publication(parts: Parts) -> Publication:
    return make_publication(parts)


if in_lambda():
    real_parts()  # while the function starts it has a whole processor
