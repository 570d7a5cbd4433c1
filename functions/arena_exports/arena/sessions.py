"""The Arena session: read by everyone who calls Arena, renewed by one function alone (R5).

A second login ends the first session at once, also one by somebody else. So only session logs in:
once for all who say that the same session (a version of the session secret) is dead, within a cool-
down, and never twice with credentials that were refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.domain.errors import (
    RetryLaterError,
)

if TYPE_CHECKING:
    from arena_exports.ports import (
        Clock,
        Secret,
        SecretReader,
        SessionRenewer,
    )

SESSION_KEY = "arenaSessionId"
CACHE_SECONDS = 900

BUSY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the version of the secret that it was read from; "" for none at all.

    `fresh` is true where the session function named it, and the secret's current version is the
    same: nobody wrote the secret by hand since.
    """

    version: str = ""
    session_id: str = field(default="", repr=False)
    fresh: bool = field(default=False, compare=False)


class SessionCache:
    """The session as submit and poll see it: read from its secret, kept, renewed on a 401."""

    def __init__(self, *, secret: SecretReader, renewer: SessionRenewer, clock: Clock) -> None:
        self._secret = secret
        self._renewer = renewer
        self._clock = clock
        self._session = Session()
        self._read_at = 0.0
        self._dead = {""}

    def current(self) -> Session:
        """Return the session in force as far as is known; a kept one where Secrets Manager is down.

        Raises:
            RetryLaterError: there is none to be had now.
        """
        if self._session.version and self._clock.now() - self._read_at < CACHE_SECONDS:
            return self._session
        try:
            session = _session(self._secret.read())
        except RetryLaterError:
            if self._session.version:
                return self._session
            raise
        return self._keep(session) if session.version else self.renew(session)

    def renew(self, dead: Session) -> Session:
        """Return the successor of a session that Arena calls dead.

        Raises:
            RetryLaterError: there is none to be had now.
        """
        self._session = Session()
        # More than one: where somebody wrote the secret by hand, it and the record name two.
        self._dead.add(dead.version)
        session = _session(self._secret.read())
        if session.version in self._dead:
            version = self._renewer.renew(dead.version)
            current = self._secret.read()
            fresh = current is not None and current.version == version
            session = replace(
                _session(current if fresh else self._secret.read(version)), fresh=fresh
            )
        if not session.session_id:
            raise RetryLaterError("session not readable yet", BUSY_SECONDS)
        return self._keep(session)

    def _keep(self, session: Session) -> Session:
        self._session, self._read_at = session, self._clock.now()
        return session


def _session(secret: Secret | None) -> Session:
    if secret is None:
        return Session()
    session_id = secret.value.get(SESSION_KEY)
    return Session(secret.version, session_id) if protocol.is_session_id(session_id) else Session()
