"""The ledger's item of the request budget."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from arena_exports.domain.budget import Budget
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import NEW, Condition, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class BudgetStore:
    """The budget that Arena's last answer showed."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Budget:
        """Return the last known budget; an empty one before the first answer."""
        return from_item(Budget, self._table.get(keys.BUDGET))

    def write(self, budget: Budget) -> None:
        """Write a budget, unless a later answer was written already.

        A spent one is written all the same: the later answer may come from a clock that is ahead.
        """
        item = to_item(keys.BUDGET, budget)
        for condition in (
            Condition(less_than={"seenAt": budget.seen_at + 1}),
            NEW,
            Condition(less_than={"spentUntil": budget.spent_until}),
        ):
            with suppress(ConditionFailedError):
                self._table.write(Put(item, condition))
                break
