"""The entry point of `arena-exports`."""

from __future__ import annotations

import click

from arena_exports_operator.command import backfill, dead_letters, deliver, doctor, reading, writing
from arena_exports_operator.version import own_version


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 OK, 1 problem found, 2 incorrect usage, 3 not found, 4 no access to AWS.",
)
@click.version_option(own_version(), prog_name="arena-exports")
def main() -> None:
    """Operate a stack of arena-exports.

    The stack is the one named by --stack, else by the environment variable ARENA_EXPORTS_STACK,
    else by samconfig.toml in this folder, else the only stack of this application in the account
    and region. Commands that only read send nothing to Arena. Options follow the command.
    """


for command in (
    *reading.COMMANDS,
    *writing.COMMANDS,
    backfill.backfill,
    dead_letters.dead_letters,
    deliver.deliver,
    doctor.doctor,
):
    main.add_command(command)
