"""When the run in progress is expected to end, and when it is polled next: estimates.

The state machine knows the exact time of the next poll. Reading it there would cost a call for each
question, so it is computed by the rule that the poll function follows.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from arena_exports.domain.polling import (
    STANDARD_PACE,
    Pace,
    PastRuns,
    first_wait_seconds,
    next_wait_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.budget import Budget
    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.polling import PollLimits

MAX_POLLS = 10_000
SECONDS_OF_A_POLL = 1.0


def expected_end(attempt: Attempt, definition: Definition) -> int | None:
    """Return when the run is expected to end; None if no run of its size has succeeded yet."""
    durations = definition.durations_for(attempt.item_count)
    return attempt.started_at + round(median(durations)) if durations else None


def next_poll(
    attempt: Attempt, definition: Definition, budget: Budget, limits: PollLimits, now: float
) -> int:
    """Return when the run is polled next, assuming that the budget has not changed."""
    durations = definition.durations_for(attempt.item_count)
    for waited in poll_times(durations, limits.pace(budget, now)):
        if attempt.started_at + waited > now:
            break
    return attempt.started_at + round(waited)


def poll_times(durations: Sequence[float], pace: Pace = STANDARD_PACE) -> list[float]:
    """Return the seconds after which a run is polled, in order, for a day."""
    past = PastRuns(durations)
    waited = float(first_wait_seconds(past, pace))
    times = [waited]
    while waited < 86_400 and len(times) < MAX_POLLS:  # noqa: PLR2004 - the seconds of a day
        waited += SECONDS_OF_A_POLL + next_wait_seconds(past, waited, pace)
        times.append(waited)
    return times
