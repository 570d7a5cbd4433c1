"""The state that decides whether a run can start, read from the ledger once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.model import Lane
from arena_exports_operator.answers import history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.budget import Budget
    from arena_exports.domain.definitions import Definition, Trials
    from arena_exports.domain.lease import Lease
    from arena_exports.domain.model import ExportGuid, Group
    from arena_exports.domain.pause import Pause
    from arena_exports.domain.session_state import SessionState
    from arena_exports.ledger import Ledger
    from arena_exports.ledger.items import Pending
    from arena_exports_operator.answers.stack_state import StackState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one moment; `oldest` is the oldest pending page of each group."""

    now: float
    stack_state: StackState
    lease: Lease
    attempt: Attempt | None
    budget: Budget
    session: SessionState
    pause: Pause | None
    trials: Trials
    oldest: tuple[Pending, ...]
    definitions: Mapping[ExportGuid, Definition]

    def definition(self, group: Group) -> Definition:
        """Return what is known of a group's export definition."""
        return self.definitions[group.export_guid]

    def ready_at(self, group: Group) -> int:
        """Return when the group's export definition permits a run (0 or a past time: now)."""
        definition = self.definition(group)
        suspects = definition.suspects_not_before if group.lane is Lane.SUSPECT else 0
        return max(definition.not_before, suspects)


def take_snapshot(ledger: Ledger, stack_state: StackState, now: float) -> Snapshot:
    """Read the state that decides whether a run can start."""
    lease, oldest = ledger.lease.read(), tuple(ledger.requests.oldest_pages())
    attempt = history.read(ledger, lease.attempt_id) if lease.attempt_id else None
    groups = [pending.group for pending in oldest] + ([attempt.group] if attempt else [])
    return Snapshot(
        now=now,
        stack_state=stack_state,
        lease=lease,
        attempt=attempt,
        budget=ledger.budget.read(),
        session=ledger.session.read(),
        pause=ledger.pause.read(now),
        trials=ledger.definitions.trials(),
        oldest=oldest,
        definitions=ledger.definitions.read_many(group.export_guid for group in groups),
    )
