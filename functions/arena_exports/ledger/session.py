"""The ledger's item of the Arena session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.session_state import SessionState
from arena_exports.ledger import keys
from arena_exports.ports import If, Put

if TYPE_CHECKING:
    from arena_exports.ports import Table


class SessionRecord:
    """The session's item; every write is conditional on the one that was read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> SessionState:
        """Return the state; an empty one before the first login."""
        item = self._table.get(keys.SESSION)
        if item is None:
            return SessionState()
        return SessionState(
            version=item["version"],
            login=item["login"],
            login_expires_at=item["loginExpiresAt"],
            logins=tuple(item["logins"]),
            refused_version=item["refusedVersion"],
            refused_code=item["refusedCode"],
            not_before=item["notBefore"],
            revision=item["revision"],
        )

    def write(self, state: SessionState) -> SessionState:
        """Write the successor of a state that was read, and return it.

        Raises:
            ConditionFailedError: somebody else wrote in between.
        """
        revision = state.revision + 1
        item = {
            "PK": keys.SESSION[0],
            "SK": keys.SESSION[1],
            "v": keys.VERSION,
            "version": state.version,
            "login": state.login,
            "loginExpiresAt": state.login_expires_at,
            "logins": list(state.logins),
            "refusedVersion": state.refused_version,
            "refusedCode": state.refused_code,
            "notBefore": state.not_before,
            "revision": revision,
        }
        condition = (
            If(equals={"revision": state.revision}) if state.revision else If(absent=("PK",))
        )
        self._table.write(Put(item, condition))
        return replace(state, revision=revision)
