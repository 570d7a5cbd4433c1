"""The Arena session: read by everyone who calls Arena, renewed by one function alone (R5).

A second login ends the first session at once, whoever did it. So only the session function logs in:
once for all who say that the same session (a version of the session secret) is dead, within a cool-
down, and never twice with credentials that were refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from arena_exports.arena import protocol, refusals
from arena_exports.domain.errors import (
    AccountLockedError,
    ArenaAnswerError,
    ConditionFailedError,
    LoginRefusedError,
    NotNowError,
    RequestNotCompletedError,
    SecretRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.ledger.standing import SessionRecord, SessionState
    from arena_exports.ports import (
        Clock,
        Secret,
        SecretReader,
        SecretStore,
        SessionAuthority,
        Telemetry,
        Transport,
    )

SESSION_KEY = "arenaSessionId"
CACHE_SECONDS = 900

LOGIN_SECONDS = 75  # longer than the session function's time-out (60 s)
BUSY_SECONDS = 5
UNCLEAR_SECONDS = 60
LOCKED_SECONDS = 330  # Arena locks an account for five minutes (4083)
_NO_VERSION = "none"  # of credentials that do not exist or cannot be read
REFUSED_SECONDS = 60  # asking again costs no login until the credentials have a new version
LOGINS_BEFORE_COOL_DOWN = 3
COOL_DOWN_SECONDS = 900
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the version of the secret that it was read from; "" for none at all.

    `fresh` is true where the session function named it, and the secret's current version is the
    same: nobody wrote the secret by hand since.
    """

    version: str = ""
    session_id: str = field(default="", repr=False)
    fresh: bool = field(default=False, compare=False)


class Sessions:
    """The session as submit and poll see it: read from its secret, kept, renewed on a 401."""

    def __init__(self, *, secret: SecretReader, authority: SessionAuthority, clock: Clock) -> None:
        self._secret = secret
        self._authority = authority
        self._clock = clock
        self._session = Session()
        self._read_at = 0.0
        self._dead = {""}

    def current(self) -> Session:
        """Return the session in force as far as is known; a kept one where Secrets Manager is down.

        Raises:
            NotNowError: there is none to be had now.
        """
        if self._session.version and self._clock.now() - self._read_at < CACHE_SECONDS:
            return self._session
        try:
            session = _session(self._secret.read())
        except NotNowError:
            if self._session.version:
                return self._session
            raise
        return self._keep(session) if session.version else self.renew(session)

    def renew(self, dead: Session) -> Session:
        """Return the successor of a session that Arena calls dead.

        Raises:
            NotNowError: there is none to be had now.
        """
        self._session = Session()
        # More than one: where somebody wrote the secret by hand, it and the record name two.
        self._dead.add(dead.version)
        session = _session(self._secret.read())
        if session.version in self._dead:
            version = self._authority.renew(dead.version)
            current = self._secret.read()
            fresh = current is not None and current.version == version
            session = replace(
                _session(current if fresh else self._secret.read(version)), fresh=fresh
            )
        if not session.session_id:
            raise NotNowError("session not readable yet", BUSY_SECONDS)
        return self._keep(session)

    def _keep(self, session: Session) -> Session:
        self._session, self._read_at = session, self._clock.now()
        return session


def _session(secret: Secret | None) -> Session:
    if secret is None:
        return Session()
    session_id = secret.value.get(SESSION_KEY)
    return Session(secret.version, session_id) if protocol.is_session_id(session_id) else Session()


_KEYS = ("email", "password", "workspaceId")


class LoginDesk:
    """The session function's work: one login at a time, for all."""

    def __init__(  # noqa: PLR0913 - the parts that it works with
        self,
        *,
        transport: Transport,
        credentials: SecretReader,
        secret: SecretStore,
        record: SessionRecord,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._secret = secret
        self._record = record
        self._clock = clock
        self._telemetry = telemetry

    def renew(self, dead_version: str) -> str:
        """Return the session secret's version that is in force after `dead_version` died.

        `dead_version` is "" where there was none.

        Raises:
            NotNowError: another login is under way, a cool-down, refused credentials, or a secret
                that cannot be read or written.
        """
        try:
            return self._renew(dead_version)
        except SecretRefusedError as exc:
            self._telemetry.count("LoginRefused")
            self._telemetry.warn("session secret refused", errorMessage=exc.reason)
            raise

    def _renew(self, dead_version: str) -> str:
        state = self._record.read()
        if state.version not in ("", dead_version) and self._is_in_force(state):
            return state.version
        if state.login != state.version:
            state = self._take_up(state, dead_version)
            if state.version == state.login:
                return state.version
        credentials = self._allowed_credentials(state)
        state = self._begin(state)
        return self._log_in(state, credentials)

    def _is_in_force(self, state: SessionState) -> bool:
        """Say whether the version that the record names can be read.

        It cannot once the secret was made anew, or the ledger restored.
        """
        fresh = state.login_expires_at > self._clock.now()
        return fresh or bool(_session(self._secret.read(state.version)).version)

    def _take_up(self, state: SessionState, dead_version: str) -> SessionState:
        """Look at an unfinished login: still under way, done but for the last write, or dead."""
        if state.login_expires_at > self._clock.now():
            raise NotNowError("a login is under way", BUSY_SECONDS)
        secret = self._secret.read() if state.login != dead_version else None
        if secret is None or secret.version != state.login:
            return state
        return self._write(replace(state, version=state.login))

    def _allowed_credentials(self, state: SessionState) -> Secret:
        """Return the credentials, if a login with them may be tried now."""
        wait = state.not_before - self._clock.now()
        try:
            credentials = self._credentials.read()
        except SecretRefusedError as exc:
            refusal = LoginRefusedError("CredentialsUnreadable", exc.reason)
            raise self._refused(state, _NO_VERSION, refusal) from None
        version = credentials.version if credentials else _NO_VERSION
        if state.refused_version == version:
            self._telemetry.count("LoginRefused")
            self._telemetry.warn(
                "login stays refused until the credentials change", errorCode=state.refused_code
            )
            raise NotNowError("login refused", REFUSED_SECONDS)
        if wait > 0:
            raise NotNowError("logins are cooling down", int(wait) + 1)
        try:
            return _complete(credentials)
        except LoginRefusedError as exc:
            raise self._refused(state, version, exc) from None

    def _begin(self, state: SessionState) -> SessionState:
        """Claim the login, with the version that the session secret is going to have."""
        now = int(self._clock.now())
        logins = (*(at for at in state.logins if at > now - _HOUR_SECONDS), now)
        cools_down = len(logins) >= LOGINS_BEFORE_COOL_DOWN
        claim = replace(
            state,
            version="",  # whoever gets as far as here knows that none is in force
            login=self._clock.new_token(),
            login_expires_at=now + LOGIN_SECONDS,
            logins=logins,
            not_before=now + COOL_DOWN_SECONDS if cools_down else 0,
            refused_version="",
            refused_code="",
        )
        return self._write(claim)

    def _log_in(self, state: SessionState, credentials: Secret) -> str:
        request = protocol.login(credentials.value)
        self._telemetry.count("Logins")
        try:
            answer = self._transport.send(request)
            login = protocol.read_login(protocol.answer_json(request, answer))
            _check_workspace(credentials, login)
        except (RequestNotCompletedError, ArenaAnswerError, LoginRefusedError) as exc:
            raise self._failed(state, credentials.version, exc) from None
        self._secret.write(
            {SESSION_KEY: login.session_id, "workspaceId": login.workspace_id}, state.login
        )
        self._write(replace(state, version=state.login))
        self._telemetry.event("logged in", version=state.login)
        if state.not_before:
            self._telemetry.count("SessionDuel")
        return state.login

    def _failed(self, state: SessionState, version: str, error: Exception) -> NotNowError:
        named = refusals.login_error(error) if isinstance(error, ArenaAnswerError) else error
        if isinstance(named, LoginRefusedError):
            # The next credentials need not wait, but guesses would lock the account (4083).
            few = len(state.logins) <= LOGINS_BEFORE_COOL_DOWN
            state = replace(state, not_before=0 if few else state.not_before)
            return self._refused(state, version, named)
        seconds = LOCKED_SECONDS if isinstance(named, AccountLockedError) else UNCLEAR_SECONDS
        return self._unclear(state, seconds, str(named))

    def _refused(self, state: SessionState, version: str, error: LoginRefusedError) -> NotNowError:
        """Remember that these credentials do not work: they are not tried again."""
        self._telemetry.count("LoginRefused")
        self._telemetry.warn("login refused", errorCode=error.code, errorMessage=str(error))
        self._write(
            replace(state, login=state.version, refused_version=version, refused_code=error.code)
        )
        return NotNowError("login refused", REFUSED_SECONDS)

    def _unclear(self, state: SessionState, seconds: int, message: str) -> NotNowError:
        self._telemetry.warn("login did not work out", errorMessage=message)
        not_before = max(state.not_before, int(self._clock.now()) + seconds)
        self._write(replace(state, login=state.version, not_before=not_before))
        return NotNowError("login did not work out", seconds)

    def _write(self, state: SessionState) -> SessionState:
        try:
            return self._record.write(state)
        except ConditionFailedError:
            raise NotNowError("a login is under way", BUSY_SECONDS) from None


def _complete(credentials: Secret | None) -> Secret:
    """Return credentials that a login can be tried with.

    Raises:
        LoginRefusedError: they are not what they must be; the message says why, and quotes nothing.
    """
    if credentials is None:
        problem = "does not exist, or has no current version"
    elif credentials.problem:
        problem = credentials.problem
    else:
        faults = list(filter(None, (_fault(credentials.value, key) for key in _KEYS)))
        if not faults:
            return credentials
        problem = f"has {' and '.join(faults)}"
    raise LoginRefusedError("CredentialsInvalid", f"the credentials secret {problem}")


def _fault(value: Mapping[str, Any], key: str) -> str:
    """Return what is wrong with a key of the credentials ("no password"), or ""."""
    found = value.get(key)
    optional, article = key == "workspaceId", "an" if key == "email" else "a"
    if found is None:
        # The same letters, so it is no secret that stands in the wrong place.
        other = next((name for name in value if name.strip().lower() == key.lower()), None)
        if other is not None and key not in value:
            return f"no {key} but {other.strip()} (white space and capitals count)"
        return "" if optional else f"no {key}"
    if isinstance(found, int) and not isinstance(found, bool) and optional:
        return ""
    if not isinstance(found, str):
        return f"{article} {key} that is not text"
    if not found.strip():
        return f"an empty {key}"
    return "" if found == found.strip() else f"{article} {key} with white space around it"


def _check_workspace(credentials: Secret, login: protocol.Login) -> None:
    """Make sure that the login landed where the credentials say; nothing may be sent elsewhere."""
    wanted = credentials.value.get("workspaceId")
    if wanted is not None and login.workspace_id != str(wanted):
        message = (
            f"login landed in workspace {login.workspace_id}, the credentials secret says {wanted}"
        )
        raise LoginRefusedError("WrongWorkspace", message)
