"""The charts of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from tests.bench.measures import ORACLE, OURS, OURS_WITH_PLENTY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.baselines import Outcome
    from tests.bench.policies import Score

WORKING_DAY = ("one run for each message, 30 s", "coalescing, 5 s (Airbyte)", OURS, "lower bound")
# These lie close to others.
LABELS = {OURS: (-6, -18), ORACLE: (-6, 10), OURS_WITH_PLENTY: (-70, -18)}
HOUR = 3600


def polls_against_delay(scores: dict[str, Score], title: str, path: Path) -> None:
    """Draw each policy by its polls and its delay; down and left is better."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name, score in scores.items():
        marked = name in (OURS, OURS_WITH_PLENTY, ORACLE)
        axes.scatter(score.polls, 100 * score.delay, s=90 if marked else 50, zorder=3)
        axes.annotate(
            name,
            (score.polls, 100 * score.delay),
            xytext=LABELS.get(name, (8, 5)),
            textcoords="offset points",
            fontweight="bold" if name in (OURS, OURS_WITH_PLENTY) else "normal",
        )
    axes.set_xscale("log")
    axes.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axes.set_xlim(4, 400)
    axes.set_ylim(bottom=0)
    axes.set(
        xlabel="polls for each run (logarithmic)",
        ylabel="mean delay, % of the run's duration",
        title=f"Polls against delay: {title}",
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def working_day(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw the pending items and the requests spent, by the hour of the day."""
    figure, (waiting, spent) = plt.subplots(2, 1, figsize=(8, 7), sharex=True, layout="constrained")
    for outcome in (o for o in outcomes if o.name in WORKING_DAY):
        width = 2.5 if outcome.name == OURS else 1.3
        hours = [at / HOUR for at, _ in outcome.waiting]
        label = outcome.name
        waiting.step(hours, [n for _, n in outcome.waiting], where="post", lw=width, label=label)
        times = [at / HOUR for at in sorted(outcome.request_times)]
        spent.step(times, range(1, len(times) + 1), where="post", lw=width, label=label)
    waiting.set(
        ylabel="items waiting (arrived, not published)", title="A working day, shared budget"
    )
    spent.set(ylabel="Arena requests spent", xlabel="hour of the day", xlim=(7, 30))
    spent.set_yscale("log")
    for axes in (waiting, spent):
        axes.grid(alpha=0.3)
    waiting.legend(loc="center right")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
