"""The commands behind the Makefile: `python -m infra.local --help`."""

import json
import signal
import sys
import time
from types import FrameType

import click
from rich.console import Console

from infra.local import aws, kept
from infra.local.emulator import NotReadyError
from infra.local.sam import SamError
from infra.local.stack import Stack, StackTimeoutError
from infra.local.story import main as story
from infra.local.subscriber import Subscriber

EVENTS_QUEUE = "events"
EXPECTED_ERRORS = (NotReadyError, SamError, StackTimeoutError, story.StoryError)


@click.group()
def commands() -> None:
    """Run the local stack: the embedded AWS, the Arena simulator, and the deployed template."""


@commands.command()
def up() -> None:
    """Start the local stack and leave it running."""
    console = Console(highlight=False)
    running = kept.KeptStack.find()
    if running and running.is_running():
        console.print("The local stack runs already.\n")
    else:
        if running:
            running.stop()
        running = kept.start(lambda step: console.print(f"{step} …"))
        running.stack.subscribe(EVENTS_QUEUE)
        console.print("The local stack is up.\n")
    _describe(console, running.stack)


@commands.command()
def down() -> None:
    """Stop the local stack that `up` left running."""
    running = kept.KeptStack.find()
    if running is None:
        click.echo("The local stack does not run.")
        return
    running.stop()
    click.echo(f"Stopped. The logs are in {kept.FOLDER}.")


@commands.command()
def logs() -> None:
    """Show the last lines of every log of the running local stack."""
    click.echo(_running_stack().recent_logs())


@commands.command()
@click.argument("bodies", nargs=-1, required=True)
def send(bodies: tuple[str, ...]) -> None:
    """Send messages to the intake queue of the running local stack; print their ids."""
    for message_id in _running_stack().send(*bodies):
        click.echo(message_id)


@commands.command()
def events() -> None:
    """Print the events of the running local stack, past and coming, until interrupted."""
    subscriber = Subscriber.of_queue(_running_stack().clients, EVENTS_QUEUE)
    while True:
        for received in subscriber.receive():
            click.echo(json.dumps(received.event, indent=2))
        time.sleep(0.5)


@commands.command()
def run() -> None:
    """Show the main job from the queue to the topic on a stack of its own; exit 1 if it fails."""
    story.tell(Console(highlight=False))


@commands.command()
def dashboard() -> None:
    """Draw the stack's dashboard, after some minutes with troubles on a stack of its own."""
    # Only the environment of `make bench` has what draws it.
    from infra.local.dashboard.main import make  # noqa: PLC0415

    make(Console(highlight=False))


def main() -> None:
    """Run a command; an interruption or SIGTERM ends it in good order."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        commands(standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EXPECTED_ERRORS as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _running_stack() -> Stack:
    running = kept.KeptStack.find()
    if running is None or not running.is_running():
        message = "the local stack does not run; start it with: make up"
        raise click.ClickException(message)
    return running.stack


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _describe(console: Console, stack: Stack) -> None:
    """Print what one needs to play with the stack."""
    rows = {
        "AWS endpoint": stack.endpoint,
        "Intake queue": stack.outputs["IntakeQueueUrl"],
        "Dead-letter queue": stack.outputs["DeadLetterQueueUrl"],
        "Outcome topic": stack.outputs["OutcomeTopicArn"],
        "State machine": stack.outputs["StateMachineArn"],
        "Ledger table": stack.outputs["LedgerTableName"],
        "Arena simulator": stack.arena_url,
        "Logs": f"{stack.folder} (functions': .venv/dev/bin/python -m infra.local logs)",
    }
    for name, value in rows.items():
        console.print(f"  [bold]{name:<18}[/] {value}", soft_wrap=True)
    console.print("\nPoint the AWS CLI or an SDK at it:\n")
    for name, value in aws.environment(stack.endpoint).items():
        console.print(f"  export {name}={value}", soft_wrap=True)
    queue = stack.outputs["IntakeQueueUrl"]
    console.print("\nSend a GUID, with the AWS CLI or without:\n")
    console.print(
        f"  aws sqs send-message --queue-url {queue} --message-body CUEXB8CEPGHGZI18WDMU\n"
        f"  .venv/dev/bin/python -m infra.local send CUEXB8CEPGHGZI18WDMU\n",
        soft_wrap=True,
    )
    console.print("Watch what comes out: .venv/dev/bin/python -m infra.local events")
    console.print("Stop it: make down")
