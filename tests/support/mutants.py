"""Report what `mutmut run` found: how many mutants died, and each survivor as a diff."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

ENOUGH = 0.9
MUTMUT = str(Path(sys.executable).with_name("mutmut"))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print the share of killed mutants; write those that lived to FOLDER/survivors.diff."""
    console = Console(highlight=False)
    states = _states(folder)
    killed = sum(1 for state in states.values() if state in ("killed", "timeout"))
    living = {name: state for name, state in states.items() if state not in ("killed", "timeout")}
    shown = [_ask(folder, "show", name) for name in track(living, "Writing survivors")]
    (folder / "survivors.diff").write_text("\n".join(shown))
    table = Table("function", "alive")
    for function, count in Counter(map(_function, living)).most_common():
        table.add_row(function, str(count))
    console.print(table)
    share = killed / len(states)
    console.print(f"{killed:,} of {len(states):,} mutants killed: {share:.1%}")
    console.print(f"Survivors: {folder / 'survivors.diff'}. Reasons: tests/README.md")
    raise SystemExit(0 if share >= ENOUGH else 1)


def _states(folder: Path) -> dict[str, str]:
    lines = _ask(folder, "results", "--all", "true").splitlines()
    pairs = (line.strip().split(": ") for line in lines if "__mutmut_" in line)
    return {name: state for name, state in pairs if state != "not checked"}


def _ask(folder: Path, *arguments: str) -> str:
    done = subprocess.run([MUTMUT, *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def _function(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0].replace("xǁ", "").replace("ǁ", ".").replace("x_", "")


if __name__ == "__main__":
    main()
