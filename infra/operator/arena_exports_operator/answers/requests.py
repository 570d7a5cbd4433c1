"""What became of one request: its items, its runs, and why some are still pending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.model import AttemptId, Kind, RequestId
from arena_exports.domain.times import format_utc
from arena_exports_operator.answers import deliveries, history
from arena_exports_operator.answers.reasons import Cause, Reason, attempt_reason, group_reasons
from arena_exports_operator.answers.texts import KEPT_DAYS
from arena_exports_operator.answers.words import without_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.model import Entry, ItemGuid
    from arena_exports.ledger import Ledger
    from arena_exports.ledger.items import PageState
    from arena_exports.ports import Table
    from arena_exports_operator.answers.history import RunSummary
    from arena_exports_operator.answers.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class RequestRun:
    """A run that carried part of a request.

    `carried_count` is the number of the request's items that it carried (None for a definition
    run), `refused_count` the number of those that Arena refused by name.
    """

    run: RunSummary
    carried_count: int | None
    refused_count: int


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request. Counts of items are None for a run with the definition's own criteria.

    Items that are neither open nor rejected were exported.
    """

    request_id: str
    correlation_id: str | None
    export_guid: str
    kind: str
    lane: str
    item_count: int | None
    open_count: int | None
    rejected_count: int | None
    recorded_at: int
    runs: tuple[RequestRun, ...]
    reasons: tuple[Reason, ...]

    @property
    def done(self) -> bool:
        """Whether nothing of it is pending."""
        return self.reasons[0].cause in _ENDED


_ENDED = frozenset({Cause.EXPORTED, Cause.DEAD_LETTER, Cause.DELIVERING})


def trace_request(
    ledger: Ledger, table: Table, seen: Snapshot, request_id: str
) -> RequestView | None:
    """Return what the ledger knows of a request, by its SQS message id; None if it knows none."""
    states = ledger.requests.trace(RequestId(request_id))
    if not states:
        return None
    entries = [e for s in states for e in _entries(s, request_id, 0, s.page.size)]
    attempts = list(_attempts(ledger, seen, states, request_id))
    runs = [_run(attempt, carried) for attempt, carried in attempts]
    pending = [(state, list(_pending(state, request_id))) for state in states]
    waiting = [state for state, found in pending if found]
    group = (waiting or states)[0].page.group
    with_items = group.kind is Kind.ITEMS
    total = entries[0].total
    open_items = sum(len(e.item_guids) for _, found in pending for e in found)
    rejected = max(total - open_items - len(_exported_items(attempts)), 0)
    reasons = (
        _waiting(seen, waiting)
        if waiting
        else _ended(deliveries.pending(ledger, table, seen.now).deliveries, runs, rejected, total)
    )
    return RequestView(
        request_id=request_id,
        correlation_id=entries[0].correlation_id,
        export_guid=group.export_guid,
        kind=group.kind.value,
        lane=group.lane.value,
        item_count=total if with_items else None,
        open_count=open_items if with_items else None,
        rejected_count=rejected if with_items else None,
        recorded_at=_recorded_at(states),
        runs=tuple(runs),
        reasons=tuple(reasons),
    )


def _exported_items(attempts: Iterable[tuple[Attempt, list[Entry]]]) -> set[ItemGuid]:
    """Return the items of the request that successful runs carried."""
    return {
        guid
        for attempt, carried in attempts
        if attempt.result and attempt.result.outcome in history.SUCCESSES
        for entry in carried
        for guid in entry.item_guids
        if guid not in attempt.rejected
    }


def _recorded_at(states: Sequence[PageState]) -> int:
    """Return when the oldest page was recorded, which its id says."""
    return min(int(state.page.page_id[:12], 16) for state in states) // 1000


def _entries(state: PageState, request_id: str, start: int, stop: int) -> Iterator[Entry]:
    return (entry for entry in state.page.part(start, stop) if entry.request_id == request_id)


def _pending(state: PageState, request_id: str) -> Iterator[Entry]:
    """Yield the pending entries of the request on a page."""
    if state.position is not None:
        yield from _entries(state, request_id, state.position, state.page.size)


def _attempts(
    ledger: Ledger, seen: Snapshot, states: Sequence[PageState], request_id: str
) -> Iterator[tuple[Attempt, list[Entry]]]:
    """Yield the attempts with items of the request, the current one included, oldest first."""
    names = {name for state in states for name in state.attempts}
    current = {seen.attempt.attempt_id} if seen.attempt else set[AttemptId]()
    for name in sorted(names | current):
        try:
            attempt = history.read(ledger, name)
        except KeyError:  # expired
            continue
        carried = _carried(attempt, states, request_id)
        if carried:
            yield attempt, carried


def _carried(attempt: Attempt, states: Iterable[PageState], request_id: str) -> list[Entry]:
    known = {state.page.page_id: state for state in states}
    return [
        entry
        for cut in attempt.slices
        if cut.page_id in known
        for entry in _entries(known[cut.page_id], request_id, cut.start, cut.stop)
    ]


def _run(attempt: Attempt, carried: Sequence[Entry]) -> RequestRun:
    items: set[ItemGuid] = {guid for entry in carried for guid in entry.item_guids}
    refused = items & attempt.rejected
    with_items = attempt.group.kind is Kind.ITEMS
    return RequestRun(
        history.summarize(attempt), len(items - refused) if with_items else None, len(refused)
    )


def _waiting(seen: Snapshot, waiting: Sequence[PageState]) -> Iterator[Reason]:
    """Yield why a request's items are pending: first those in the attempt, then the others."""
    taken = {cut.page_id for cut in seen.attempt.slices} if seen.attempt else set()
    if seen.attempt and any(state.page.page_id in taken for state in waiting):
        yield attempt_reason(seen, seen.attempt, own=True)
    left = [state for state in waiting if state.page.page_id not in taken]
    if left:
        groups = dict.fromkeys(state.page.group for state in left)
        yield from group_reasons(seen, min(groups, key=seen.ready_at))


def _ended(
    pending: Sequence[deliveries.Delivery],
    runs: Sequence[RequestRun],
    rejected: int,
    total: int,
) -> Iterator[Reason]:
    """Yield how a request ended: what became of its files, and what was rejected."""
    succeeded = [part.run for part in runs if part.run.succeeded]
    names = {run.attempt_id for run in succeeded}
    under_way = [delivery for delivery in pending if delivery.attempt_id in names]
    if not runs:
        yield _expired()
    elif under_way:
        yield deliveries.reason(under_way[0])
    elif succeeded:
        yield _exported(succeeded[-1])
    if runs and (rejected or not succeeded):
        yield _dead_letter(runs, rejected, total)


def _exported(run: RunSummary) -> Reason:
    at = f" at {format_utc(run.completed_at)}" if run.completed_at else ""
    return Reason(
        Cause.EXPORTED,
        f"It was exported by run {run.run_guid}, which was completed{at}; the event "
        "arena.export.run.completed names its files.",
    )


def _dead_letter(runs: Sequence[RequestRun], rejected: int, total: int) -> Reason:
    errors = [part.run for part in runs if part.run.error_code]
    message = without_addresses(errors[-1].error_message or "") if errors else ""
    why = f" ({errors[-1].error_code}: {message})" if errors else ""
    what = f"{rejected} of {total} items were" if rejected else "The request was"
    return Reason(
        Cause.DEAD_LETTER,
        f"{what} rejected{why}, and sent to the dead-letter queue: see "
        "`arena-exports dead-letters list`.",
    )


def _expired() -> Reason:
    return Reason(
        Cause.EXPORTED,
        "Nothing of it is pending; the ledger no longer has its runs, which expire after "
        f"{KEPT_DAYS} days.",
    )
