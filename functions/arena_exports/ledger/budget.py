"""The ledger's item of the request budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.budget import Budget
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.ledger import keys
from arena_exports.ports import If, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class BudgetRecord:
    """The budget as the last answer of Arena told it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Budget:
        """Return the budget last seen; an empty one before the first answer."""
        item = self._table.get(keys.BUDGET)
        if item is None:
            return Budget()
        return Budget(
            remaining=item["remaining"],
            resets_at=item["resetsAt"],
            spent_until=item["spentUntil"],
            seen_at=item["seenAt"],
            first_remaining=item.get("firstRemaining"),
            first_seen_at=item.get("firstSeenAt", 0),
            refusals=item.get("refusals", 0),
        )

    def write(self, budget: Budget) -> None:
        """Keep a budget, unless a later answer was kept already.

        One that is spent is kept all the same: the later answer may be of a clock ahead.
        """
        item = {
            "PK": keys.BUDGET[0],
            "SK": keys.BUDGET[1],
            "v": keys.VERSION,
            "remaining": budget.remaining,
            "resetsAt": budget.resets_at,
            "spentUntil": budget.spent_until,
            "seenAt": budget.seen_at,
            "firstRemaining": budget.first_remaining,
            "firstSeenAt": budget.first_seen_at,
            "refusals": budget.refusals,
        }
        spent = If(less={"spentUntil": budget.spent_until})
        for condition in (If(less={"seenAt": budget.seen_at + 1}), If(absent=("PK",)), spent):
            try:
                self._table.write(Put(item, condition))
            except ConditionFailedError:
                continue
            return
