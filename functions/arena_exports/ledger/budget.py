"""The ledger's item for the request budget."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from arena_exports.domain.budget import Budget
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_attributes
from arena_exports.ports import NEW, Condition, Update

if TYPE_CHECKING:
    from arena_exports.ports import Table


_OF_POLLS = {"polls", "pollsSince"}


class BudgetStore:
    """The budget that Arena's last answer showed."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Budget:
        """Return the last known budget; an empty one before the first answer."""
        return from_item(Budget, self._table.get(keys.BUDGET))

    def write(self, budget: Budget, *, polled: bool = False) -> None:
        """Write a budget, unless a later answer was written already.

        A spent one is written even then: the later answer may come from a clock that is ahead.
        Only the answer to a poll (`polled`) writes the count of polls: answers overtake each other.
        """
        values = {"v": keys.VERSION, **to_attributes(budget)}
        if not polled:
            values = {name: value for name, value in values.items() if name not in _OF_POLLS}
        for condition in (
            Condition(less_than={"seenAt": budget.seen_at + 1}),
            NEW,
            Condition(less_than={"spentUntil": budget.spent_until}),
        ):
            with suppress(ConditionFailedError):
                self._table.write(Update(keys.BUDGET, values, condition=condition))
                break
