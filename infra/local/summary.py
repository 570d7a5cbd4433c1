"""The output of `make up`: where everything is, and commands to copy."""

import shlex
from collections.abc import Iterator, Mapping

from infra.local import aws
from infra.local.stack import Stack

SIMULATOR_PAGE = "infra/simulator/README.md"
_PYTHON = ".venv/dev/bin/python -m"
_COMMANDS = {
    "Send a GUID, with or without the AWS CLI. Both commands print the message id:": [
        'aws sqs send-message --queue-url "$INTAKE" --message-body CUEXB8CEPGHGZI18WDMU',
        f"{_PYTHON} infra.local send CUEXB8CEPGHGZI18WDMU",
    ],
    "Show past and future events; show warnings and errors (--all: all lines):": [
        f"{_PYTHON} infra.local events",
        f"{_PYTHON} infra.local logs",
    ],
    "List the files that were delivered, or read one of them:": [
        'aws s3 ls --recursive "s3://$BUCKET"',
        'aws s3 cp "s3://$BUCKET/KEY" -',
    ],
    "Show whether it works; why a message, an item or a run waits; any other command:": [
        "make status",
        "make why ID=CUEXB8CEPGHGZI18WDMU",
        'make operate ARGS="runs --limit 5"',
    ],
    "Show the state of the simulator:": [
        'curl -s "$A/_simulator/state"',
    ],
}


def lines(stack: Stack, page_url: str) -> Iterator[str]:
    """Yield the lines, in rich's markup."""
    for name, value in {"Status page": page_url, **_places(stack)}.items():
        yield f"  [bold]{name:<18}[/] {value}"
    yield "\nTo use the AWS CLI (version 1 or 2) and SDKs, with the variable names of the README:\n"
    yield _exports(aws.environment(stack.endpoint))
    yield _exports(_names(stack))
    yield '  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
    for what, commands in _COMMANDS.items():
        yield f"\n{what}\n"
        yield from (f"  {command}" for command in commands)
    yield f"\nSimulate faults of Arena: {SIMULATOR_PAGE}"
    yield "Use the runbook on the local stack: the last section of infra/runbook.md"
    yield "Stop the local stack: make down"


def _places(stack: Stack) -> dict[str, str]:
    return {
        "AWS endpoint": stack.endpoint,
        "Intake queue": stack.outputs["IntakeQueueUrl"],
        "Dead-letter queue": stack.outputs["DeadLetterQueueUrl"],
        "Outcome topic": stack.outputs["OutcomeTopicArn"],
        "Bucket": stack.outputs["DeliveryBucketName"],
        "State machine": stack.outputs["StateMachineArn"],
        "Ledger table": stack.outputs["LedgerTableName"],
        "Arena simulator": stack.arena_url,
        "Control interface": f"{stack.arena.control_url} ({SIMULATOR_PAGE})",
        "Logs": str(stack.folder),
    }


def _names(stack: Stack) -> dict[str, str]:
    """Return the shell variables that the README and the simulator's page use."""
    return {
        "INTAKE": stack.outputs["IntakeQueueUrl"],
        "TOPIC": stack.outputs["OutcomeTopicArn"],
        "BUCKET": stack.outputs["DeliveryBucketName"],
        "LEDGER": stack.outputs["LedgerTableName"],
        "A": stack.arena_url.removesuffix("/v1"),
    }


def _exports(variables: Mapping[str, str]) -> str:
    return "\n".join(f"  export {name}={shlex.quote(text)}" for name, text in variables.items())
