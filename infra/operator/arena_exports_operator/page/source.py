"""Read the data of a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.ledger import open_ledger
from arena_exports_operator.answers.find import find
from arena_exports_operator.answers.snapshot import take_snapshot
from arena_exports_operator.answers.status import read_status
from arena_exports_operator.aws.calls import explained
from arena_exports_operator.aws.stack import read_stack_state
from arena_exports_operator.errors import NoAccessError
from arena_exports_operator.page.views import failure_view, found_view, status_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Clock, Table
    from arena_exports_operator.answers.stack_state import StackState
    from arena_exports_operator.aws.calls import Aws
    from arena_exports_operator.aws.stack import Stack
    from arena_exports_operator.page.surface import Surface
    from arena_exports_operator.page.views import View


@dataclass(frozen=True, slots=True)
class Source:
    """A stack's ledger, the time, and the stack's state in AWS."""

    ledger: Ledger
    table: Table
    clock: Clock
    read_stack_state: Callable[[], StackState]

    def view(self, text: str, surface: Surface) -> View:
        """Return what is known of a text, or the status for "".

        If AWS refuses or does not answer, the view says why.
        """
        try:
            with explained():
                return self._view(text.strip(), surface)
        except NoAccessError as exc:
            return failure_view(f"The status cannot be read: {exc}", surface)

    def _view(self, text: str, surface: Surface) -> View:
        now, around = self.clock.now(), self.read_stack_state()
        if not text:
            return status_view(read_status(self.ledger, self.table, around, now), surface)
        seen = take_snapshot(self.ledger, around, now)
        return found_view(find(self.ledger, self.table, seen, text), text, surface)


def source_of(aws: Aws, stack: Stack) -> Source:
    """Return the source of a deployed stack."""
    clock = SystemClock()
    table = DynamoTable(aws.client("dynamodb"), stack.outputs["LedgerTableName"], clock)
    return Source(open_ledger(table, clock), table, clock, lambda: read_stack_state(aws, stack))
