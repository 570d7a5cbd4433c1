"""The simulated Arena workspace: a model in memory, without threads, sockets or sleeping.

It takes its time from an injected clock (epoch seconds) and all random values from an injected
`random.Random`, so that the same calls at the same times give the same answers. Nothing happens
between calls: the effects of time are computed at the next call.

Methods raise `ArenaError` where Arena would refuse, and return the content of Arena's JSON.
"""

from collections.abc import Callable, Mapping
from random import Random

from infra.simulator import views
from infra.simulator.accounts import Accounts, User
from infra.simulator.budget import Budget
from infra.simulator.clock import next_pacific_midnight
from infra.simulator.errors import not_found
from infra.simulator.exports import Exports, RequestedRun
from infra.simulator.faults import FaultQueue
from infra.simulator.files import RunFile
from infra.simulator.request_log import RequestLog
from infra.simulator.runs import Run, RunPlan, RunStatus
from infra.simulator.settings import Settings, Start

View = dict[str, object]


class Workspace:
    """One Arena workspace with its users, export definitions, runs and request budget."""

    accounts: Accounts
    budget: Budget
    exports: Exports
    faults: FaultQueue
    request_log: RequestLog
    downloading: list[str]
    """The sessions whose downloads have not ended, one entry for each."""
    settings: Settings

    def __init__(self, clock: Callable[[], float], rng: Random, start: Start | None = None) -> None:
        """Set up a fresh workspace."""
        self._clock = clock
        self._rng = rng
        self.start = start or Start()
        self.reset()

    def reset(self) -> None:
        """Return to the state at the start."""
        self.settings = self.start.settings
        self.accounts = Accounts(self.start, self._rng)
        self.budget = Budget(self.start.budget_limit, next_pacific_midnight(self._clock()))
        self.exports = Exports(self._rng)
        self.faults = FaultQueue()
        self.request_log = RequestLog()
        self.downloading: list[str] = []

    def now(self) -> float:
        """Return the time, after applying everything that is due."""
        now = self._clock()
        self.exports.advance(now, self.settings)
        return now

    def arena_time(self) -> float:
        """Return the time as Arena's own clock shows it."""
        return self._clock() + self.settings.clock_skew_seconds

    def spend_request(self) -> None:
        """Count a request against the budget; raise code 4084 when it is spent."""
        self.budget.spend(self.now())

    def budget_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that report the remaining budget."""
        now = self.now()
        self.budget.refresh(now)
        return self.budget.headers(now, self.settings.clock_skew_seconds)

    def log_in(self, body: object) -> View:
        """Start a session for the user that the body names (`POST /login`)."""
        answer = self.accounts.login(body, self.now(), self.settings)
        return answer | {"workspaceRequestLimit": self.budget.limit}

    def log_out(self, user: User) -> View:
        """End the user's session (`PUT /logout`)."""
        self.accounts.end(user)
        return {}

    def user_of(self, session_id: str | None) -> User:
        """Return the session's user; raise code 401 for a dead session or none."""
        return self.accounts.user_of(session_id, self.now(), self.settings)

    def read_definition(self, export_guid: str) -> View:
        """Return an export definition (`GET /exports/<GUID>`)."""
        return views.definition_view(self.exports.definition(export_guid, self.settings))

    def submit_run(
        self, user: User, export_guid: str, body: object, late_seconds: float = 0.0
    ) -> View:
        """Start a run (`POST /exports/<GUID>/runs`).

        With `late_seconds`, the run is created that much later, and the empty answer stands for
        one that never arrives.
        """
        now = self.now()
        requested = self.exports.check_request(user, export_guid, body, now, self.settings)
        if late_seconds > 0:
            self.exports.start_late(requested, now + late_seconds)
            return {}
        return self._view(self.exports.start(requested, now, self.settings))

    def list_runs(self, user: User, export_guid: str, query: Mapping[str, str]) -> View:
        """Return a definition's runs (`GET /exports/<GUID>/runs`), at most `listLimit` of them."""
        runs = self.exports.list_runs(user, export_guid, query, self.now(), self.settings)
        shown = runs[: self.settings.list_limit]
        return {"count": len(runs), "results": [self._view(run) for run in shown]}

    def read_run(self, user: User, export_guid: str, run_guid: str) -> View:
        """Return a run (`GET /exports/<GUID>/runs/<GUID>`)."""
        self.now()
        return self._view(self.exports.own_run(user, export_guid, run_guid, self.settings))

    def read_file(self, user: User, export_guid: str, run_guid: str, file_guid: str) -> View:
        """Return the metadata of a file (`GET …/files/<GUID>`)."""
        run, file = self._file(user, export_guid, run_guid, file_guid)
        return views.file_view(run, file, self.now(), self.settings)

    def download(self, user: User, export_guid: str, run_guid: str, file_guid: str) -> RunFile:
        """Return a file (`GET …/files/<GUID>/content`), which makes its run DOWNLOADED."""
        run, file = self._file(user, export_guid, run_guid, file_guid)
        now = self.now()
        if run.status(now) == RunStatus.COMPLETE:
            run.set_status(RunStatus.DOWNLOADED, now)
        return file

    def start_foreign_run(self, requested: RequestedRun, plan: RunPlan) -> Run:
        """Start another user's run; raise code 3144 while the slot is taken."""
        return self.exports.start_as_planned(requested, plan, self.now(), self.settings)

    def set_run_status(self, run_guid: str, status: str) -> Run:
        """Change the status of a run from now on; raise code 3012 if it does not exist."""
        run = self.exports.any_run(run_guid)
        if run is None:
            raise not_found(run_guid)
        run.set_status(status, self.now())
        return run

    def _view(self, run: Run) -> View:
        return views.run_view(run, self._clock(), self.settings)

    def _file(
        self, user: User, export_guid: str, run_guid: str, file_guid: str
    ) -> tuple[Run, RunFile]:
        now = self.now()
        run = self.exports.own_run(user, export_guid, run_guid, self.settings)
        return run, self.exports.file(run, file_guid, now, self.settings)
