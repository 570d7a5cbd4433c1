"""Deliveries: which files of a run to copy to the bucket, when, and how each ends (R12).

Times are epoch seconds on our clock, 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptOutcome
from arena_exports.domain.backoff import doubled
from arena_exports.domain.times import epoch_seconds

if TYPE_CHECKING:
    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.model import AttemptId, Kind

COMPLETED = frozenset({AttemptOutcome.COMPLETE, AttemptOutcome.DOWNLOADED})

FILE_LIFE_SECONDS = 60 * 86_400  # Arena deletes the files of a run after 60 days
FIRST_RETRY_SECONDS = 60
MAX_RETRY_SECONDS = 6 * 3600
MAX_FAILURES_IN_A_ROW = 3  # of different files; after that, all deliveries back off
SECONDS_BETWEEN_REFUSALS = 3600
MAX_REDIRECTS = 2
MAX_OVERRUNS = 2
NOT_DELIVERED_SECONDS = 7 * 86_400
NOT_DELIVERED_TRIES = 10
TURNS_SECONDS = 7 * 86_400

# Arena's codes: a bad or unknown GUID, a file without content, no such address.
FINAL_CODES = frozenset({404, 3011, 3012, 3028, 4078})
REDIRECTED = "Redirected"
TRANSFER_TOO_LONG = "TransferTooLong"
NOT_DELIVERED = "NotDelivered"
FILE_EXPIRED = "FileExpired"
FILE_WITHOUT_GUID = "FileWithoutGuid"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A pending delivery: everything that its manifest says about the run.

    `number` is 1 for the first delivery of a run, 2 for the next. `folder` is the key of the run's
    folder below the prefix, frozen when the run was settled. `ended_at` is when the run completed,
    or was submitted if Arena gives no time; it orders the deliveries. `file_count` counts the
    files with a GUID, `files_without_guid` the others, which cannot be requested. `files_left`
    counts the files without an outcome, `failed_reports` the failures in a row of its manifest or
    event, both as of the last turn. `try_now` is set by an operator: then nothing in the
    delivery waits any longer.
    """

    attempt_id: AttemptId
    number: int
    folder: str
    workspace: str
    export_guid: str
    run_guid: str
    run_number: int | None
    status: str
    kind: Kind
    creation_date_time: str | None
    completion_date_time: str | None
    criteria_results_count: int | None
    ended_at: int
    settled_at: int
    file_count: int
    not_before: int = 0
    files_left: int = 0
    failed_reports: int = 0
    try_now: bool = False
    files_without_guid: int = 0

    @property
    def expires_at(self) -> int:
        """When Arena deletes the files."""
        return self.ended_at + FILE_LIFE_SECONDS

    def is_due(self, now: float) -> bool:
        """Return whether any of it is due now."""
        return self.try_now or self.not_before <= now

    def waiting_for_files(self, not_before: int, files_left: int) -> Delivery:
        """Return the delivery as it waits for the files that are left."""
        return replace(self, not_before=not_before, files_left=files_left, try_now=False)

    def waiting_for_report(self, now: float) -> Delivery:
        """Return the delivery after its report failed; the waits double, as for a file."""
        wait = doubled(FIRST_RETRY_SECONDS, self.failed_reports, MAX_RETRY_SECONDS)
        return replace(
            self,
            not_before=int(now + wait),
            files_left=0,
            failed_reports=self.failed_reports + 1,
            try_now=False,
        )

    @property
    def manifest_name(self) -> str:
        """The name of its manifest in the folder."""
        return "manifest.json" if self.number == 1 else f"manifest-{self.number}.json"


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many files of a run have a GUID, and how many do not."""

    with_guid: int
    without_guid: int


def delivery_of(
    attempt: Attempt, workspace: str, files: FileCounts, now: float, number: int = 1
) -> Delivery | None:
    """Return the delivery of a run that completed; None for any other attempt."""
    result = attempt.result
    if result is None or result.outcome not in COMPLETED:
        return None
    completed = epoch_seconds(result.completion_date_time)
    ended_at = int(attempt.sent_at if completed is None else completed)
    run_guid = str(attempt.run_guid)
    name = f"{(attempt.run_number or 0) % 10**8:08}-{run_guid}"
    day = datetime.fromtimestamp(ended_at, UTC)
    export_guid = attempt.group.export_guid
    folder = f"v1/{_path_segment(workspace)}/{export_guid}/{day:%Y/%m/%d}/{name}/"
    return Delivery(
        attempt_id=attempt.attempt_id,
        number=number,
        folder=folder,
        workspace=workspace,
        export_guid=export_guid,
        run_guid=run_guid,
        run_number=attempt.run_number,
        status=result.status,
        kind=attempt.group.kind,
        creation_date_time=result.creation_date_time,
        completion_date_time=result.completion_date_time,
        criteria_results_count=result.criteria_results_count,
        ended_at=ended_at,
        settled_at=int(now),
        file_count=files.with_guid,
        files_left=files.with_guid,
        files_without_guid=files.without_guid,
    )


def _path_segment(name: str) -> str:
    """Return a workspace's name as part of a key; tools would resolve `.` and `..`."""
    return name if name.strip(".") else name.replace(".", "%2E")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the bucket; `sha256` in hex, of the whole file."""

    key: str
    size: int
    sha256: str
    content_type: str
    name: str | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The state of one file of a delivery.

    `stored` and `error_code` are its outcome: in the bucket, or undeliverable. Without either it is
    pending: `tries` counts tries in a row that failed, `answered` those in which Arena answered
    about this very file, the first of them at `answered_at`. `refusal` is the last final code that
    Arena gave, first at `refused_at`. `overruns` counts tries that ran out of the function's whole
    time; `long` says that one ran out of the time that was left. `length` is how many bytes the
    last try received, `size` the size in the file's metadata, once it was requested.
    """

    guid: str
    title: str | None
    stored: StoredFile | None = None
    error_code: str = ""
    error_message: str = ""
    not_before: int = 0
    tries: int = 0
    answered: int = 0
    answered_at: int = 0
    refusal: str = ""
    refused_at: int = 0
    redirects: int = 0
    overruns: int = 0
    long: bool = False
    length: int | None = None
    size: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has its outcome."""
        return self.stored is not None or bool(self.error_code)

    @property
    def is_first_try(self) -> bool:
        """Whether Arena has not been asked for it yet."""
        return not (self.tries or self.long)

    def undeliverable(self, code: str, message: str) -> FileRecord:
        """Return the record of a file that can never be delivered."""
        return replace(self, error_code=code, error_message=message)

    def failed(self, now: float) -> FileRecord:
        """Count a try that failed; the back-off doubles from a minute to six hours."""
        wait = doubled(FIRST_RETRY_SECONDS, self.tries, MAX_RETRY_SECONDS)
        return replace(self, tries=self.tries + 1, not_before=int(now + wait))

    def answered_about(self, now: float) -> FileRecord:
        """Count a failed try in which Arena answered about this very file."""
        first = self.answered_at or int(now)
        return replace(self.failed(now), answered=self.answered + 1, answered_at=first)

    def refused(self, code: str, message: str, now: float) -> FileRecord:
        """Count a refusal with a final code; a second one, an hour later, is final."""
        if self.refusal == code and now - self.refused_at >= SECONDS_BETWEEN_REFUSALS:
            return self.undeliverable(code, message)
        first = self.refused_at if self.refusal == code else int(now)
        later = replace(self.answered_about(now), refusal=code, refused_at=first)
        return replace(later, not_before=max(later.not_before, first + SECONDS_BETWEEN_REFUSALS))

    def redirected(self, now: float) -> FileRecord:
        """Count an answer that was a redirect."""
        return replace(self.answered_about(now), redirects=self.redirects + 1)

    def overran(self, now: float, *, had_whole_time: bool) -> FileRecord:
        """Count a transfer that ran out of the function's time."""
        overruns = self.overruns + had_whole_time
        if overruns >= MAX_OVERRUNS:
            message = "the transfer took longer than the function may run"
            return self.undeliverable(TRANSFER_TOO_LONG, message)
        later = int(now) + FIRST_RETRY_SECONDS
        return replace(self, overruns=overruns, long=True, not_before=later)

    def given_up(self, now: float, delivered_at: int) -> FileRecord:
        """Return the record as undeliverable if enough tries failed while other files succeeded.

        `delivered_at` is when the last other file was delivered.
        """
        long_enough = now - self.answered_at >= NOT_DELIVERED_SECONDS
        if self.answered < NOT_DELIVERED_TRIES or not long_enough:
            return self
        if self.is_final or delivered_at <= self.answered_at:
            return self
        message = f"Arena did not send the file in {self.answered} tries over seven days"
        return self.undeliverable(NOT_DELIVERED, message)


@dataclass(frozen=True, slots=True)
class DeliveryLane:
    """The lease on downloads: one at a time for each stack.

    `failures` counts failures in a row of different files, `failed_guids` are the first of them;
    `delivered_at` is when the last file was delivered. `unanswered_polls` is how many polls in a
    row got no answer during a download. Until `turns_until`, downloads and runs take turns;
    meanwhile, the next run waits until `run_waits_until` for a download to start (0: none waits).
    """

    token: str = ""
    held_until: int = 0
    not_before: int = 0
    failures: int = 0
    failed_guids: tuple[str, ...] = ()
    delivered_at: int = 0
    unanswered_polls: int = 0
    turns_until: int = 0
    run_waits_until: int = 0

    @property
    def in_doubt(self) -> bool:
        """Whether only one file is tried each time."""
        return self.failures >= MAX_FAILURES_IN_A_ROW

    def delivered(self, now: float) -> DeliveryLane:
        """Return the lane after a file was delivered."""
        return replace(self, failures=0, failed_guids=(), not_before=0, delivered_at=int(now))

    def failed(self, guid: str, now: float) -> DeliveryLane:
        """Count a failure of one file; after three different ones in a row, all back off."""
        if self.in_doubt:
            return replace(self, failures=self.failures + 1).waiting(now)
        guids = tuple(dict.fromkeys((*self.failed_guids, guid)))
        lane = replace(self, failures=len(guids), failed_guids=guids)
        return lane.waiting(now) if lane.in_doubt else lane

    def blocked(self, now: float) -> DeliveryLane:
        """Return the lane after a failure that concerns all files."""
        return replace(self, failures=max(self.failures + 1, MAX_FAILURES_IN_A_ROW)).waiting(now)

    def waiting(self, now: float) -> DeliveryLane:
        """Make all deliveries wait, twice as long after each failure: a minute to six hours."""
        times = self.failures - MAX_FAILURES_IN_A_ROW
        wait = doubled(FIRST_RETRY_SECONDS, times, MAX_RETRY_SECONDS)
        return replace(self, not_before=int(now + wait))

    def take_turns(self, now: float) -> DeliveryLane:
        """Make downloads and runs take turns: Arena answers no polls while it sends a file."""
        return replace(self, turns_until=int(now) + TURNS_SECONDS, unanswered_polls=0)
