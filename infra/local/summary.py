"""What `make up` prints: where everything is, and commands to play with, ready to be copied."""

import shlex
from collections.abc import Iterator, Mapping

from infra.local import aws
from infra.local.stack import Stack

SIMULATOR_PAGE = "infra/simulator/README.md"
_PYTHON = ".venv/dev/bin/python -m"
_COMMANDS = {
    "Send a GUID, with the AWS CLI or without; both print the id of the message:": [
        'aws sqs send-message --queue-url "$INTAKE" --message-body CUEXB8CEPGHGZI18WDMU',
        f"{_PYTHON} infra.local send CUEXB8CEPGHGZI18WDMU",
    ],
    "See the events, past and coming; the warnings and errors (--all: every line):": [
        f"{_PYTHON} infra.local events",
        f"{_PYTHON} infra.local logs",
    ],
    "See what became of a message, by its id; what Arena has had:": [
        f'{_PYTHON} infra.lookup --table "$LEDGER" ID',
        'curl -s "$A/_simulator/state"',
    ],
}


def lines(stack: Stack) -> Iterator[str]:
    """Yield it line by line, in rich's markup."""
    for name, value in _places(stack).items():
        yield f"  [bold]{name:<18}[/] {value}"
    yield "\nPoint the AWS CLI (version 1 or 2) and SDKs at it, with the names that README uses:\n"
    yield _exports(aws.environment(stack.endpoint))
    yield _exports(_names(stack))
    yield '  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
    for what, commands in _COMMANDS.items():
        yield f"\n{what}\n"
        yield from (f"  {command}" for command in commands)
    yield f"\nHave Arena misbehave: {SIMULATOR_PAGE}"
    yield "What of infra/runbook.md works here: its last section"
    yield "Stop it all: make down"


def _places(stack: Stack) -> dict[str, str]:
    return {
        "AWS endpoint": stack.endpoint,
        "Intake queue": stack.outputs["IntakeQueueUrl"],
        "Dead-letter queue": stack.outputs["DeadLetterQueueUrl"],
        "Outcome topic": stack.outputs["OutcomeTopicArn"],
        "State machine": stack.outputs["StateMachineArn"],
        "Ledger table": stack.outputs["LedgerTableName"],
        "Arena simulator": stack.arena_url,
        "Its control": f"{stack.arena.control_url} ({SIMULATOR_PAGE})",
        "Logs": str(stack.folder),
    }


def _names(stack: Stack) -> dict[str, str]:
    """Give the shell variables that README and the simulator's page use."""
    return {
        "INTAKE": stack.outputs["IntakeQueueUrl"],
        "TOPIC": stack.outputs["OutcomeTopicArn"],
        "LEDGER": stack.outputs["LedgerTableName"],
        "A": stack.arena_url.removesuffix("/v1"),
    }


def _exports(variables: Mapping[str, str]) -> str:
    return "\n".join(f"  export {name}={shlex.quote(text)}" for name, text in variables.items())
