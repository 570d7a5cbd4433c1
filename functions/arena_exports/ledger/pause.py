"""The ledger's item for a pause. Only an operator writes it; dispatch reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.pause import Pause
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import Delete, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class PauseStore:
    """The pause: at most one, which ends automatically if it has an end."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, now: float) -> Pause | None:
        """Return the pause that is in force at a time (epoch seconds), or None."""
        item = self._table.get(keys.PAUSE)
        pause = None if item is None else from_item(Pause, item)
        return pause if pause and pause.holds(now) else None

    def write(self, pause: Pause) -> None:
        """Pause, instead of any earlier pause."""
        self._table.write(Put(to_item(keys.PAUSE, pause)))

    def clear(self) -> None:
        """Resume."""
        self._table.write(Delete(keys.PAUSE))
