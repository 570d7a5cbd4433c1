"""The ledger's item for the Arena session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.session_state import SessionState
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import NEW, Condition, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class SessionStore:
    """The session's item; every write is conditional on what was read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> SessionState:
        """Return the state; an empty one before the first login."""
        item = self._table.get(keys.SESSION)
        return from_item(SessionState, item, logins=tuple(item["logins"]) if item else ())

    def write(self, state: SessionState) -> SessionState:
        """Write the successor of a state that was read, and return it.

        Raises:
            ConditionFailedError: another copy wrote in the meantime.
        """
        successor = replace(state, revision=state.revision + 1)
        condition = Condition(equals={"revision": state.revision}) if state.revision else NEW
        self._table.write(Put(to_item(keys.SESSION, successor), condition))
        return successor
