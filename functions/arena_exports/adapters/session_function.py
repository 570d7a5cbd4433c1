"""How the other functions call the session function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.aws_errors import AWS_ERRORS, error_code
from arena_exports.domain.errors import RetryLaterError

if TYPE_CHECKING:
    from collections.abc import Callable

_RETRY_AFTER_SECONDS = 30


class LambdaSessionRenewer:
    """Implements `ports.SessionRenewer` with the session function.

    Request: `{"deadVersion": "…"}`. Answer: `{"version": "…"}`, or `{"reason": "…",
    "retryAfterSeconds": 60}`.
    """

    def __init__(self, make_client: Callable[[], Any], function_name: str) -> None:
        """Take a factory of Lambda clients: few calls need one, and it slows down a cold start."""
        self._make_client = make_client
        self._function_name = function_name

    def renew(self, dead_version: str) -> str:
        """Report that a session is dead; return the version in force."""
        try:
            answer = self._make_client().invoke(
                FunctionName=self._function_name,
                Payload=json.dumps({"deadVersion": dead_version}).encode(),
            )
            payload = answer["Payload"].read()
        except AWS_ERRORS as exc:
            reason = f"session function not reached ({error_code(exc)})"
            raise RetryLaterError(reason, _RETRY_AFTER_SECONDS) from None
        content = _object(payload)
        if answer.get("FunctionError"):
            # Not the message, which could contain a secret (R9).
            reason = f"session function failed ({content.get('errorType') or 'no error type'})"
            raise RetryLaterError(reason, _RETRY_AFTER_SECONDS)
        if "version" in content:
            return str(content["version"])
        raise RetryLaterError(
            str(content.get("reason") or "session function gave no reason"),
            int(content.get("retryAfterSeconds") or _RETRY_AFTER_SECONDS),
        )


def _object(payload: bytes) -> dict[str, Any]:
    try:
        content = json.loads(payload)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
