"""The entry of session: called by the other functions when Arena rejects their session."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.errors import RetryLaterError
from arena_exports.wiring.session import SessionFunction
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

deployed = cache(SessionFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Log in, unless another login has replaced `deadVersion` already.

    `deadVersion` is a version of the session secret, "" for none.

    Returns:
        `{"version": "…"}`: the version of the session secret in force; or
        `{"reason": "…", "retryAfterSeconds": 60}` if there is no session now.
    """
    return session(event, deployed())


def session(event: dict[str, Any], function: SessionFunction) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    try:
        return {"version": function.login_service.renew(str(event.get("deadVersion", "")))}
    except RetryLaterError as exc:
        return {"reason": exc.reason, "retryAfterSeconds": exc.retry_after_seconds}


if in_lambda():
    deployed()  # a function has a whole processor while it starts
