"""Run the proofs, print what each shows and how strongly, and write it to `results/proofs.md`."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import click
from minicheck import check_liveness, check_safety
from rich.console import Console
from rich.progress import track

from tests.simulation.aim import AimedDay
from tests.simulation.coverage import FAULTS, RARE, STATES, Coverage, explanation
from tests.simulation.field import TROUBLES
from tests.simulation.hunt import Hunt, hunt, methods_for, troubled_day
from tests.simulation.invariants import violations
from tests.simulation.models import delivery, lease
from tests.simulation.models.replay import VIEWS, Replay
from tests.simulation.planted import BUGS
from tests.simulation.planted_delivery import BUGS_OF_DELIVERY
from tests.simulation.schedules.pairs import PAIRS
from tests.simulation.schedules.pct import Mix, Sample, all_mixes, sample
from tests.simulation.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from minicheck import Protocol

    from tests.simulation.planted import Bug

T = TypeVar("T")

WORKERS = 2
RESULTS = Path(__file__).parent / "results" / "proofs.md"
ALL_BUGS = (*BUGS, *BUGS_OF_DELIVERY)
CHUNK = 10
MOST_MISSED = 0.05
DAYS_OF_EACH_TROUBLE = 6
DAYS_OF_EACH_AIM = 10
MAX_STATES = 100_000


@dataclass
class Report:
    """What the proofs show, as Markdown, and what is wrong."""

    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Print a line or paragraph, and keep it."""
        click.echo(text)
        self.lines += [text, ""] if not text.startswith("|") else [text]

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table, and keep it."""
        for row in (heads, ["---"] * len(heads), *rows):
            self.say(f"| {' | '.join(map(str, row))} |")
        self.lines.append("")


def _quiet() -> None:
    logging.disable(logging.CRITICAL)


def progress(results: Iterable[T], name: str, total: int) -> Iterable[T]:
    """Show on a terminal how many results there are."""
    return track(results, name, total=total, console=Console(stderr=True), transient=True)


# ---- planted bugs --------------------------------------------------------------------------------


def _hunt(counts: Mapping[str, int], job: tuple[str, str]) -> Hunt:
    name, method = job
    bug = next(bug for bug in ALL_BUGS if bug.name == name)
    return hunt(bug, method, counts[method])


def show_bugs(report: Report, pool: ProcessPoolExecutor, counts: Mapping[str, int]) -> None:
    """Say how soon each planted bug is found."""
    report.say("## Planted bugs")
    report.say("The numbers are trials until the bug was found; `-` means not found.")
    _show_bugs(report, pool, counts, "of exports", BUGS)
    _show_bugs(report, pool, counts, "of delivery", BUGS_OF_DELIVERY)


def _show_bugs(
    report: Report,
    pool: ProcessPoolExecutor,
    counts: Mapping[str, int],
    kind: str,
    bugs: Sequence[Bug],
) -> None:
    methods = [*methods_for(bugs[0])]
    budget = ", ".join(f"{counts[method]} {method}" for method in methods)
    report.say(f"{len(bugs)} bugs {kind}, in {budget}:")
    jobs = [(bug.name, method) for bug in bugs for method in methods]
    hunting = pool.map(partial(_hunt, counts), jobs)
    found = {(h.bug, h.method): h for h in progress(hunting, f"Bugs {kind}", len(jobs))}
    rows = []
    for bug in bugs:
        hunts = [found[bug.name, method] for method in methods]
        why = f"; harmless: {bug.harmless}" if bug.harmless else ""
        trials = [h.trials if h.found else "-" for h in hunts]
        rows.append([bug.name, *trials, bug.description + why])
        if not bug.harmless and not any(h.found for h in hunts):
            report.wrong.append(f"the bug {bug.name!r} is not found")
        if not any(h.changed for h in hunts):
            report.wrong.append(f"the bug {bug.name!r} changes nothing")
    report.table(["bug", *methods, "what is wrong"], rows)


# ---- schedules -----------------------------------------------------------------------------------


def _sample(most: int, job: tuple[Mix, int]) -> Sample:
    return sample(*job, MOST_MISSED, most)


def show_random_schedules(report: Report, pool: ProcessPoolExecutor, most: int) -> None:
    """Say with which probability random schedules would have found a bug."""
    report.say("## Random schedules")
    report.say(
        "Each pair and triple of functions; n threads, k calls at most, d the depth of a bug. One "
        "run finds it with a probability of at least 1/(n·k^(d-1)); `missed` is the greatest "
        "probability with which all runs miss it."
    )
    jobs = [(mix, depth) for mix in all_mixes() for depth in (2, 3)]
    sampling = pool.map(partial(_sample, most), jobs)
    samples = list(progress(sampling, "Random schedules", len(jobs)))
    rows = []
    for two, three in zip(samples[::2], samples[1::2], strict=True):
        names = " &#124; ".join(two.mix.names)
        row: list[object] = [names, len(two.mix.names), max(two.steps, three.steps)]
        for one in (two, three):
            row += [one.runs, f"1/{1 / one.bound:,.0f}", f"{one.miss:.1%}"]
            for seed, found in one.violations.items():
                report.wrong.append(f"{one.mix.names}, d = {one.depth}, seed {seed}: {found}")
        rows.append(row)
    heads = ["functions", "n", "k"]
    for depth in (2, 3):
        heads += [f"runs, d = {depth}", "bound", "missed"]
    report.table(heads, rows)
    report.say(f"{sum(one.runs for one in samples):,} runs.")


def _explore(number: int) -> tuple[Counter[int], int, list[str]]:
    sizes: Counter[int] = Counter()
    choices, wrong = 0, []
    for trial in PAIRS[number].explore():
        sizes[len(trial.schedule.preempted_at)] += 1
        choices = max(choices, len(trial.choices))
        if trial.violations:
            wrong.append(f"{PAIRS[number].name}, {trial.schedule}: {trial.violations}")
    return sizes, choices, wrong


def show_all_schedules(report: Report, pool: ProcessPoolExecutor) -> None:
    """Say how many schedules of each pair keep the rules."""
    report.say("## All schedules with up to two preemptions")
    report.say("A function is preempted only before a call that conflicts with one of the other.")
    rows, total = [], 0
    for pair, (sizes, choices, wrong) in zip(
        PAIRS, pool.map(_explore, range(len(PAIRS))), strict=True
    ):
        report.wrong += wrong
        total += sizes.total()
        name = pair.name.replace("|", "&#124;")
        rows.append([name, choices, sizes[0], sizes[1], sizes[2], sizes.total(), len(wrong)])
    heads = ["pair", "calls", "none", "one", "two", "schedules", "with violations"]
    report.table(heads, rows)
    report.say(f"{total:,} schedules.")


# ---- days ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WatchedDay:
    """A simulated day: which faults met which states, and which steps of each model it took."""

    name: str
    violations: tuple[str, ...]
    reached: Mapping[tuple[str, str], int]
    steps: Mapping[str, Mapping[tuple[Hashable, Hashable], int]]


def make_day(seed: int, fault: str, state: str) -> Simulation:
    """Return a day from a seed: with a trouble, or with a fault aimed at a state."""
    if state:
        return AimedDay(seed, fault, state)
    return troubled_day(seed, fault) if fault else Simulation(seed)


def watch_day(seed: int, fault: str = "", state: str = "") -> WatchedDay:
    """Simulate a day; with a trouble, one on which logins are often refused, too."""
    day = make_day(seed, fault, state)
    coverage, replays = Coverage(), {name: Replay(view()) for name, view in VIEWS.items()}
    coverage.watch(day)
    for replay in replays.values():
        replay.watch(day)
    day.run()
    found = violations(day)
    day.scheduler.close()
    steps = {name: replay.steps for name, replay in replays.items()}
    name = f"{seed} {fault} {state}".strip()
    return WatchedDay(name, tuple(found), coverage.reached, steps)


def show_days(report: Report, pool: ProcessPoolExecutor, days: int) -> None:
    """Say which faults met which states, and that each step of the ledger is the model's."""
    coverage, taken = Coverage(), {name: Counter[Any]() for name in VIEWS}

    def watch(jobs: Sequence[tuple[int, str, str]]) -> int:
        living = pool.map(watch_day, *zip(*jobs, strict=True), chunksize=CHUNK)
        for day in progress(living, "Days", len(jobs)):
            coverage.add(day.reached)
            for name, steps in day.steps.items():
                taken[name].update(steps)
            report.wrong += [f"day {day.name}: {text}" for text in day.violations]
        return len(jobs)

    watched = watch([(seed, "", "") for seed in range(days)])
    watched += watch([(n, name, "") for name in TROUBLES for n in range(DAYS_OF_EACH_TROUBLE)])
    for number in range(DAYS_OF_EACH_AIM):
        missing = [p for p in coverage.missing() if explanation(*p) in ("", RARE)]
        if missing:
            watched += watch([(number, *pair) for pair in missing])
    _show_coverage(report, coverage, watched)
    _show_replay(report, taken, watched)


def _show_coverage(report: Report, coverage: Coverage, days: int) -> None:
    report.say("## Faults and states")
    missing = list(coverage.missing())
    report.say(
        f"{len(FAULTS)} kinds of faults, {len(STATES)} states of the protocol: {days:,} simulated "
        f"days reach {len(coverage.reached)} of {len(FAULTS) * len(STATES)} pairs. The others:"
    )
    rows: dict[tuple[str, str], list[str]] = {}
    for fault, state in missing:
        rows.setdefault((fault, explanation(fault, state)), []).append(state)
        if not explanation(fault, state):
            report.wrong.append(f"no day reaches {fault!r} in the state {state!r}")
    report.table(
        ["fault", "states", "why not"], [[f, ", ".join(s), why] for (f, why), s in rows.items()]
    )


def _show_replay(report: Report, taken: Mapping[str, Counter[Any]], days: int) -> None:
    report.say("## The steps of days and of the models")
    for name, view in VIEWS.items():
        steps, known = taken[name], view().steps()
        foreign = [step for step in steps if step not in known]
        report.wrong += [f"a step that the model of {name} does not know: {s}" for s in foreign]
        unseen = sorted({known[step] for step in known if step not in steps})
        report.say(
            f"{steps.total():,} steps of {name} in {days:,} days, of {len(steps)} kinds. "
            f"{len(foreign)} are not the model's. Of the model's {len(known)} kinds, "
            f"{sum(s not in steps for s in known)} never occurred ({', '.join(unseen) or '-'})."
        )


# ---- models --------------------------------------------------------------------------------------


def check(model: Protocol, max_states: int = MAX_STATES) -> tuple[int, list[str]]:
    """Explore a model; return its states and the properties that a state breaks.

    Raises:
        ValueError: it has more states, and no property is known to be broken.
    """
    found = check_safety(model, max_states=max_states)
    broken = [name for name, what in found["properties"].items() if what["holds"] is False]
    if not broken and not found["exhaustive"]:
        message = f"the model of {model.name} has more than {max_states} states"
        raise ValueError(message)
    return int(found["reachable_states"]), broken


def show_models(report: Report) -> None:
    """Say what the models show."""
    report.say("## Models")
    rows: list[Sequence[object]] = []

    def show(name: str, model: Protocol, *, right: bool) -> None:
        states, broken = check(model)
        rows.append([name, f"{states:,}", "; ".join(broken) or "all properties hold"])
        if bool(broken) is right:
            report.wrong.append(f"the model of {name}: {broken}")
        if right and not check_liveness(model)["holds"]:
            report.wrong.append(f"the model of {name} does not drain from everywhere")

    show("the lease", lease.lease_model(), right=True)
    for assumption in lease.Assumption:
        variant = lease.Variant(lease.ALL_ASSUMPTIONS - {assumption})
        show(f"the lease, unless {assumption}", lease.lease_model(variant), right=False)
    for bug in lease.BUGS:
        show(f"the lease: {bug}", lease.lease_model(lease.Variant(bug=bug)), right=False)
    show("delivery", delivery.delivery_model(), right=True)
    for bug in delivery.BUGS:
        show(f"delivery: {bug}", delivery.delivery_model(delivery.Variant(bug)), right=False)
    report.table(["model", "states", "what does not hold"], rows)


# ---- the command ---------------------------------------------------------------------------------


@click.command()
@click.option("--days", default=500, show_default=True, help="Simulated days to watch.")
@click.option("--runs", default=1000, show_default=True, help="Most random schedules of a mix.")
@click.option("--trials", default=1.0, show_default=True, help="Share of a hunt's usual trials.")
def main(days: int, runs: int, trials: float) -> None:
    """Run the proofs; fail if any of them does."""
    _quiet()
    report, began = Report(), monotonic()
    report.say("# What the proofs show")
    usual = {
        "seeds": 100,
        "troubled days": 28,
        "aimed days": 30,
        "quiet days": 10,
        "crash points": 400,
        "random schedules": 400,
        "all schedules": 1500,
    }
    counts = {method: max(1, int(count * trials)) for method, count in usual.items()}
    with ProcessPoolExecutor(WORKERS, initializer=_quiet) as pool:
        parts: list[Callable[[], None]] = [
            lambda: show_models(report),
            lambda: show_all_schedules(report, pool),
            lambda: show_random_schedules(report, pool, runs),
            lambda: show_days(report, pool, days),
            lambda: show_bugs(report, pool, counts),
        ]
        for part in parts:
            part()
    for text in report.wrong:
        click.echo(f"WRONG: {text}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(report.lines).rstrip() + "\n")
    click.echo(f"{monotonic() - began:.0f} s; {len(report.wrong)} problems; {RESULTS}")
    raise SystemExit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
