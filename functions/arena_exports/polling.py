"""When to look at a run next.

Pure. The first look falls shortly before the run can be expected to end; then the gaps grow with
the time already waited, so that the delay stays a bounded share of the duration (Keller 1974,
"Optimum checking schedules for systems subject to random failure").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_LOOK_SECONDS = 5  # where nothing is known yet
SHORTEST_GAP_SECONDS = 2
LONGEST_GAP_SECONDS = 3600
SHARE_OF_TIME_WAITED = 0.15
SHARE_OF_SHORTEST_RUN = 0.9


def first_wait_seconds(durations: Sequence[float]) -> int:
    """Return the seconds from the start of a run to the first look.

    Args:
        durations: true durations, seconds, of the definition's past runs of about this size, oldest
            first.
    """
    if not durations:
        return FIRST_LOOK_SECONDS
    return max(int(SHARE_OF_SHORTEST_RUN * min(durations)), SHORTEST_GAP_SECONDS)


def next_wait_seconds(waited_seconds: float, *, scarcity: float = 1.0) -> int:
    """Return the seconds from one look, at which the run was pending, to the next.

    Args:
        waited_seconds: since the run was started.
        scarcity: 1 with a full request budget, more as it shrinks.
    """
    gap = max(waited_seconds * SHARE_OF_TIME_WAITED, SHORTEST_GAP_SECONDS) * max(scarcity, 1.0)
    return int(min(gap, LONGEST_GAP_SECONDS))


def scarcity(remaining: int | None, reserve: int) -> float:
    """Return how much gaps are stretched.

    1 while more than four reserves are left, 4 when only half of one is.
    """
    if remaining is None or reserve <= 0 or remaining >= 4 * reserve:
        return 1.0
    return min(4.0, 4.0 * reserve / max(remaining, 1) / 2 + 0.5)
