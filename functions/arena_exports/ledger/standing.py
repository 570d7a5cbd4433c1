"""Two single items: the request budget last seen, and which Arena session is in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class SessionState:
    """Who may log in, and which session is in force.

    Times are epoch seconds, 0 for never. `version` is the session secret's version in force,
    `login` the one that the last login was to make: they differ while a login is under way or after
    it died; `login_expires_at` tells which. `logins` are the times of the last logins.
    `refused_version` is the credentials' version that was refused. `revision` counts writes.
    """

    version: str = ""
    login: str = ""
    login_expires_at: int = 0
    logins: tuple[int, ...] = ()
    refused_version: str = ""
    refused_code: str = ""
    not_before: int = 0
    revision: int = 0


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
