"""Past runs and the run in progress, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from arena_exports.domain.attempts import AttemptOutcome, AttemptState
from arena_exports.domain.model import AttemptId, Kind
from arena_exports.domain.times import epoch_seconds
from arena_exports.ledger import keys
from arena_exports.ledger.attempts import read_attempt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from arena_exports.domain.attempts import Attempt
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Item, Table

DAYS_KEPT = 75
MAX_NAME = 128  # characters of a correlation id; no other name is longer
_DAY_SECONDS = 86_400
_CLOCK_SKEW_SECONDS = 300  # between this machine's clock and those that made the identifiers
SUCCESSES = frozenset({AttemptOutcome.COMPLETE, AttemptOutcome.DOWNLOADED})
_WITHOUT_RUN = frozenset({AttemptState.VOID, AttemptState.REPLACED})


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One attempt and the run that it became.

    `status` is Arena's if the run has ended, else the state of the attempt; `item_count` leaves out
    the `refused_count` items that Arena refused, and is None for a run with the definition's own
    criteria. `found_count` is Arena's `criteriaResultsCount`.
    """

    attempt_id: str
    run_guid: str | None
    run_number: int | None
    export_guid: str
    kind: str
    lane: str
    status: str
    succeeded: bool
    item_count: int | None
    refused_count: int
    found_count: int | None
    submitted_at: int
    started_at: int | None
    completed_at: int | None
    duration_seconds: int | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class RunPart:
    """The part of a request that a run carried."""

    request_id: str
    correlation_id: str | None
    item_count: int


@dataclass(frozen=True, slots=True)
class FileSummary:
    """A file of a run."""

    guid: str
    title: str | None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with its requests and files."""

    run: RunSummary
    requests: tuple[RunPart, ...]
    files: tuple[FileSummary, ...]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list. `outcome` is a status, such as `COMPLETE`; empty values match all."""

    export_guid: str = ""
    outcome: str = ""
    since: float = 0
    until: float = 0
    with_voided: bool = False

    def matches(self, run: RunSummary) -> bool:
        """Report whether a run is one of those."""
        if run.run_guid is None and run.status in _WITHOUT_RUN and not self.with_voided:
            return False
        return (
            self.export_guid in ("", run.export_guid)
            and self.outcome.upper() in ("", run.status.upper())
            and run.submitted_at >= self.since
            and (not self.until or run.submitted_at <= self.until)
        )


def list_runs(table: Table, now: float, wanted: RunFilter, limit: int) -> list[RunSummary]:
    """Return runs, newest first, at most `limit` of them."""
    found: list[RunSummary] = []
    for attempt in recent_attempts(table, now, since=wanted.since):
        run = summarize(attempt)
        if wanted.matches(run):
            found.append(run)
        if len(found) == limit:
            break
    return found


def recent_attempts(table: Table, now: float, *, since: float = 0) -> Iterator[Attempt]:
    """Yield attempts, newest first, back to `since` or as far as the ledger keeps them."""
    for items in _windows(table, now, since):
        attempts = [read_attempt(item) for item in items if "#" not in item["SK"]]
        yield from reversed(attempts)


def _windows(table: Table, now: float, since: float) -> Iterator[list[Item]]:
    """Yield the items of a day, then of the two days before it, then of four, and so on."""
    oldest = max(since, now - DAYS_KEPT * _DAY_SECONDS)
    stop, span = now + _CLOCK_SKEW_SECONDS, _DAY_SECONDS
    while stop > oldest:
        start = max(stop - span, oldest)
        for month in _months(start, stop):
            yield table.query(f"RUN#{month}", _id(start), _id(stop - 0.001) + keys.LAST)
        stop, span = start, span * 2


def _months(start: float, stop: float) -> list[str]:
    """Return the months of a period as in the ledger's keys, newest first."""
    day, last = datetime.fromtimestamp(start, UTC).date(), datetime.fromtimestamp(stop, UTC).date()
    months = set[str]()
    while day <= last:
        months.add(f"{day:%Y%m}")
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return sorted(months, reverse=True)


def _id(epoch: float) -> str:
    return keys.new_id(epoch, "")


def find_attempt(ledger: Ledger, table: Table, text: str, now: float) -> Attempt | None:
    """Return the attempt with this run GUID, run number or attempt id; None if there is none."""
    if len(text) > MAX_NAME:
        return None
    item = table.get(keys.run(text.upper()))
    if item is not None:
        return read(ledger, item["attemptId"])
    if text.isdecimal():
        number = int(text)
        return next((a for a in recent_attempts(table, now) if a.run_number == number), None)
    try:
        return read(ledger, text.lower())
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def read(ledger: Ledger, attempt_id: str) -> Attempt:
    """Return an attempt by its id.

    Raises:
        KeyError: there is no such attempt.
    """
    return ledger.attempts.get(AttemptId(attempt_id))


def describe(ledger: Ledger, attempt: Attempt) -> RunDetail:
    """Return a run with its requests and files; what has expired in the ledger is left out."""
    files = ledger.attempts.files(attempt.attempt_id)
    return RunDetail(
        summarize(attempt),
        tuple(parts(ledger, attempt)),
        tuple(FileSummary(file.guid, file.title) for file in files),
    )


def parts(ledger: Ledger, attempt: Attempt) -> Iterator[RunPart]:
    """Yield the requests of a run, each with the number of its items that the run carried."""
    counts: dict[tuple[str, str | None], int] = {}
    known = ledger.requests.pages([cut.page_id for cut in attempt.slices])
    for cut in attempt.slices:
        page = known.get(cut.page_id)
        for entry in page.part(cut.start, cut.stop) if page else ():
            items = [guid for guid in entry.item_guids if guid not in attempt.rejected]
            key = entry.request_id, entry.correlation_id
            counts[key] = counts.get(key, 0) + len(items)
    for (request_id, correlation_id), count in counts.items():
        yield RunPart(request_id, correlation_id, count)


def summarize(attempt: Attempt) -> RunSummary:
    """Return what a list of runs shows of an attempt."""
    result = attempt.result
    created = epoch_seconds(result.creation_date_time) if result else None
    completed = epoch_seconds(result.completion_date_time) if result else None
    with_items = attempt.group.kind is Kind.ITEMS
    return RunSummary(
        attempt_id=attempt.attempt_id,
        run_guid=attempt.run_guid,
        run_number=attempt.run_number,
        export_guid=attempt.group.export_guid,
        kind=attempt.group.kind.value,
        lane=attempt.group.lane.value,
        status=(result.status or result.outcome.value) if result else attempt.state.value,
        succeeded=bool(result and result.outcome in SUCCESSES),
        item_count=attempt.item_count - len(attempt.rejected) if with_items else None,
        refused_count=len(attempt.rejected),
        found_count=result.criteria_results_count if result else None,
        submitted_at=attempt.sent_at,
        started_at=attempt.started_at or None,
        completed_at=None if completed is None else int(completed),
        duration_seconds=_duration(created, completed),
        error_code=(result.error_code or None) if result else None,
        error_message=(result.error_message or None) if result else None,
    )


def _duration(created: float | None, completed: float | None) -> int | None:
    return None if created is None or completed is None else max(round(completed - created), 0)


def of_requests(attempts: Collection[Attempt], request_pages: Collection[str]) -> list[Attempt]:
    """Return the attempts that carry something of these pages."""
    return [a for a in attempts if any(cut.page_id in request_pages for cut in a.slices)]
