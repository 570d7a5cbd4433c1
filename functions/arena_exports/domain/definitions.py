"""What is known about an export definition, and when it may be tried again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from arena_exports.domain.backoff import doubled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.domain.model import ExportGuid


DURATIONS_KEPT = 50
# One bad item fails at most three runs in a row: its set, the set's second try, and the first half.
# After one more, the failures may be Arena's, not the item's.
FAILURES_OF_ONE_ITEM = 3
MAX_DOUBT_SECONDS = 3600
_FIRST_DOUBT_SECONDS = 60
_FIRST_REFUSAL_SECONDS = 60
_UNKNOWN_SECONDS = 60
# Shared by definitions without a successful run, most of which may be misspelled.
SECONDS_BETWEEN_TRIALS = 60
MAX_TRIALS_A_DAY = 200
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Definition:
    """What is known about one export definition.

    Times are epoch seconds, 0 for never. `failures` counts attempts in a row that failed (the run
    FAILED, or there was none), `refusals` POSTs in a row that Arena refused because of the
    definition itself; `unknown_at` is when Arena first did not know the definition; `limit` is the
    maximum number of items after a run was too large, 0 for no limit; `durations` has how many
    seconds past runs took by Arena's own times, by size class, oldest first.
    """

    export_guid: ExportGuid
    failures: int = 0
    refusals: int = 0
    last_success_at: int = 0
    not_before: int = 0
    suspects_not_before: int = 0
    served_at: int = 0
    limit: int = 0
    durations: dict[str, list[int]] = field(default_factory=dict)
    unknown_at: int = 0

    @property
    def proven(self) -> bool:
        """Whether a run of it has ever succeeded."""
        return self.last_success_at > 0

    @property
    def in_doubt(self) -> bool:
        """Whether too many attempts in a row have failed to blame an item for the next failure."""
        return self.failures >= FAILURES_OF_ONE_ITEM

    def served(self, now: float) -> Definition:
        """Note that a run of it has just ended: the definition served longest ago goes first."""
        return replace(self, served_at=int(now), refusals=0, not_before=0, unknown_at=0)

    def succeeded(self, now: float, items: int, duration_seconds: float | None) -> Definition:
        """Note a run with results: reset failures, and raise the size limit by a quarter."""
        limit = max(self.limit + 1, self.limit * 5 // 4) if self.limit else 0
        durations = self.durations
        if duration_seconds is not None:
            durations = _with_duration(durations, items, duration_seconds)
        return replace(
            self.served(now),
            failures=0,
            suspects_not_before=0,
            last_success_at=int(now),
            limit=limit,
            durations=durations,
        )

    def refused(self, now: float, longest_seconds: int) -> Definition:
        """Note that Arena refused the definition itself: back off, twice as long each time."""
        seconds = int(doubled(_FIRST_REFUSAL_SECONDS, self.refusals, longest_seconds))
        return replace(
            self, refusals=self.refusals + 1, not_before=int(now) + seconds, served_at=int(now)
        )

    def unknown(self, now: float) -> Definition:
        """Note that Arena does not know the definition; perhaps a replica lags."""
        return replace(
            self,
            unknown_at=self.unknown_at or int(now),
            not_before=int(now) + _UNKNOWN_SECONDS,
            served_at=int(now),
        )

    def is_unknown(self, now: float) -> bool:
        """Return whether Arena has not known it for a minute or more, and no run ever succeeded."""
        return not self.proven and 0 < self.unknown_at <= now - _UNKNOWN_SECONDS

    def failed(self, now: float, *, alone: bool, without_run: bool = False) -> Definition:
        """Note an attempt that failed.

        Args:
            now: epoch seconds.
            alone: it carried a single suspect item, so only waiting is left.
            without_run: it led to no run. Then ordinary requests wait too, unless it was alone: the
                next attempt would cost as many requests and hold the lease as long.
        """
        failures = self.failures + 1
        doubt = failures - FAILURES_OF_ONE_ITEM + (1 if alone else 0)
        back_off = doubled(_FIRST_DOUBT_SECONDS, doubt - 1, MAX_DOUBT_SECONDS)
        seconds = int(back_off) if doubt > 0 else 0
        until = int(now) + seconds
        failed = replace(self.served(now), failures=failures, suspects_not_before=until)
        return replace(failed, not_before=until) if without_run and not alone else failed

    def delay_suspects(self, now: float, seconds: int) -> Definition:
        """Make suspect sets wait, because the last run of one was aborted."""
        return replace(
            self.served(now), suspects_not_before=max(self.suspects_not_before, int(now) + seconds)
        )

    def too_large(self, items: int) -> Definition:
        """Note that a run of `items` items was too large: halve the limit."""
        return replace(self, limit=max(items // 2, 1))

    def durations_for(self, items: int) -> list[int]:
        """Return the durations of past runs of about this size."""
        return self.durations.get(size_class(items), [])


@dataclass(frozen=True, slots=True)
class StackDurations:
    """How many seconds past runs of any definition took, by size class, oldest first."""

    durations: dict[str, list[int]] = field(default_factory=dict)

    def following(self, items: int, duration_seconds: float) -> StackDurations:
        """Note a run with results."""
        return StackDurations(_with_duration(self.durations, items, duration_seconds))


def similar_durations(durations: Mapping[str, list[int]], items: int) -> list[int]:
    """Return the durations of the nearest size class; none if there is no class."""
    nearest = min(durations, key=lambda of: abs(int(of) - int(size_class(items))), default="")
    return durations.get(nearest, [])


def size_class(items: int) -> str:
    """Return the class of runs with similar durations: the number of digits of `items`."""
    return str(len(str(items)))


def _with_duration(
    durations: Mapping[str, list[int]], items: int, seconds: float
) -> dict[str, list[int]]:
    kept = [*durations.get(size_class(items), []), round(seconds)][-DURATIONS_KEPT:]
    return {**durations, size_class(items): kept}


@dataclass(frozen=True, slots=True)
class Trials:
    """POSTs of the last day for unproven definitions: epoch seconds, oldest first."""

    posts: tuple[int, ...] = ()

    def allow(self, now: float) -> bool:
        """Return whether such a POST may be sent now: one a minute, and 200 in 24 hours."""
        day = self._of_the_day(now)
        return not day or (len(day) < MAX_TRIALS_A_DAY and day[-1] <= now - SECONDS_BETWEEN_TRIALS)

    def spent(self, now: float) -> bool:
        """Return whether the day's POSTs are spent."""
        return len(self._of_the_day(now)) >= MAX_TRIALS_A_DAY

    def following(self, now: float) -> Trials:
        """Add one that is about to be sent."""
        return Trials((*self._of_the_day(now), int(now)))

    def without_last(self) -> Trials:
        """Remove the last one, which was not sent after all."""
        return Trials(self.posts[:-1])

    def _of_the_day(self, now: float) -> tuple[int, ...]:
        return tuple(at for at in self.posts if now - _DAY_SECONDS < at <= now)
