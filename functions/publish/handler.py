"""The entry of publish: called by the state machine when a run has ended."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.model import AttemptId
from arena_exports.wiring.publish import deployed_dependencies, make_publication
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from arena_exports.services.publication import Publication
    from arena_exports.wiring.dependencies import Dependencies


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of the attempt that `attemptId` names; other keys are not looked at."""
    return publish(event, deployed_dependencies())


def publish(event: dict[str, Any], dependencies: Dependencies) -> dict[str, Any]:
    """Do what `handler` does, with given parts."""
    _publication(dependencies).publish(AttemptId(event["attemptId"]))
    return {}


@cache
def _publication(dependencies: Dependencies) -> Publication:
    return make_publication(dependencies)


if in_lambda():
    deployed_dependencies()  # while the function starts it has a whole processor
