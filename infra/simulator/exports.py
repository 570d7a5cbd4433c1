"""Export definitions and their runs: the single slot, the late runs, and the files."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random

from infra.simulator import filters
from infra.simulator.accounts import User, new_guid
from infra.simulator.criteria import GUID_FORM, GuidSets, RunCriteria, read_criteria
from infra.simulator.definitions import ExportDefinition, starting_definitions
from infra.simulator.errors import ArenaError, invalid_guid, not_found
from infra.simulator.files import FilePlan, RunFile, usual_kind
from infra.simulator.runs import ENDED, READY, Run, RunPlan, RunStatus
from infra.simulator.settings import Settings

FILES_KEPT_SECONDS = 60 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """A run that passed all checks and is not created yet."""

    creator: User
    definition: ExportDefinition
    criteria: RunCriteria


class Exports:
    """The workspace's export definitions and all their runs."""

    def __init__(self, rng: Random) -> None:
        """Start with the three definitions and no run."""
        self._rng = rng
        self.definitions = starting_definitions()
        self.guid_sets = GuidSets()
        self.plans: list[RunPlan] = []
        self._runs: dict[str, Run] = {}
        self._numbers: dict[str, int] = {}
        self._latest: Run | None = None
        self._late: list[tuple[float, int, RequestedRun]] = []
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
        """Return a definition; raise code 3011 or 3012 if it does not exist."""
        if guid in self.definitions:
            return self.definitions[guid]
        if settings.unknown_definition_code == 3011 or not GUID_FORM.fullmatch(guid):  # noqa: PLR2004 - an Arena code
            raise invalid_guid(guid)
        raise not_found(guid)

    def check_request(
        self, creator: User, export_guid: str, body: object, now: float, settings: Settings
    ) -> RequestedRun:
        """Check everything that a new run can be refused for, and return the requested run."""
        definition = self.definition(export_guid, settings)
        if settings.slot_checked_first:
            self._check_slot(now)
        criteria = read_criteria(definition, body, self.guid_sets, settings)
        self._check_slot(now)
        return RequestedRun(creator, definition, criteria)

    def start(self, requested: RequestedRun, now: float, settings: Settings) -> Run:
        """Create a run; raise code 3144 while another one holds the slot."""
        self._check_slot(now)
        plan = self.plans.pop(0) if self.plans else RunPlan()
        return self._create(requested, plan, now, settings)

    def start_as_planned(
        self, requested: RequestedRun, plan: RunPlan, now: float, settings: Settings
    ) -> Run:
        """Create a run with its own plan, and leave the queued plans untouched."""
        self._check_slot(now)
        return self._create(requested, plan, now, settings)

    def start_late(self, requested: RequestedRun, at: float) -> None:
        """Create a run at a later time, unless the slot is taken then."""
        heapq.heappush(self._late, (at, next(self._late_order), requested))

    def advance(self, now: float, settings: Settings) -> None:
        """Create the late runs that are due."""
        while self._late and self._late[0][0] <= now:
            at, _, requested = heapq.heappop(self._late)
            if self.run_in_progress(at) is None:
                self.start(requested, at, settings)

    def run(self, export_guid: str, run_guid: str, settings: Settings) -> Run:
        """Return a definition's run, whoever started it; raise code 3012 if it does not exist."""
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
        """Return the age in seconds of a run, or of the definition's youngest run."""
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
        """Return a definition's runs, filtered and sorted by the query and the settings."""
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

    def any_file(self, file_guid: str) -> RunFile | None:
        """Return a file of any run."""
        found = (run.file(file_guid) for run in self._runs.values())
        return next((file for file in found if file is not None), None)

    def file(self, run: Run, file_guid: str, now: float, settings: Settings) -> RunFile:
        """Return a file; raise a code if it does not exist, is not ready, or has expired."""
        if not run.is_ready(now) and run.status(now) not in ENDED:
            raise ArenaError(settings.file_not_ready_code)
        file = run.file(file_guid)
        if file is None or run.status(now) not in READY:
            raise _missing(settings.unknown_file_code, file_guid)
        if now - (run.ended_at(now) or now) > FILES_KEPT_SECONDS:
            raise _missing(settings.expired_file_code, file_guid)
        if run.results_count == 0:
            raise ArenaError(settings.file_empty_code)
        return file

    def _check_slot(self, now: float) -> None:
        if self.run_in_progress(now) is not None:
            raise ArenaError(3144)

    def _create(
        self, requested: RequestedRun, plan: RunPlan, now: float, settings: Settings
    ) -> Run:
        definition, criteria = requested.definition, requested.criteria
        results = self._results_count(definition, criteria, plan)
        poisoned = not self.guid_sets.poison.isdisjoint(criteria.item_guids)
        end = RunStatus.FAILED if poisoned else RunStatus.COMPLETE
        number = self._numbers[definition.guid] = self._numbers.get(definition.guid, 0) + 1
        run = Run(
            guid=new_guid(self._rng),
            number=number,
            export_guid=definition.guid,
            creator=requested.creator,
            criteria=criteria.criteria,
            item_guids=criteria.item_guids,
            created_at=now,
            results_count=results,
            timeline=plan.timeline(settings, end, now),
            files=self._files(requested, plan, number, results),
            file_entries=plan.file_entries,
            file_entries_seconds=plan.file_entries_seconds,
            null_fields=plan.null_fields,
        )
        self._runs[run.guid] = self._latest = run
        return run

    def _files(
        self, requested: RequestedRun, plan: RunPlan, number: int, results: int
    ) -> tuple[RunFile, ...]:
        """Return the files of a new run, which share its items."""
        parts, kind = plan.file_count(results), usual_kind(requested.definition)
        items = requested.criteria.item_guids or [f"ITEM{n:016}" for n in range(results)]
        return tuple(
            RunFile(
                guid=new_guid(self._rng),
                stem=f"export-{number}-{part + 1}",
                usual_kind=kind,
                item_guids=tuple(items[:results][part::parts]),
                plan=next(iter(plan.contents[part : part + 1]), FilePlan()),
            )
            for part in range(parts)
        )

    def _results_count(
        self, definition: ExportDefinition, criteria: RunCriteria, plan: RunPlan
    ) -> int:
        if plan.criteria_results_count is not None:
            return plan.criteria_results_count
        if not criteria.item_guids:
            return definition.matched_items
        unknown = self.guid_sets.unknown
        return sum(guid not in unknown for guid in criteria.item_guids) * definition.lines_per_item


def _missing(code: int, file_guid: str) -> ArenaError:
    """Return the error for a file that is not there."""
    if code == 3012:  # noqa: PLR2004 - an Arena code
        return not_found(file_guid)
    return invalid_guid(file_guid) if code == 3011 else ArenaError(code)  # noqa: PLR2004 - the same
