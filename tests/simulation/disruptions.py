"""What people and other systems do, every two minutes of the fault phase."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.domain.model import ExportGuid, ItemGuid, Kind
from infra.simulator import control, names
from infra.simulator.errors import ArenaError
from tests.support.world import EXPORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.simulation.simulation import Simulation

CONFLICTS = 0.2  # the chance that other transactions conflict with ours
LATE_DEFINITION = {"views": ["SPECS"]}


class Disruptions:
    """Disruptions by the seed's plan, and their repair when the fault phase has ended."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._arena = simulation.arena
        self._random = simulation.random
        self._plan = simulation.plan
        self.runs_by_hand: set[str] = set()

    def prepare(self) -> None:
        """Set Arena up as the plan says."""
        plan = self._plan
        control.set_settings(self._arena, plan.arena)
        control.set_guids(self._arena, {"poison": sorted(plan.poison), "bad": sorted(plan.bad)})
        control.set_budget(self._arena, plan.budget)
        if plan.scarce:
            control.set_budget(self._arena, {"remaining": 60, "resetSeconds": 2 * 3600})
        if plan.most_items is not None:
            control.put_definition(self._arena, EXPORT, {"maxItems": plan.most_items})
        for export_guid in plan.late:
            if export_guid.startswith("REFUSED"):
                refused = {**LATE_DEFINITION, "refusal": 3145}
                control.put_definition(self._arena, export_guid, refused)

    def repair(self) -> None:
        """Repair what people would repair in the end."""
        self._simulation.memory.conflicts = 0
        control.clear_faults(self._arena)
        control.clear_plans(self._arena)
        for export_guid in self._plan.late:
            control.put_definition(self._arena, export_guid, LATE_DEFINITION)
        if self._plan.breaks_logins:
            self._repair_logins()

    def disrupt(self) -> None:
        """Cause some of the disruptions."""
        plan = self._plan
        self._perhaps("session killed", plan.kills_sessions)
        self._perhaps("secret overwritten", plan.overwrites_secret)
        if self._arena.accounts.refusal is not None:
            self._repair_logins()
        else:
            self._perhaps("login broken", plan.breaks_logins)
        self._perhaps("run broken", plan.breaks_runs)
        self._perhaps("foreign run", plan.foreign)
        self._perhaps("conflict", CONFLICTS)
        if self._simulation.running_executions:
            self._perhaps("execution stopped", plan.stops_executions)

    def _perhaps(self, kind: str, chance: float) -> None:
        if self._random.random() < chance:
            self.cause(kind)

    def cause(self, kind: str) -> None:
        """Cause a disruption, if that is possible now."""
        if KINDS[kind](self):
            self._simulation.fault_rates.note(kind)

    def _kill_sessions(self) -> bool:
        control.kill_sessions(self._arena)
        return True

    def _overwrite_secret(self) -> bool:
        pasted = {"arenaSessionId": "pasted|by|hand"}
        self._simulation.session_secret.write(pasted, f"by-hand-{self._random.random()}")
        return True

    def _break_logins(self) -> bool:
        """Expire the password or lock the account; the next time, that is undone."""
        control.kill_sessions(self._arena)
        change = self._random.choice([{"refusal": 4081}, {"lockedSeconds": 300}])
        control.set_account(self._arena, change)
        return True

    def _repair_logins(self) -> None:
        control.set_account(self._arena, {"refusal": None})
        self._simulation.renew_credentials()

    def _break_the_next_run(self) -> bool:
        status = self._random.choice(["FAILED", "ABORTED", "DOWNLOADED", "ARCHIVING"])
        steps = [{"status": status, "seconds": 30}, {"status": "COMPLETE"}]
        last = {"steps": steps} if status == "ARCHIVING" else {"status": status}
        control.plan_runs(self._arena, last)
        return True

    def _start_a_foreign_run(self) -> bool:
        return self.start_foreign_run({"exportGuid": names.DEFINITION_EXPORT_GUID})

    def start_foreign_run(self, run: dict[str, object]) -> bool:
        """Start somebody else's run if no run is in progress; return whether that was possible."""
        try:
            control.start_foreign_run(self._arena, {"seconds": self._random.uniform(5, 600), **run})
        except control.ControlError:
            return False
        return True

    def _let_writes_conflict(self) -> bool:
        self._simulation.memory.conflicts = self._random.randint(1, 5)
        return True

    def _stop_an_execution(self) -> bool:
        executions = sorted(self._simulation.running_executions)
        if executions:
            self._simulation.stop(self._random.choice(executions))
        return bool(executions)

    def start_run_by_hand(self, item_guids: Sequence[ItemGuid]) -> None:
        """Start a run with our account, as a person might, if no run is in progress."""
        body = protocol.start_run(ExportGuid(EXPORT), Kind.ITEMS, item_guids).body
        try:
            run = self._arena.submit_run(self._arena.accounts.machine, EXPORT, json.loads(body))
        except ArenaError:
            return
        self.runs_by_hand.add(str(run["guid"]))


KINDS: Mapping[str, Callable[[Disruptions], bool]] = {
    "session killed": Disruptions._kill_sessions,
    "secret overwritten": Disruptions._overwrite_secret,
    "login broken": Disruptions._break_logins,
    "run broken": Disruptions._break_the_next_run,
    "foreign run": Disruptions._start_a_foreign_run,
    "conflict": Disruptions._let_writes_conflict,
    "execution stopped": Disruptions._stop_an_execution,
}
