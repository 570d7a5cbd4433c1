"""A client of the Arena simulator's control interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ArenaRun:
    """An export run in the simulator. `ended_at` is None while it is in progress."""

    guid: str
    export_guid: str
    number: int
    status: str
    items: int
    created_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class ArenaState:
    """What happened in the simulator since its start or its last reset.

    `requests` counts by purpose (login, submit, poll, list …), `codes` by error code.
    """

    requests: Mapping[str, int]
    codes: Mapping[str, int]
    runs: Sequence[ArenaRun]
    budget_left: int


@dataclass(frozen=True, slots=True)
class Arena:
    """The simulator whose API is at `url` (`http://127.0.0.1:PORT/v1`)."""

    url: str

    @property
    def control_url(self) -> str:
        """The base address of the control interface."""
        return self._address("/")

    @property
    def state_url(self) -> str:
        """An address that answers as soon as the simulator is ready."""
        return self._address("/state?requests=0")

    def state(self) -> ArenaState:
        """Return what has happened so far."""
        view = self._call("GET", "/state?requests=0")
        counts = view["counts"]
        return ArenaState(
            requests=counts["byPurpose"],
            codes=counts["byCode"],
            runs=[_run(run) for run in view["runs"]],
            budget_left=view["budget"]["remaining"],
        )

    def items_of_runs(self) -> dict[str, list[str]]:
        """Return the item GUIDs of each run, by the run's GUID."""
        return {run["guid"]: run["itemGuids"] for run in self._call("GET", "/runs")["runs"]}

    def reset(self) -> None:
        """Return to a fresh workspace: no runs, no sessions, a full budget."""
        self._call("POST", "/reset")

    def settle(self) -> None:
        """Remove unused faults and plans; runs, sessions, and budget stay."""
        self._call("DELETE", "/faults")
        self._call("DELETE", "/next-runs")

    def set(self, **settings: object) -> None:
        """Change settings by their camelCase names: `runningSeconds=1`."""
        self._call("PATCH", "/settings", settings)

    def plan(self, **plan: object) -> None:
        """Plan the next run: `status="FAILED"`, `files=0`."""
        self._call("POST", "/next-runs", plan)

    def fault(self, **fault: object) -> None:
        """Queue a fault for the next request that matches `method` and `path`."""
        self._call("POST", "/faults", fault)

    def kill_sessions(self) -> None:
        """End every session, as a login elsewhere would."""
        self._call("DELETE", "/sessions")

    def set_run(self, run_guid: str, status: str) -> None:
        """Change the status of a run immediately."""
        self._call("PATCH", f"/runs/{run_guid}", {"status": status})

    def set_account(self, **account: object) -> None:
        """Change the machine user's account: `password="…"`."""
        self._call("PATCH", "/account", account)

    def set_guids(self, **sets: Sequence[str]) -> None:
        """Set the GUIDs that are `bad`, `unknown`, or `poison`."""
        self._call("PATCH", "/guids", {name: list(guids) for name, guids in sets.items()})

    def _address(self, path: str) -> str:
        return f"{self.url.removesuffix('/v1')}/_simulator{path}"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        reply = requests.request(method, self._address(path), json=body, timeout=TIMEOUT_SECONDS)
        reply.raise_for_status()
        return reply.json()


def _run(view: Mapping[str, Any]) -> ArenaRun:
    return ArenaRun(
        guid=view["guid"],
        export_guid=view["exportGuid"],
        number=view["number"],
        status=view["status"],
        items=view["itemCount"],
        created_at=view["createdAt"],
        ended_at=view["endedAt"],
    )
