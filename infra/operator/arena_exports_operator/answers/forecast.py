"""What requests will cost: runs, Arena requests and hours, at the durations of past runs.

The runs are simulated a few hundred times, with durations drawn from past runs of the same export
definition and size, the polls that the poll function would make, and today's budget; what is
pending and the run in progress go first. The median and the 95th percentile are returned.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from arena_exports.domain.model import Kind, Lane
from arena_exports_operator.answers import timing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from arena_exports.domain.definitions import Definition
    from arena_exports.domain.model import ExportGuid, ExportRequest, Group
    from arena_exports.ledger import Ledger
    from arena_exports_operator.answers.snapshot import Snapshot

TRIALS = 300
MAX_RUNS_SIMULATED = 2_000
MAX_PAGES_COUNTED = 20_000
SECONDS_BETWEEN_RUNS = 5  # publishing, and the next POST
REQUESTS_OF_A_RUN = 2  # at least: one POST, one poll
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """What requests will cost. Figures that need past runs are None if there are none.

    `runs_ahead` counts the runs of what is pending already, including the run in progress.
    """

    requests: int
    items: int
    runs: int
    runs_ahead: int
    arena_requests_at_least: int
    arena_requests: int | None
    arena_requests_95: int | None
    hours: float | None
    hours_95: float | None
    ends_at: int | None
    ends_95_at: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """How long one past run kept others waiting, and how many Arena requests it cost."""

    seconds: float
    requests: int


def make_plan(ledger: Ledger, seen: Snapshot, wanted: Sequence[ExportRequest]) -> Plan:
    """Return what requests would cost if they were sent now."""
    groups = _items_of(wanted)
    definitions = ledger.definitions.read_many(group.export_guid for group in groups)
    sizes = list(_runs_of(seen, groups, definitions))
    ahead = list(_runs_of(seen, _pending(ledger), {**seen.definitions}))
    runs = [_samples(definition, size) for definition, size in sizes]
    before = [_samples(definition, size) for definition, size in ahead]
    requests, ends = _simulate(seen, before, runs)
    hours = [(end - seen.now) / 3600 for end in ends]
    return Plan(
        requests=len(wanted),
        items=sum(groups[group] for group in groups if group.kind is Kind.ITEMS),
        runs=len(runs),
        runs_ahead=len(before),
        arena_requests_at_least=len(runs) * REQUESTS_OF_A_RUN,
        arena_requests=_whole(_quantile(requests, 0.5)),
        arena_requests_95=_whole(_quantile(requests, 0.95)),
        hours=_quantile(hours, 0.5),
        hours_95=_quantile(hours, 0.95),
        ends_at=_whole(_quantile(ends, 0.5)),
        ends_95_at=_whole(_quantile(ends, 0.95)),
    )


def _items_of(wanted: Iterable[ExportRequest]) -> Counter[Group]:
    """Count the items of each group; a definition run is one."""
    groups: Counter[Group] = Counter()
    for request in wanted:
        if request.group.kind is Kind.ITEMS:
            groups[request.group] += len(request.item_guids)
        else:
            groups[request.group] = 1  # they share a run
    return groups


def _pending(ledger: Ledger) -> Counter[Group]:
    groups: Counter[Group] = Counter()
    for page in islice(ledger.requests.pending(), MAX_PAGES_COUNTED):
        if page.group.kind is Kind.ITEMS:
            groups[page.group] += page.size - page.position
        else:
            groups[page.group] = 1
    return groups


def _runs_of(
    seen: Snapshot, groups: Counter[Group], definitions: dict[ExportGuid, Definition]
) -> Iterator[tuple[Definition, int]]:
    """Yield the definition and the number of items of each run that the groups lead to."""
    for group, items in groups.items():
        definition = definitions[group.export_guid]
        limit = min(definition.limit or seen.stack_state.max_items, seen.stack_state.max_items)
        whole = group.kind is Kind.DEFINITION or group.lane is Lane.SUSPECT
        count = 1 if whole else ceil(items / limit)
        yield from ((definition, ceil(items / count)) for _ in range(count))


def _samples(definition: Definition, items: int) -> list[Sample]:
    """Return past runs of about this size, or of any size if there are none of this size."""
    durations = definition.durations_for(items)
    durations = durations or [d for known in definition.durations.values() for d in known]
    polls = timing.poll_times(durations) if durations else []
    return [_sample(polls, duration) for duration in durations]


def _sample(polls: Sequence[float], duration: float) -> Sample:
    """Return a run of this duration, which keeps others waiting until the first poll after it."""
    number, found = next(
        ((n, at) for n, at in enumerate(polls, start=1) if at >= duration),
        (len(polls), duration),
    )
    return Sample(found + SECONDS_BETWEEN_RUNS, number + 1)


def _simulate(
    seen: Snapshot, before: Sequence[list[Sample]], runs: Sequence[list[Sample]]
) -> tuple[list[float], list[float]]:
    """Return the Arena requests of the runs, and when the last one ends, in each of many trials."""
    known = all(runs) and all(before) and len(before) + len(runs) <= MAX_RUNS_SIMULATED
    if not runs or not known:
        return [], []
    random = Random(0)  # noqa: S311 - a forecast, the same each time
    found = [_trial(seen, before, runs, random) for _ in range(TRIALS)]
    return [requests for requests, _ in found], [end for _, end in found]


def _trial(
    seen: Snapshot, before: Sequence[list[Sample]], runs: Sequence[list[Sample]], random: Random
) -> tuple[float, float]:
    budget, reserve = seen.budget, seen.stack_state.reserve
    full = max(budget.first_remaining or 0, budget.remaining or 0) - reserve
    left = None if budget.remaining is None else budget.remaining - reserve
    resets_at = float(budget.resets_at or seen.now + _DAY_SECONDS)
    at, spent = float(max(seen.now, budget.spent_until)), 0
    for number, samples in enumerate([*before, *runs]):
        sample = random.choice(samples)
        if left is not None and left < sample.requests:  # the next run waits for the reset
            at, left = max(at, resets_at), full
            resets_at += _DAY_SECONDS
        left = None if left is None else left - sample.requests
        at += sample.seconds
        spent += sample.requests if number >= len(before) else 0
    return spent, at


def _quantile(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
