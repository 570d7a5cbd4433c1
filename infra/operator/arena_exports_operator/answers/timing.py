"""When the run in progress is expected to end, and when it is polled next: estimates.

The state machine knows the time of the next poll exactly. Reading it there would cost a call for
each question, so it is worked out from the same rule that the poll function follows.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from arena_exports.domain.polling import first_wait_seconds, next_wait_seconds, scarcity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.budget import Budget
    from arena_exports.domain.definitions import Definition

MAX_POLLS = 10_000
SECONDS_OF_A_POLL = 1.0


def expected_end(attempt: Attempt, definition: Definition) -> int | None:
    """Return when the run is expected to end; None where no run of its size has succeeded yet."""
    durations = definition.durations_for(attempt.item_count)
    return attempt.started_at + round(median(durations)) if durations else None


def next_poll(
    attempt: Attempt, definition: Definition, budget: Budget, reserve: int, now: float
) -> int:
    """Return when the run is polled next."""
    durations = definition.durations_for(attempt.item_count)
    stretch = scarcity(budget.remaining, reserve)
    for waited in poll_times(durations, stretch):
        if attempt.started_at + waited > now:
            break
    return attempt.started_at + round(waited)


def poll_times(durations: Sequence[float], stretch: float = 1.0) -> list[float]:
    """Return the seconds after which a run is polled, in order, for a day."""
    waited = float(first_wait_seconds(durations))
    times = [waited]
    while waited < 86_400 and len(times) < MAX_POLLS:  # noqa: PLR2004 - the seconds of a day
        waited += SECONDS_OF_A_POLL + next_wait_seconds(durations, waited, scarcity=stretch)
        times.append(waited)
    return times
