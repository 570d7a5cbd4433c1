"""The entry of poll: called by the state machine with the state of its execution."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.poll_state import PollState
from arena_exports.wiring.poll import PollFunction
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

deployed = cache(PollFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Poll a run once.

    Args:
        event: a `PollState` as JSON, with its fields in camelCase (`attemptId`, `runGuid` …).

    Returns:
        The same, with the `waitSeconds` until the next poll, or with `ended` true.
    """
    return poll(event, deployed())


def poll(event: dict[str, Any], function: PollFunction) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    return function.poller.poll(PollState.from_json(event)).to_json()


if in_lambda():
    deployed()  # a function has a whole processor while it starts
