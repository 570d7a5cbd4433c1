"""Executions of the export run state machine in Step Functions."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class StepFunctionsExecutions:
    """Implements `ports.Executions`."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:  # noqa: ANN401 - boto3
        self._client = client
        self._state_machine_arn = state_machine_arn

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        """Start one, unless one with that name was started before."""
        with suppress(self._client.exceptions.ExecutionAlreadyExists):
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn, name=name, input=json.dumps(dict(state))
            )

    def status(self, name: str) -> str | None:
        """Return Step Functions' status; None for an unknown name."""
        arn = self._state_machine_arn.replace(":stateMachine:", ":execution:") + ":" + name
        try:
            return str(self._client.describe_execution(executionArn=arn)["status"])
        except self._client.exceptions.ExecutionDoesNotExist:
            return None
