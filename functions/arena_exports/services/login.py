"""Log in to Arena, once for each lost session (R5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arena_exports.arena import protocol, refusals
from arena_exports.arena.sessions import BUSY_SECONDS, SESSION_KEY, read_session
from arena_exports.domain.errors import (
    AccountLockedError,
    ArenaAnswerError,
    ConditionFailedError,
    LoginRefusedError,
    RequestNotCompletedError,
    RetryLaterError,
    SecretRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.domain.session_state import SessionState
    from arena_exports.ledger.session import SessionStore
    from arena_exports.ports import Clock, Secret, SecretReader, SecretStore, Telemetry, Transport

LOGIN_SECONDS = 75  # longer than the session function's timeout (60 s)
UNCLEAR_SECONDS = 60
LOCKED_SECONDS = 330  # Arena locks an account for five minutes (4083)
_NO_VERSION = "none"  # of credentials that do not exist or cannot be read
REFUSED_SECONDS = 60  # asking again costs no login until the credentials have a new version
LOGINS_BEFORE_COOL_DOWN = 3
COOL_DOWN_SECONDS = 900
_HOUR_SECONDS = 3600
_KEYS = ("email", "password", "workspaceId")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginService:
    """Logs in, one login at a time."""

    transport: Transport
    credentials: SecretReader
    secret: SecretStore
    store: SessionStore
    clock: Clock
    telemetry: Telemetry

    def renew(self, dead_version: str) -> str:
        """Return the version of the session secret that is in force after `dead_version` died.

        `dead_version` is "" if there was none.

        Raises:
            RetryLaterError: a login is in progress, logins cool down, the credentials are refused,
                or a secret cannot be read or written.
        """
        try:
            return self._renew(dead_version)
        except SecretRefusedError as exc:
            self.telemetry.count("LoginRefused")
            self.telemetry.warn("session secret refused", errorMessage=exc.reason)
            raise

    def _renew(self, dead_version: str) -> str:
        state = self.store.read()
        if state.version not in ("", dead_version) and self._is_in_force(state):
            return state.version
        if state.login != state.version:
            state = self._resume_login(state, dead_version)
            if state.version == state.login:
                return state.version
        credentials = self._allowed_credentials(state)
        state = self._begin(state)
        return self._log_in(state, credentials)

    def _is_in_force(self, state: SessionState) -> bool:
        """Return whether the ledger's version of the secret can be read.

        It cannot if the secret was recreated or the ledger restored.
        """
        fresh = state.login_expires_at > self.clock.now()
        return fresh or bool(read_session(self.secret.read(state.version)).version)

    def _resume_login(self, state: SessionState, dead_version: str) -> SessionState:
        """Complete an unfinished login if only its last write is missing."""
        if state.login_expires_at > self.clock.now():
            raise RetryLaterError("a login is in progress", BUSY_SECONDS)
        secret = self.secret.read() if state.login != dead_version else None
        if secret is None or secret.version != state.login:
            return state
        return self._write(replace(state, version=state.login))

    def _allowed_credentials(self, state: SessionState) -> Secret:
        """Return the credentials if a login may be tried now."""
        wait = state.not_before - self.clock.now()
        try:
            credentials = self.credentials.read()
        except SecretRefusedError as exc:
            refusal = LoginRefusedError("CredentialsUnreadable", exc.reason)
            raise self._refused(state, _NO_VERSION, refusal) from None
        version = credentials.version if credentials else _NO_VERSION
        if state.refused_version == version:
            self.telemetry.count("LoginRefused")
            self.telemetry.warn(
                "login stays refused until the credentials change", errorCode=state.refused_code
            )
            raise RetryLaterError("login refused", REFUSED_SECONDS)
        if wait > 0:
            raise RetryLaterError("logins are cooling down", int(wait) + 1)
        try:
            return checked_credentials(credentials)
        except LoginRefusedError as exc:
            raise self._refused(state, version, exc) from None

    def _begin(self, state: SessionState) -> SessionState:
        """Claim the login, with the version that the session secret will have."""
        now = int(self.clock.now())
        logins = (*(at for at in state.logins if at > now - _HOUR_SECONDS), now)
        cools_down = len(logins) >= LOGINS_BEFORE_COOL_DOWN
        claim = replace(
            state,
            version="",  # none is in force now
            login=self.clock.new_token(),
            login_expires_at=now + LOGIN_SECONDS,
            logins=logins,
            not_before=now + COOL_DOWN_SECONDS if cools_down else 0,
            refused_version="",
            refused_code="",
        )
        return self._write(claim)

    def _log_in(self, state: SessionState, credentials: Secret) -> str:
        request = protocol.login(credentials.value)
        self.telemetry.count("Logins")
        try:
            answer = self.transport.send(request)
            login = protocol.read_login(protocol.answer_json(request, answer))
            _check_workspace(credentials, login)
        except (RequestNotCompletedError, ArenaAnswerError, LoginRefusedError) as exc:
            raise self._failed(state, credentials.version, exc) from None
        self.secret.write(
            {SESSION_KEY: login.session_id, "workspaceId": login.workspace_id}, state.login
        )
        self._write(replace(state, version=state.login))
        self.telemetry.info("logged in", version=state.login)
        if state.not_before:
            self.telemetry.count("SessionDuel")
        return state.login

    def _failed(self, state: SessionState, version: str, error: Exception) -> RetryLaterError:
        named = refusals.login_error(error) if isinstance(error, ArenaAnswerError) else error
        if isinstance(named, LoginRefusedError):
            # New credentials need not wait, but many guesses would lock the account (4083).
            few = len(state.logins) <= LOGINS_BEFORE_COOL_DOWN
            state = replace(state, not_before=0 if few else state.not_before)
            return self._refused(state, version, named)
        seconds = LOCKED_SECONDS if isinstance(named, AccountLockedError) else UNCLEAR_SECONDS
        return self._unclear(state, seconds, str(named))

    def _refused(
        self, state: SessionState, version: str, error: LoginRefusedError
    ) -> RetryLaterError:
        """Record that these credentials are refused: they are not tried again."""
        self.telemetry.count("LoginRefused")
        self.telemetry.warn("login refused", errorCode=error.code, errorMessage=str(error))
        self._write(
            replace(state, login=state.version, refused_version=version, refused_code=error.code)
        )
        return RetryLaterError("login refused", REFUSED_SECONDS)

    def _unclear(self, state: SessionState, seconds: int, message: str) -> RetryLaterError:
        self.telemetry.warn("login failed, will retry", errorMessage=message)
        not_before = max(state.not_before, int(self.clock.now()) + seconds)
        self._write(replace(state, login=state.version, not_before=not_before))
        return RetryLaterError("login failed", seconds)

    def _write(self, state: SessionState) -> SessionState:
        try:
            return self.store.write(state)
        except ConditionFailedError:
            raise RetryLaterError("a login is in progress", BUSY_SECONDS) from None


def checked_credentials(credentials: Secret | None) -> Secret:
    """Return credentials that a login can be tried with.

    Raises:
        LoginRefusedError: they are not valid; the message says why, without any value.
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
        # Only its spelling differs, so the key is not a misplaced secret and may be quoted.
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
    """Make sure that the login is in the workspace that the credentials name."""
    wanted = credentials.value.get("workspaceId")
    if wanted is not None and login.workspace_id != str(wanted):
        message = f"login led to workspace {login.workspace_id}, the credentials name {wanted}"
        raise LoginRefusedError("WrongWorkspace", message)
