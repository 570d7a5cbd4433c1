"""The session function, called from the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.errors import NotNowError

if TYPE_CHECKING:
    from collections.abc import Callable

_RETRY_AFTER_SECONDS = 30


class SessionFunction:
    """Fulfils `ports.SessionAuthority`.

    Request: `{"deadVersion": "…"}`. Answer: `{"version": "…"}`, or `{"reason": "…",
    "retryAfterSeconds": 60}`.
    """

    def __init__(self, make_client: Callable[[], Any], function_name: str) -> None:
        """Take what makes a Lambda client: sessions die seldom, and a cold start pays for it."""
        self._make_client = make_client
        self._function_name = function_name

    def renew(self, dead_version: str) -> str:
        """Say that a session is dead; return the version in force."""
        try:
            answer = self._make_client().invoke(
                FunctionName=self._function_name,
                Payload=json.dumps({"deadVersion": dead_version}).encode(),
            )
            content = json.loads(answer["Payload"].read())
        except (BotoCoreError, ClientError, ValueError) as exc:
            reason = f"session function not reached ({type(exc).__name__})"
            raise NotNowError(reason, _RETRY_AFTER_SECONDS) from None
        if answer.get("FunctionError") or not isinstance(content, dict):
            raise NotNowError("session function failed", _RETRY_AFTER_SECONDS)
        if "version" in content:
            return str(content["version"])
        raise NotNowError(
            str(content.get("reason")), int(content.get("retryAfterSeconds", _RETRY_AFTER_SECONDS))
        )
