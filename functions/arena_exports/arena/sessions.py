"""The Arena session: read by every function that calls Arena, renewed by one function only (R5).

Each login of a user ends the user's other session at once. So only the session function logs in:
once for all callers that report the same session (a version of the session secret) as dead, limited
by a cool-down, and never twice with refused credentials.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.domain.errors import RetryLaterError

if TYPE_CHECKING:
    from arena_exports.ports import Clock, Secret, SecretReader, SessionRenewer

SESSION_KEY = "arenaSessionId"
CACHE_SECONDS = 900
BUSY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Session:
    """A session, and the version of the secret that it was read from; both "" if there is none.

    `fresh` means that the session function named this version and it is still the current one:
    nobody has written the secret by hand since.
    """

    version: str = ""
    session_id: str = field(default="", repr=False)
    fresh: bool = field(default=False, compare=False)


class SessionCache:
    """The session in force: read from its secret, cached, renewed after a 401."""

    def __init__(self, *, secret: SecretReader, renewer: SessionRenewer, clock: Clock) -> None:
        self._secret = secret
        self._renewer = renewer
        self._clock = clock
        self._session = Session()
        self._read_at = 0.0
        self._dead = {""}

    def current(self) -> Session:
        """Return the session in force; the cached one if Secrets Manager is down.

        Raises:
            RetryLaterError: there is no session now.
        """
        if self._session.version and self._clock.now() - self._read_at < CACHE_SECONDS:
            return self._session
        try:
            session = read_session(self._secret.read())
        except RetryLaterError:
            if self._session.version:
                return self._session
            raise
        return self._keep(session) if session.version else self.renew(session)

    def renew(self, dead: Session) -> Session:
        """Return the successor of a session that Arena rejected.

        Raises:
            RetryLaterError: there is no session now.
        """
        self._session = Session()
        # More than one: if the secret was written by hand, it and the ledger name two versions.
        self._dead.add(dead.version)
        session = read_session(self._secret.read())
        if session.version in self._dead:
            version = self._renewer.renew(dead.version)
            current = self._secret.read()
            fresh = current is not None and current.version == version
            secret = current if fresh else self._secret.read(version)
            session = replace(read_session(secret), fresh=fresh)
        if not session.session_id:
            raise RetryLaterError("session not readable yet", BUSY_SECONDS)
        return self._keep(session)

    def _keep(self, session: Session) -> Session:
        self._session, self._read_at = session, self._clock.now()
        return session


def read_session(secret: Secret | None) -> Session:
    """Return the session that a secret holds; an empty one if it holds none."""
    if secret is None:
        return Session()
    session_id = secret.value.get(SESSION_KEY)
    return Session(secret.version, session_id) if protocol.is_session_id(session_id) else Session()
