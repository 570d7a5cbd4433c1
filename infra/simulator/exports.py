"""Export definitions and their runs: the one slot, the deferred runs, and the files."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random

from infra.simulator import filters
from infra.simulator.accounts import User, new_guid
from infra.simulator.criteria import GUID_FORM, Asked, GuidSets, read_asked
from infra.simulator.definitions import ExportDefinition, starting_definitions
from infra.simulator.errors import ArenaError, invalid_guid, not_found
from infra.simulator.runs import ENDED, READY, Run, RunPlan, RunStatus
from infra.simulator.settings import Settings

FILES_KEPT_SECONDS = 60 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class LateRun:
    """A run that was asked for and will be created later."""

    creator: User
    definition: ExportDefinition
    asked: Asked


class Exports:
    """The workspace's export definitions and all their runs."""

    def __init__(self, rng: Random) -> None:
        """Begin with the three definitions and no run."""
        self._rng = rng
        self.definitions = starting_definitions()
        self.guid_sets = GuidSets()
        self.plans: list[RunPlan] = []
        self._runs: dict[str, Run] = {}
        self._numbers: dict[str, int] = {}
        self._latest: Run | None = None
        self._late: list[tuple[float, int, LateRun]] = []
        self._late_order = count()

    @property
    def runs(self) -> Iterable[Run]:
        """All runs, the oldest first."""
        return self._runs.values()

    def run_in_progress(self, now: float) -> Run | None:
        """Return the run that holds the slot."""
        latest = self._latest
        return None if latest is None or latest.status(now) in ENDED else latest

    def definition(self, guid: str, settings: Settings) -> ExportDefinition:
        """Return a definition; raise code 3011 or 3012 where there is none."""
        if guid in self.definitions:
            return self.definitions[guid]
        if settings.unknown_definition_code == 3011 or not GUID_FORM.fullmatch(guid):  # noqa: PLR2004 - an Arena code
            raise invalid_guid(guid)
        raise not_found(guid)

    def ask(
        self, creator: User, export_guid: str, body: object, now: float, settings: Settings
    ) -> LateRun:
        """Check all that a new run is refused for and return what would be started."""
        definition = self.definition(export_guid, settings)
        if settings.slot_checked_first:
            self._check_slot(now)
        asked = read_asked(definition, body, self.guid_sets, settings)
        self._check_slot(now)
        return LateRun(creator, definition, asked)

    def start(self, asked_run: LateRun, now: float, settings: Settings) -> Run:
        """Create a run; raise code 3144 while another one holds the slot."""
        self._check_slot(now)
        plan = self.plans.pop(0) if self.plans else RunPlan()
        return self._create(asked_run, plan, now, settings)

    def start_as_planned(
        self, asked_run: LateRun, plan: RunPlan, now: float, settings: Settings
    ) -> Run:
        """Create a run with a plan of its own, which leaves the plans of others alone."""
        self._check_slot(now)
        return self._create(asked_run, plan, now, settings)

    def start_late(self, asked_run: LateRun, at: float) -> None:
        """Create a run when the time comes, unless the slot is taken then."""
        heapq.heappush(self._late, (at, next(self._late_order), asked_run))

    def advance(self, now: float, settings: Settings) -> None:
        """Create the late runs whose time has come."""
        while self._late and self._late[0][0] <= now:
            at, _, asked_run = heapq.heappop(self._late)
            if self.run_in_progress(at) is None:
                self.start(asked_run, at, settings)

    def run(self, export_guid: str, run_guid: str, settings: Settings) -> Run:
        """Return a definition's run, whoever started it; raise code 3012 where there is none."""
        self.definition(export_guid, settings)
        run = self._runs.get(run_guid)
        if run is None or run.export_guid != export_guid:
            raise not_found(run_guid)
        return run

    def any_run(self, run_guid: str) -> Run | None:
        """Return a run of any definition."""
        return self._runs.get(run_guid)

    def age_of_youngest(
        self, export_guid: str, now: float, run_guid: str | None = None
    ) -> float | None:
        """Return how many seconds ago a run was created, or the definition's youngest one."""
        ages = [
            now - run.created_at
            for run in self._runs.values()
            if run.export_guid == export_guid and run_guid in {None, run.guid}
        ]
        return min(ages, default=None)

    def own_run(self, user: User, export_guid: str, run_guid: str, settings: Settings) -> Run:
        """Return a run of this user; raise code 3024 for another user's."""
        run = self.run(export_guid, run_guid, settings)
        if run.creator is not user:
            raise ArenaError(3024)
        return run

    def list_runs(
        self,
        user: User,
        export_guid: str,
        query: Mapping[str, str],
        now: float,
        settings: Settings,
    ) -> list[Run]:
        """Return a definition's runs as the filters and the settings of the list ask."""
        self.definition(export_guid, settings)
        runs = [
            run
            for run in self._runs.values()
            if run.export_guid == export_guid
            and (settings.list_shows_others or run.creator is user)
        ]
        found = filters.apply(runs, query, now, settings.clock_skew_seconds)
        if settings.list_order == "newest":
            found.reverse()
        return found

    def check_file(self, run: Run, file_guid: str, now: float, settings: Settings) -> None:
        """Raise the code for a file that is not there, or not yet, or no more."""
        if not run.is_ready(now) and run.status(now) not in ENDED:
            raise ArenaError(settings.file_not_ready_code)
        ended_at = run.ended_at(now) or now
        gone = now - ended_at > FILES_KEPT_SECONDS
        if file_guid not in run.file_guids or gone or run.status(now) not in READY:
            raise not_found(file_guid)
        if run.results_count == 0:
            raise ArenaError(settings.file_empty_code)

    def _check_slot(self, now: float) -> None:
        if self.run_in_progress(now) is not None:
            raise ArenaError(3144)

    def _create(self, asked_run: LateRun, plan: RunPlan, now: float, settings: Settings) -> Run:
        definition, asked = asked_run.definition, asked_run.asked
        results = self._results_count(definition, asked, plan)
        poisoned = not self.guid_sets.poison.isdisjoint(asked.item_guids)
        end = RunStatus.FAILED if poisoned else RunStatus.COMPLETE
        files = plan.files if plan.files is not None else min(results, 1)
        number = self._numbers[definition.guid] = self._numbers.get(definition.guid, 0) + 1
        run = Run(
            guid=new_guid(self._rng),
            number=number,
            export_guid=definition.guid,
            creator=asked_run.creator,
            criteria=asked.criteria,
            item_guids=asked.item_guids,
            created_at=now,
            results_count=results,
            timeline=plan.timeline(settings, end, now),
            file_guids=tuple(new_guid(self._rng) for _ in range(files)),
            file_entries=plan.file_entries,
            file_entries_seconds=plan.file_entries_seconds,
        )
        self._runs[run.guid] = self._latest = run
        return run

    def _results_count(self, definition: ExportDefinition, asked: Asked, plan: RunPlan) -> int:
        if plan.criteria_results_count is not None:
            return plan.criteria_results_count
        if not asked.item_guids:
            return definition.matched_items
        unknown = self.guid_sets.unknown
        return sum(guid not in unknown for guid in asked.item_guids) * definition.lines_per_item
