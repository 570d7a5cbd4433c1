"""The messages of each workload and their times, the same for every baseline, from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from random import Random
from string import ascii_uppercase, digits
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR, DAY = 3600.0, 86_400.0
MEDIAN_RUN_SECONDS, RUN_SIGMA = 480.0, 0.5
REQUESTS_A_DAY = 10_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message: when it is sent, seconds from the start, and its items."""

    at: float
    item_guids: tuple[str, ...]
    bulk: bool = False


@dataclass(frozen=True)
class Workload:
    """Messages, and how the workspace's other users spend the shared budget.

    `others` has pairs of the second and the requests spent then.
    """

    name: str
    arrivals: Sequence[Arrival]
    others: Sequence[tuple[float, int]] = ()
    max_items: int = 5000

    def run_seconds(self, count: int) -> list[float]:
        """Return the durations of the first runs, the same at each call."""
        random = Random(7)
        return [random.lognormvariate(log(MEDIAN_RUN_SECONDS), RUN_SIGMA) for _ in range(count)]

    @property
    def items(self) -> int:
        """The number of items that arrive."""
        return sum(len(arrival.item_guids) for arrival in self.arrivals)


class Items:
    """Item GUIDs that compress no better than Arena's: 20 letters and digits."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def take(self, count: int) -> tuple[str, ...]:
        """Return new item GUIDs."""
        letters = "".join(self._random.choices(ascii_uppercase + digits, k=20 * count))
        return tuple(letters[n : n + 20] for n in range(0, len(letters), 20))


# Others who spend so much that nothing is spare, in pairs of the second and the requests.
BUSY_OTHERS = tuple((60.0 * n, 15) for n in range(600))


def trickle(scale: float = 1.0) -> Workload:
    """Return a day with a message of one item each minute."""
    items = Items(1)
    count = int(1440 * scale)
    return Workload("steady trickle", [Arrival(60.0 * n, items.take(1)) for n in range(count)])


def bursts(scale: float = 1.0) -> Workload:
    """Return a day with 24 engineering changes, each 300 messages within ten seconds."""
    random, items = Random(2), Items(2)
    starts = sorted(random.uniform(0, DAY) for _ in range(max(int(24 * scale), 1)))
    return Workload(
        "ECO bursts",
        [
            Arrival(start + random.uniform(0, 10), items.take(1))
            for start in starts
            for _ in range(300)
        ],
    )


def backfill(scale: float = 1.0) -> Workload:
    """Return a million items in bulk, 1,000 to a message, and a live item each five minutes."""
    items = Items(3)
    bulk = [Arrival(n * 0.2, items.take(1000), bulk=True) for n in range(int(1000 * scale))]
    live = [Arrival(300.0 * n, items.take(1)) for n in range(1, int(600 * scale))]
    return Workload("backfill beside live", [*bulk, *live])


def working_day(scale: float = 1.0) -> Workload:
    """Return office hours with changes and single items, and others who spend most of the budget.

    From 8 to 18 h an item each 40 seconds and twelve engineering changes of 300 messages; other
    integrations spend 9,000 of the day's 10,000 requests.
    """
    random, items = Random(4), Items(4)
    morning, evening = 8 * HOUR, 8 * HOUR + 10 * HOUR * scale
    singles = [random.uniform(morning, evening) for _ in range(int(900 * scale))]
    changes = [random.uniform(morning, evening) for _ in range(max(int(12 * scale), 1))]
    times = [*singles, *(start + random.uniform(0, 10) for start in changes for _ in range(300))]
    others = [(morning + at, count) for at, count in BUSY_OTHERS[: int(600 * scale)]]
    return Workload("working day", [Arrival(at, items.take(1)) for at in times], others)
