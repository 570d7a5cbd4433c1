"""Measure everything, print the results, and save them: `make bench`."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.checks import artifact
from infra.local.paths import BUILD
from tests.bench import baselines, charts, delivery, growth, measures, policies, startup, workloads
from tests.bench.measures import OURS, Target
from tests.bench.ours import Day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.baselines import Outcome

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
BUILT = BUILD / "SubmitFunction"
DAYS = (workloads.trickle, workloads.bursts, workloads.backfill, workloads.working_day)
RUNS_SCORED = 3000
START_ROUNDS = 9
SATURATED_RUNS = 40
GROWTH_ROUNDS = 3
THROUGHPUT_ROUNDS = 9
DELIVERED_RUNS = 50


class Bench:
    """The measurements, step by step, with what each step prints and saves."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self.targets: list[Target] = []
        self.kept: dict[str, Any] = {}

    def run(self) -> None:
        """Do every step."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("start-up", self._starts),
            ("polls", self._polls),
            *(
                (f"{day.__name__.replace('_', ' ')}", lambda day=day: self._day(day))
                for day in DAYS
            ),
            ("spare requests", self._spare),
            ("saturation", self._saturation),
            ("money", self._money),
            ("idle stack", self._idle),
            ("delivery", self._delivery),
            ("growth", self._growth),
        ]
        task = self._progress.add_task("", total=len(steps))
        for name, step in steps:
            self._progress.update(task, description=name)
            step()
            self._progress.advance(task)

    def _polls(self) -> None:
        scores = {
            distribution.name: measures.poll_scores(distribution, RUNS_SCORED)
            for distribution in policies.DISTRIBUTIONS
        }
        for name, of in scores.items():
            table = _table(
                f"Polls: {name}", "policy", "polls", "delay", "95 %", "late", "objective"
            )
            for policy, score in of.items():
                table.add_row(
                    policy,
                    f"{score.polls:.1f}",
                    f"{score.delay:.1%}",
                    f"{score.delay_95:.1%}",
                    f"{score.late_seconds:.1f} s",
                    f"{score.objective:.3f}",
                    style=_style(policy),
                )
            self._console.print(table)
        curves = measures.first_runs()
        for stack, curve in curves.items():
            self._console.print(
                f"A new definition, median 8 min, {stack}: polls of its 1st, 2nd, ... run: "
                + ", ".join(f"{polls:.1f}" for polls in curve)
            )
        self.targets += measures.poll_targets(scores) + measures.first_run_targets(curves)
        self.kept["polls"] = {
            name: {policy: asdict(score) for policy, score in of.items()}
            for name, of in scores.items()
        }
        self.kept["polls of the first runs"] = curves
        eight = policies.EIGHT_MINUTES.name
        charts.polls_against_delay(scores[eight], eight, RESULTS / "polls.png")

    def _spare(self) -> None:
        days = measures.spare_days()
        table = _table(
            "Spare requests", "day", "policy", "requests", "polls a run", "delay", "slot used"
        )
        for name, policies_of in days.items():
            for policy, polled in policies_of.items():
                table.add_row(
                    name,
                    policy,
                    f"{polled.requests:,}",
                    f"{polled.polls:.1f}",
                    f"{polled.delay:.1%}",
                    f"{polled.slot_use:.1%}",
                    style=_style(policy),
                )
        self._console.print(table)
        self.targets += measures.spare_targets(days)
        self.kept["spare requests"] = {
            name: {policy: asdict(polled) for policy, polled in policies_of.items()}
            for name, policies_of in days.items()
        }

    def _day(self, build: Callable[[], workloads.Workload]) -> None:
        workload = build()
        day = Day(workload).live()
        outcomes = [
            *(
                baselines.simulate(baseline, workload)
                for baseline in baselines.all_baselines()[:-1]
            ),
            measures.our_outcome(day),
            baselines.simulate(baselines.all_baselines()[-1], workload),
        ]
        self._print_outcomes(workload, outcomes)
        if workload.name == "ECO bursts":
            runs = measures.most_runs_for_a_change(day, 300)
            self.targets.append(Target("runs for an ECO of 300 messages", 1, runs))
        if workload.name == "backfill beside live":
            waited = measures.most_runs_waited_for(day)
            self.targets.append(Target("runs begun before a live item's own", 1, waited))
        if workload.name == "working day":
            charts.working_day(outcomes, RESULTS / "working-day.png")

    def _print_outcomes(self, workload: workloads.Workload, outcomes: Sequence[Outcome]) -> None:
        title = f"{workload.name}: {len(workload.arrivals):,} messages, {workload.items:,} items"
        table = _table(
            title,
            *("", "requests", "runs", "median", "95 %", "99 %", "slot used", "days", "dollars"),
        )
        rows = {}
        for outcome in outcomes:
            times = measures.percentiles(outcome.latencies)
            first = min(arrival.at for arrival in workload.arrivals)
            used = outcome.busy_seconds / (outcome.finished_at - first)
            table.add_row(
                outcome.name,
                f"{outcome.requests:,}",
                f"{outcome.runs:,}",
                *(f"{seconds / 60:,.1f} min" for seconds in times),
                f"{used:.0%}",
                f"{outcome.finished_at / workloads.DAY:.2f}",
                f"{outcome.dollars:.3f}",
                style=_style(outcome.name),
            )
            rows[outcome.name] = {
                "requests": outcome.requests,
                "runs": outcome.runs,
                "latencySeconds": dict(zip(("50", "95", "99"), times, strict=True)),
                "slotUse": used,
                "days": outcome.finished_at / workloads.DAY,
                "dollars": outcome.dollars,
            }
        self._console.print(table)
        self.kept[workload.name] = rows

    def _saturation(self) -> None:
        table = _table("Saturation", "items a run", "runs", "requests for 1,000 items", "idle slot")
        for most, limit in ((5000, 2.0), (20_000, 0.5)):
            day = measures.saturated(most, SATURATED_RUNS)
            outcome = measures.our_outcome(day)
            rate = 1000 * outcome.requests / day.workload.items
            idle = measures.idle_beyond_detection(day)
            table.add_row(f"{most:,}", f"{outcome.runs}", f"{rate:.2f}", f"{idle:.1f} s")
            self.targets += [
                Target(f"requests for 1,000 items at {most:,} a run", limit, rate),
                Target(f"idle slot after detection at {most:,} a run", 5, idle, "s"),
            ]
        self._console.print(table)

    def _money(self) -> None:
        one = measures.dollars_per_million(1, 50_000)
        hundred = measures.dollars_per_million(100, 1_000)
        spare = measures.dollars_per_million(100, 1_000, ())
        bills = (one, hundred, spare)
        table = _table(
            "Dollars for a million items",
            *("", "one to a message", "100 to a message", "100, requests to spare"),
        )
        for name in one:
            table.add_row(name, *(f"{bill[name]:.3f}" for bill in bills))
        table.add_row("together", *(f"{sum(bill.values()):.2f}" for bill in bills))
        self._console.print(table)
        self.targets += [
            Target("dollars for a million items, one to a message", 2.00, sum(one.values())),
            Target("dollars for a million items, 100 to a message", 0.40, sum(hundred.values())),
            Target("dollars for a million items, requests to spare", 0.50, sum(spare.values())),
        ]
        names = ("1", "100", "100, requests to spare")
        self.kept["dollars for a million items"] = dict(zip(names, bills, strict=True))

    def _idle(self) -> None:
        dollars = measures.fixed_dollars("HasDashboard")
        table = _table("Dollars a month for an idle stack", "", "dollars")
        for name, amount in dollars.items():
            table.add_row(name, f"{amount:.2f}")
        table.add_row("together", f"{sum(dollars.values()):.2f}")
        self._console.print(table)
        rest = sum(dollars.values()) - dollars["dashboard"]
        self.targets.append(Target("dollars a month, idle, without the dashboard", 4.00, rest))
        self.kept["dollars a month for an idle stack"] = dollars

    def _starts(self) -> None:
        ratios = startup.ratios(BUILT, START_ROUNDS)
        size = artifact.built()[0].zip_bytes() / 1e6
        table = _table("Start-up, processor time", "function", "times the boto3 client alone")
        for name, ratio in ratios.items():
            table.add_row(name, f"{ratio:.2f}")
        self._console.print(table)
        self.targets += [
            *measures.start_targets(ratios),
            Target("zip", artifact.MAX_ZIP_BYTES / 1e6, size, "MB"),
        ]
        self.kept["start-up"] = ratios

    def _delivery(self) -> None:
        small, large = map(delivery.peak_megabytes, (delivery.SMALL, delivery.LARGE))
        figures = {
            "throughput beside a bare loop": delivery.throughput_ratio(THROUGHPUT_ROUNDS),
            "peak memory at 16 MB": small,
            "peak memory at 2 GB": large,
            "Arena requests for each file": delivery.requests_per_file(DELIVERED_RUNS),
            "cents for each GB": delivery.cents_per_gigabyte(),
            "cents for 1,000 files": delivery.cents_per_thousand_files(DELIVERED_RUNS),
        }
        table = _table("Delivery", "", "")
        for name, figure in figures.items():
            table.add_row(name, f"{figure:.2f}")
        self._console.print(table)
        slower = 1 / figures["throughput beside a bare loop"]
        self.targets += [
            Target("times a bare loop's time that a transfer takes", 1 / 0.8, slower),
            Target("more memory at 2 GB than at 16 MB", 20, large - small, "MB"),
            Target("Arena requests for a file", 1, figures["Arena requests for each file"]),
        ]
        self.kept["delivery"] = figures

    def _growth(self) -> None:
        curves = {
            name: [
                min((measure(size) for _ in range(GROWTH_ROUNDS)), key=lambda point: point.seconds)
                for size in sizes
            ]
            for name, (measure, sizes) in growth.CURVES.items()
        }
        table = _table("Growth", "", "size", "processor s", "ledger calls")
        for name, points in curves.items():
            for point in points:
                table.add_row(name, f"{point.size:,}", f"{point.seconds:.2f}", f"{point.calls:,}")
        self._console.print(table)
        self.targets += measures.growth_targets(curves)
        self.kept["growth"] = {name: [asdict(p) for p in points] for name, points in curves.items()}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _style(name: str) -> str:
    return "bold" if name == OURS else ""


def _print_targets(console: Console, targets: Sequence[Target]) -> None:
    table = _table("Targets", "", "at most", "measured", "")
    for target in targets:
        unit = f" {target.unit}" if target.unit else ""
        table.add_row(
            target.name,
            f"{target.limit:g}{unit}",
            f"{target.measured:.2f}{unit}",
            "met" if target.met else "MISSED",
            style="" if target.met else "red",
        )
    console.print(table)
    console.print(f"{sum(t.met for t in targets)} of {len(targets)} targets met")


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(  # the developer's own git
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().strip()

    changed = git("status", "--porcelain", "--", "functions", "infra", "template.yaml")
    return git("rev-parse", "HEAD") + (" and changes" if changed else "")


@click.command()
def main() -> None:
    """Measure, print, and save the results in tests/bench/results/."""
    console = Console(width=130, highlight=False)
    RESULTS.mkdir(exist_ok=True)
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bench = Bench(console, progress)
        bench.run()
    _print_targets(console, bench.targets)
    kept = {
        "commit": _commit(),
        "targets": [{**asdict(t), "met": t.met} for t in bench.targets],
        **bench.kept,
    }
    (RESULTS / "results.json").write_text(json.dumps(kept, indent=1) + "\n")
    raise SystemExit(0 if all(target.met for target in bench.targets) else 1)


if __name__ == "__main__":
    main()
