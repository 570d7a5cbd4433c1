"""The entry of session: called by submit and poll when Arena calls a session dead."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.errors import RetryLaterError
from arena_exports.wiring.session import deployed_dependencies, make_login_service
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from arena_exports.services.login import LoginService
    from arena_exports.wiring.dependencies import Dependencies


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Log in, unless somebody did since `deadVersion` died.

    `deadVersion` is a version of the session secret, "" for none.

    Returns:
        `{"version": "…"}`: the version of the session secret in force; or
        `{"reason": "…", "retryAfterSeconds": 60}` where there is none to be had now.
    """
    return session(event, deployed_dependencies())


def session(event: dict[str, Any], dependencies: Dependencies) -> dict[str, Any]:
    """Do what `handler` does, with given parts."""
    try:
        return {"version": _login_service(dependencies).renew(str(event.get("deadVersion", "")))}
    except RetryLaterError as exc:
        return {"reason": exc.reason, "retryAfterSeconds": exc.retry_after_seconds}


@cache
def _login_service(dependencies: Dependencies) -> LoginService:
    return make_login_service(dependencies)


if in_lambda():
    deployed_dependencies()  # while the function starts it has a whole processor
