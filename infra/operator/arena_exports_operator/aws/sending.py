"""Send requests, and invoke submit to check for pending work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_exports_operator.aws.calls import explained
from arena_exports_operator.aws.dead_letters import sent_by
from arena_exports_operator.aws.stack import resource

if TYPE_CHECKING:
    from arena_exports_operator.aws.calls import Aws
    from arena_exports_operator.aws.stack import Stack


def send(aws: Aws, stack: Stack, body: str, caller: str) -> str:
    """Send a message to the intake queue, and return its id, which is the request's."""
    with explained():
        answer = aws.client("sqs").send_message(
            QueueUrl=stack.outputs["IntakeQueueUrl"],
            MessageBody=body,
            MessageAttributes=sent_by(caller),
        )
    return str(answer["MessageId"])


def reconcile(aws: Aws, stack: Stack, caller: str, command: str) -> None:
    """Invoke submit as the reconcile schedule does, without waiting for it.

    Submit acts on what the command has changed, and logs the command and the caller's ARN.
    """
    name = resource(aws, stack, "SubmitFunction")
    with explained():
        aws.client("lambda").invoke(
            FunctionName=name,
            InvocationType="Event",
            Payload=json.dumps(reconcile_event(caller, command)).encode(),
        )


def reconcile_event(caller: str, command: str) -> dict[str, str]:
    """Return the event that submit is invoked with."""
    return {"action": "reconcile", "command": command, "sentBy": caller}
