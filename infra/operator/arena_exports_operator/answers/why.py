"""Why nothing moves, or why one request or item is not exported yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports_operator.answers.find import find
from arena_exports_operator.answers.reasons import Reason, queue_reason, stack_reasons
from arena_exports_operator.answers.requests import trace_request
from arena_exports_operator.answers.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Table
    from arena_exports_operator.answers.requests import RequestView
    from arena_exports_operator.answers.stack_state import StackState


@dataclass(frozen=True, slots=True)
class Why:
    """The decisive reason, others that apply at the same time, and the request that it concerns."""

    reason: Reason
    also: tuple[Reason, ...] = ()
    request_id: str | None = None


def why_nothing_moves(ledger: Ledger, stack_state: StackState, now: float) -> Why:
    """Return why nothing moves, or what is moving."""
    first, *others = stack_reasons(take_snapshot(ledger, stack_state, now))
    return Why(first, tuple(others))


def why_not_exported(
    ledger: Ledger, table: Table, stack_state: StackState, text: str, now: float
) -> Why | None:
    """Return why a request or an item is not exported yet; None if it is not known.

    If several requests contain an item, the oldest pending one counts, else the newest. A request
    that the ledger does not know may still be on the intake queue.
    """
    seen = take_snapshot(ledger, stack_state, now)
    found = find(ledger, table, seen, text)
    carried = [part.request_id for detail in found.runs[:1] for part in detail.requests[:1]]
    of_runs = [trace_request(ledger, table, seen, request_id) for request_id in carried]
    views = [*found.requests, *filter(None, of_runs)]
    if views:
        view = _decisive(views)
        return Why(view.reasons[0], view.reasons[1:], view.request_id)
    if stack_state.intake_messages:
        return Why(queue_reason(seen, stack_state.intake_messages))
    return None


def _decisive(views: Sequence[RequestView]) -> RequestView:
    ordered = sorted(views, key=lambda view: view.recorded_at)
    return next((view for view in ordered if not view.done), ordered[-1])
