"""Users and their sessions: one for each user, which ends 90 minutes after its last use."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from infra.simulator import names
from infra.simulator.errors import ArenaError
from infra.simulator.settings import Settings, Start

MAX_FAILED_LOGINS = 5
LOCK_SECONDS = 300.0
_GUID_LETTERS = string.ascii_uppercase + string.digits


def new_guid(rng: Random) -> str:
    """Generate a GUID of the usual 20 characters."""
    return "".join(rng.choices(_GUID_LETTERS, k=20))


@dataclass(slots=True)
class User:
    """A user who can log in."""

    guid: str
    email: str
    full_name: str
    password: str
    failed_logins: int = 0
    locked_until: float = 0.0
    session_id: str | None = None
    session_used_at: float = 0.0


class Accounts:
    """The users and their current sessions."""

    def __init__(self, start: Start, rng: Random) -> None:
        """Create the machine user and one other person."""
        self._rng = rng
        self._workspace_id = start.workspace_id
        self.machine = User("USERMACHINE000000001", start.email, "Machine User", start.password)
        self.foreign = User(
            "USERPERSON0000000001", names.FOREIGN_EMAIL, "Heidi Walker", names.PASSWORD
        )
        self.refusal: int | None = None
        self.answered_workspace_id = start.workspace_id
        self._by_session: dict[str, User] = {}

    @property
    def users(self) -> tuple[User, User]:
        """Both users, the machine user first."""
        return self.machine, self.foreign

    def login(self, body: object, now: float, settings: Settings) -> dict[str, object]:
        """Start a session, which ends the user's previous session.

        The caller adds the request limit to the answer.
        """
        user = self._authenticate(body, now)
        user.failed_logins = 0
        self.end(user)
        user.session_id = self._new_session_id()
        user.session_used_at = now
        self._by_session[user.session_id] = user
        return {
            settings.session_key: user.session_id,
            "workspaceId": self.answered_workspace_id,
            "workspaceName": names.WORKSPACE_NAME,
        }

    def user_of(self, session_id: str | None, now: float, settings: Settings) -> User:
        """Return the user of a session and record its use; raise code 401 for a dead session."""
        user = self._by_session.get(session_id or "")
        if user is None:
            raise ArenaError(401)
        if now - user.session_used_at >= settings.session_idle_seconds:
            self.end(user)
            raise ArenaError(401)
        user.session_used_at = now
        return user

    def end(self, user: User) -> None:
        """End the user's session, if there is one."""
        if user.session_id is not None:
            del self._by_session[user.session_id]
            user.session_id = None

    def session_count(self, now: float, settings: Settings) -> int:
        """Count the current sessions."""
        oldest = now - settings.session_idle_seconds
        return sum(user.session_used_at > oldest for user in self._by_session.values())

    def _authenticate(self, body: object, now: float) -> User:
        if not isinstance(body, Mapping):
            raise ArenaError(400)
        user = next((user for user in self.users if user.email == body.get("email")), None)
        if user is None:
            raise ArenaError(4001)
        self._check_account(user, now)
        if body.get("password") != user.password or not self._is_here(body.get("workspaceId")):
            _count_failed_login(user, now)
            raise ArenaError(4001)
        return user

    def _check_account(self, user: User, now: float) -> None:
        if now < user.locked_until:
            raise ArenaError(4083)
        if self.refusal is not None:
            raise ArenaError(self.refusal)

    def _is_here(self, workspace_id: object) -> bool:
        return workspace_id is None or str(workspace_id) == str(self._workspace_id)

    def _new_session_id(self) -> str:
        return f"{new_guid(self._rng)}|{self._workspace_id}|{new_guid(self._rng).lower()}="


def _count_failed_login(user: User, now: float) -> None:
    user.failed_logins += 1
    if user.failed_logins >= MAX_FAILED_LOGINS:
        user.failed_logins = 0
        user.locked_until = now + LOCK_SECONDS
