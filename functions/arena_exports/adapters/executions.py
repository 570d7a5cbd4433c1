"""Executions of the export run state machine in Step Functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class StepFunctionsExecutions:
    """Fulfils `ports.Executions`."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:  # noqa: ANN401 - boto3
        self._client = client
        self._state_machine_arn = state_machine_arn

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        """Start one; a used name means that it was started already."""
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn, name=name, input=json.dumps(dict(state))
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return

    def status(self, name: str) -> str | None:
        """Return Step Functions' status, or None when there is none of that name."""
        arn = self._state_machine_arn.replace(":stateMachine:", ":execution:") + ":" + name
        try:
            return str(self._client.describe_execution(executionArn=arn)["status"])
        except self._client.exceptions.ExecutionDoesNotExist:
            return None
