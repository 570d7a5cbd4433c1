"""Run simulated days: one seed, or thousands with a progress bar."""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from time import monotonic

import click
from rich.console import Console
from rich.progress import track

from tests.simulation.invariants import violations
from tests.simulation.simulation import Simulation

WORKERS = 2
CHUNK = 20
MIN_CALLS = 200  # a day with fewer calls shows nothing


@dataclass(frozen=True)
class Day:
    """The result of one seed.

    `calls` counts the external calls, each of which is a possible crash point. `occurred`
    names the faults that occurred, and `troubles` those from the field (`field.py`).
    """

    seed: int
    calls: int
    invocations: int
    violations: tuple[str, ...]
    occurred: frozenset[str]
    troubles: tuple[str, ...]


def simulate(seed: int) -> Day:
    """Simulate one day without its logs, and check it."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        simulation = Simulation(seed)
        simulation.run()
        found = tuple(violations(simulation))
        if simulation.outside.calls < MIN_CALLS:
            found += (f"only {simulation.outside.calls} external calls",)
        simulation.scheduler.close()
    finally:
        logging.disable(level)
    occurred = frozenset(simulation.fault_rates.occurred)
    return Day(
        seed,
        simulation.outside.calls,
        simulation.invocations,
        found,
        occurred,
        simulation.field.troubles,
    )


@click.command()
@click.option("--seed", type=int, help="Simulate only this seed.")
@click.option("--count", type=int, default=10_000, show_default=True, help="How many seeds.")
def main(seed: int | None, count: int) -> None:
    """Simulate days from seeds; fail if any seed violates a rule."""
    console = Console(highlight=False)
    days = [simulate(seed)] if seed is not None else _simulate_many(console, count)
    for day in days:
        for text in day.violations:
            named = f"seed {day.seed} {' and '.join(day.troubles)}".strip()
            console.print(f"{named}: {text}", style="red", soft_wrap=True)
    broken = sum(1 for day in days if day.violations)
    calls = sum(day.calls for day in days)
    fewest = min(day.calls for day in days)
    console.print(
        f"{len(days):,} seeds, {broken} with violations; {calls:,} external calls "
        f"({fewest:,} at least in each), {sum(day.invocations for day in days):,} invocations",
        soft_wrap=True,
    )
    raise SystemExit(1 if broken else 0)


def _simulate_many(console: Console, count: int) -> list[Day]:
    began = monotonic()
    with ProcessPoolExecutor(WORKERS) as pool:
        results = pool.map(simulate, range(count), chunksize=CHUNK)
        days = list(track(results, "Simulating days", total=count, console=console))
    console.print(f"{monotonic() - began:.0f} s")
    return days


if __name__ == "__main__":
    main()
