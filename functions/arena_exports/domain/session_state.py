"""Which Arena session is in force, and who may log in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionState:
    """Which session is in force, and who may log in.

    Times are epoch seconds, 0 for never. `version` is the session secret's version in force,
    `login` the one that the last login creates: they differ while a login is in progress (until
    `login_expires_at`), or after one has died. `logins` are the times of the last logins.
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
