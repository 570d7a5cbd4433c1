"""The ledger's item of the request budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.budget import Budget
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import Condition, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class BudgetStore:
    """The budget as the last answer of Arena told it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Budget:
        """Return the budget last seen; an empty one before the first answer."""
        return from_item(Budget, self._table.get(keys.BUDGET))

    def write(self, budget: Budget) -> None:
        """Keep a budget, unless a later answer was kept already.

        One that is spent is kept all the same: the later answer may be of a clock ahead.
        """
        item = to_item(keys.BUDGET, budget)
        spent = Condition(less_than={"spentUntil": budget.spent_until})
        for condition in (
            Condition(less_than={"seenAt": budget.seen_at + 1}),
            Condition(absent=("PK",)),
            spent,
        ):
            try:
                self._table.write(Put(item, condition))
            except ConditionFailedError:
                continue
            return
