"""The commands behind the Makefile: `python -m infra.local --help`."""

import json
import signal
import sys
from types import FrameType

import click
from rich.console import Console

from infra.local import background as kept
from infra.local import summary as welcome
from infra.local.emulator import NotReadyError
from infra.local.events import followed
from infra.local.sam import SamError
from infra.local.stack import SendError, Stack, StackTimeoutError
from infra.local.story import main as story
from infra.local.subscriber import Subscriber

EVENTS_QUEUE = "events"
EVENTS_FILE = "events.jsonl"
EXPECTED_ERRORS = (NotReadyError, SamError, SendError, StackTimeoutError, story.StoryError)


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
    for line in welcome.lines(running.stack):
        console.print(line, soft_wrap=True)


@commands.command()
def down() -> None:
    """Stop the local stack that `up` left running."""
    running = kept.KeptStack.find()
    if running is None:
        click.echo("The local stack does not run.")
        return
    click.echo("Stopping …")
    running.stop()
    click.echo(f"Stopped. The logs are in {kept.FOLDER}.")


@commands.command()
@click.option("--all", "everything", is_flag=True, help="Show every line.")
def logs(*, everything: bool) -> None:
    """Show the last warnings and errors in each log of the running local stack.

    The whole logs, the functions' among them, are written to its folder; the last line says where.
    """
    stack = _running_stack()
    text = stack.all_logs() if everything else stack.recent_logs()
    click.echo(text or "No log has a warning or an error.")
    click.echo(f"---- The whole logs: {stack.folder}/*.log")


@commands.command()
@click.argument("bodies", nargs=-1, required=True)
def send(bodies: tuple[str, ...]) -> None:
    """Send messages to the intake queue of the running local stack; print their ids."""
    if "" in bodies:
        message = "a message must not be empty: SQS takes none without a body"
        raise click.ClickException(message)
    for message_id in _running_stack().send(*bodies):
        click.echo(message_id)


@commands.command()
def events() -> None:
    """Print the events of the running local stack, past and coming, until interrupted."""
    stack = _running_stack()
    subscriber = Subscriber.of_queue(stack.clients, EVENTS_QUEUE)
    for event in followed(subscriber, stack.folder / EVENTS_FILE):
        click.echo(json.dumps(event, indent=2))


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
