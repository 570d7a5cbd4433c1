"""The entry of session: called by submit and poll when Arena calls a session dead."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.domain.errors import NotNowError
from arena_exports.wiring.session import make_login_desk, real_parts
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from arena_exports.services.login import LoginDesk
    from arena_exports.wiring.dependencies import Parts


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Log in, unless somebody did since `deadVersion` died.

    `deadVersion` is a version of the session secret, "" for none.

    Returns:
        `{"version": "…"}`: the version of the session secret in force; or
        `{"reason": "…", "retryAfterSeconds": 60}` where there is none to be had now.
    """
    return session(event, real_parts())


def session(event: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Do what `handler` does, with given parts."""
    try:
        return {"version": _login_desk(parts).renew(str(event.get("deadVersion", "")))}
    except NotNowError as exc:
        return {"reason": exc.reason, "retryAfterSeconds": exc.retry_after_seconds}


@cache
def _login_desk(parts: Parts) -> LoginDesk:
    return make_login_desk(parts)


if in_lambda():
    real_parts()  # while the function starts it has a whole processor
