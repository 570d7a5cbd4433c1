"""The commands of the local stack: `python -m infra.local --help`."""

import json
import os
import re
import signal
import subprocess
import sys
from types import FrameType

import click
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from infra.local import aws, background, summary
from infra.local.demo.main import DemoError, run_demo
from infra.local.emulator import NotReadyError
from infra.local.paths import OPERATOR_PATH
from infra.local.sam import SamError
from infra.local.stack import SendError, Stack, StackTimeoutError
from infra.local.subscriber import Subscriber, follow

PICTURE_COLUMNS = 100
SVG_FORMAT = re.sub(r"@font-face {{.*?}}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Rich's, without the fonts that it would load from another host."""
EVENTS_QUEUE = "events"
EVENTS_FILE = "events.jsonl"
EXPECTED_ERRORS = (NotReadyError, SamError, SendError, StackTimeoutError, DemoError)


@click.group()
def commands() -> None:
    """Run the local stack: an embedded AWS, the Arena simulator, and the deployed template."""


@commands.command()
def up() -> None:
    """Start the local stack and leave it running."""
    console = Console(highlight=False)
    running = background.BackgroundStack.find()
    if running and running.is_running():
        console.print("The local stack is already running.\n")
    else:
        if running:
            running.stop()
        running = background.start(lambda step: console.print(f"{step} …"))
        running.stack.subscribe(EVENTS_QUEUE)
        console.print("The local stack is up.\n")
    for line in summary.lines(running.stack, running.page_url):
        console.print(line, soft_wrap=True)


@commands.command()
def down() -> None:
    """Stop the local stack that `up` left running."""
    running = background.BackgroundStack.find()
    if running is None:
        click.echo("The local stack is not running.")
        return
    click.echo("Stopping …")
    running.stop()
    click.echo(f"The local stack is stopped. The logs are in {background.FOLDER}.")


@commands.command()
@click.option("--all", "everything", is_flag=True, help="Show all lines.")
def logs(*, everything: bool) -> None:
    """Show the last warnings and errors in each log of the running local stack.

    The complete logs, including those of the functions, are written to the stack's folder.
    """
    stack = _running_stack()
    text = stack.all_logs() if everything else stack.recent_logs()
    click.echo(text or "The logs contain no warnings and no errors.")
    click.echo(f"---- Complete logs: {stack.folder}/*.log")


@commands.command()
@click.argument("bodies", nargs=-1, required=True)
def send(bodies: tuple[str, ...]) -> None:
    """Send messages to the intake queue of the running local stack, and print their ids."""
    if "" in bodies:
        message = "a message must not be empty, because SQS requires a body"
        raise click.ClickException(message)
    for message_id in _running_stack().send(*bodies):
        click.echo(message_id)


@commands.command()
def events() -> None:
    """Print the past and future events of the running local stack, until interrupted."""
    stack = _running_stack()
    subscriber = Subscriber.of_queue(stack.clients, EVENTS_QUEUE)
    for event in follow(subscriber.receive, stack.folder / EVENTS_FILE):
        click.echo(json.dumps(event, indent=2))


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def operate(arguments: tuple[str, ...]) -> None:
    """Run `arena-exports` with ARGUMENTS against the running local stack."""
    stack = _running_stack()
    command = [sys.executable, "-m", "arena_exports_operator", *arguments]
    given = {name: text for name, text in os.environ.items() if name != "AWS_PROFILE"}
    where = {"PYTHONPATH": OPERATOR_PATH, "ARENA_EXPORTS_STACK": stack.name}
    environment = given | aws.environment(stack.endpoint) | where
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


@commands.command()
@click.option("--picture", type=click.Path(dir_okay=False), help="Also draw it into this SVG file.")
def run(picture: str | None) -> None:
    """Run the demo, from the queue to the topic, on a stack of its own; exit 1 if it fails."""
    if picture is None:
        run_demo(Console(highlight=False))
        return
    console = Console(highlight=False, record=True, force_terminal=True, width=PICTURE_COLUMNS)
    run_demo(console)
    console.save_svg(picture, title="make run", code_format=SVG_FORMAT)


def main() -> None:
    """Run a command; Ctrl-C and SIGTERM stop it after cleaning up."""
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
    running = background.BackgroundStack.find()
    if running is None or not running.is_running():
        message = "the local stack is not running; start it with: make up"
        raise click.ClickException(message)
    return running.stack


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
