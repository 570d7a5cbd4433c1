"""The deliver function, invoked by submit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.aws_errors import AWS_ERRORS, error_code
from arena_exports.domain.errors import MessagingError

if TYPE_CHECKING:
    from collections.abc import Callable


class LambdaDeliverFunction:
    """Implements `ports.DeliverFunction`. Event: `{"settledBefore": 1700000000}`."""

    def __init__(self, make_client: Callable[[], Any], function_name: str) -> None:
        """Take a factory for the Lambda client, because most reconciles deliver nothing."""
        self._make_client = make_client
        self._function_name = function_name

    def start(self, settled_before: float) -> None:
        """Invoke it without waiting for it."""
        try:
            self._make_client().invoke(
                FunctionName=self._function_name,
                InvocationType="Event",
                Payload=json.dumps({"settledBefore": settled_before}).encode(),
            )
        except AWS_ERRORS as exc:
            message = f"deliver was not started ({error_code(exc)})"
            raise MessagingError(message) from exc
