"""Export runs: their plans, and their status at a given time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.simulator.accounts import User
from infra.simulator.definitions import Criteria
from infra.simulator.files import FilePlan, RunFile
from infra.simulator.settings import Settings


class RunStatus(StrEnum):
    """The documented statuses; a plan can name any other, too."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    DOWNLOADED = "DOWNLOADED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


READY = frozenset[str]({RunStatus.COMPLETE, RunStatus.DOWNLOADED})
ENDED = READY | {RunStatus.FAILED, RunStatus.ABORTED}


@dataclass(frozen=True, slots=True)
class Step:
    """A status and its duration; the last step of a plan has no end."""

    status: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How the next run differs from the settings.

    `file_entries` defines how the run lists its files: `whole`, the last one `withoutGuid`, or the
    first one `twice`, until `file_entries_seconds` after its end, or always for None. `contents`
    describes the files one by one; without `files`, it says how many there are. `null_fields` are
    the fields that Arena's answers about the run show as null.
    """

    status: str | None = None
    created_seconds: float | None = None
    running_seconds: float | None = None
    steps: tuple[Step, ...] = ()
    files: int | None = None
    criteria_results_count: int | None = None
    file_entries: str = "whole"
    file_entries_seconds: float | None = None
    contents: tuple[FilePlan, ...] = ()
    null_fields: tuple[str, ...] = ()

    def file_count(self, results: int) -> int:
        """Return how many files a run with so many results has."""
        usual = len(self.contents) or min(results, 1)
        return usual if self.files is None else self.files

    def timeline(self, settings: Settings, end: str, start_at: float) -> list[tuple[float, str]]:
        """Return when the run enters each status; `end` is the default last status."""
        timeline, at = [], start_at
        for step in self.steps or self._usual_steps(settings, self.status or end):
            timeline.append((at, step.status))
            at += step.seconds
        return timeline

    def _usual_steps(self, settings: Settings, end: str) -> tuple[Step, ...]:
        created, running = self.created_seconds, self.running_seconds
        return (
            Step(RunStatus.CREATED, settings.created_seconds if created is None else created),
            Step(RunStatus.RUNNING, settings.running_seconds if running is None else running),
            Step(end),
        )


@dataclass(slots=True)
class Run:
    """One export run. `timeline` holds the times at which it enters each status, oldest first."""

    guid: str
    number: int
    export_guid: str
    creator: User
    criteria: Criteria
    item_guids: Sequence[str]
    created_at: float
    results_count: int
    timeline: list[tuple[float, str]]
    files: tuple[RunFile, ...] = ()
    file_entries: str = "whole"
    file_entries_seconds: float | None = None
    null_fields: tuple[str, ...] = ()

    @property
    def file_guids(self) -> tuple[str, ...]:
        """The GUIDs of the files."""
        return tuple(file.guid for file in self.files)

    def file(self, guid: str) -> RunFile | None:
        """Return a file of the run."""
        return next((file for file in self.files if file.guid == guid), None)

    def status(self, now: float) -> str:
        """Return the status of the run at this time."""
        first = self.timeline[0][1]
        return next((status for at, status in reversed(self.timeline) if at <= now), first)

    def ended_at(self, now: float) -> float | None:
        """Return when the run ended, or None while it is in progress."""
        return next((at for at, status in self.timeline if status in ENDED and at <= now), None)

    def is_ready(self, now: float) -> bool:
        """Return whether the results are ready."""
        return self.status(now) in READY

    def listed_files(self, now: float) -> tuple[str | None, ...]:
        """Return the GUIDs in the list of files; see `RunPlan` for its forms."""
        seconds = math.inf if self.file_entries_seconds is None else self.file_entries_seconds
        if now >= (self.ended_at(now) or now) + seconds or not self.file_guids:
            return self.file_guids
        listed: Mapping[str, tuple[str | None, ...]] = {
            "withoutGuid": (*self.file_guids[:-1], None),
            "twice": (*self.file_guids, self.file_guids[0]),
        }
        return listed.get(self.file_entries, self.file_guids)

    def set_status(self, status: str, now: float) -> None:
        """Change the status of the run from now on, whatever was planned."""
        self.timeline = [(at, planned) for at, planned in self.timeline if at <= now]
        self.timeline.append((now, status))
