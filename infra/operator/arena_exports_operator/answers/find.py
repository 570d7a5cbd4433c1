"""Find a request, a run, an item or a file by any id that the operator has.

Message ids, run GUIDs and attempt ids are keys of the ledger. For anything else, the pending pages
are searched, oldest first, then the pages and files of recent runs, newest first; both are bounded,
and the answer says whether it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from arena_exports_operator.answers import history
from arena_exports_operator.answers.requests import RequestView, trace_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports.domain.attempts import Attempt
    from arena_exports.domain.model import Page, PageId
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Table
    from arena_exports_operator.answers.history import RunDetail
    from arena_exports_operator.answers.snapshot import Snapshot

MAX_PENDING_PAGES = 3_000
MAX_RUNS = 100
MAX_PAGES_OF_RUNS = 1_000
MAX_REQUESTS = 10
_PAGES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a text: requests and runs; `complete` is False if the search was cut off."""

    requests: tuple[RequestView, ...] = ()
    runs: tuple[RunDetail, ...] = ()
    complete: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return not self.requests and not self.runs


def find(ledger: Ledger, table: Table, seen: Snapshot, text: str) -> Found:
    """Return everything that is known of a message id, a correlation id, or a GUID of any kind."""
    if len(text) > history.MAX_NAME:
        return Found()
    request = trace_request(ledger, table, seen, text)
    if request is not None:
        return Found((request,))
    attempt = history.find_attempt(ledger, table, text, seen.now)
    if attempt is not None:
        return Found(runs=(history.describe(ledger, attempt),))
    return _search(ledger, table, seen, text)


def _search(ledger: Ledger, table: Table, seen: Snapshot, text: str) -> Found:
    pending = list(islice(ledger.requests.pending(), MAX_PENDING_PAGES + 1))
    names = [p.page_id for p in pending[:MAX_PENDING_PAGES]]
    request_ids = dict.fromkeys(_in_pages(ledger, names, text))
    runs: list[RunDetail] = []
    complete = len(pending) <= MAX_PENDING_PAGES
    if len(request_ids) < MAX_REQUESTS:
        searched = _recent(table, seen.now)
        complete = complete and len(searched) < MAX_RUNS
        of_runs = dict.fromkeys(cut.page_id for a in searched for cut in a.slices)
        complete = complete and len(of_runs) <= MAX_PAGES_OF_RUNS
        left = [name for name in islice(of_runs, MAX_PAGES_OF_RUNS) if name not in set(names)]
        request_ids |= dict.fromkeys(_in_pages(ledger, left, text))
        if not request_ids:
            runs = [d for a in searched if _has_file(d := history.describe(ledger, a), text)]
    traced = [trace_request(ledger, table, seen, i) for i in islice(request_ids, MAX_REQUESTS)]
    requests = tuple(view for view in traced if view is not None)
    return Found(requests, tuple(runs), complete and len(request_ids) <= MAX_REQUESTS)


def _recent(table: Table, now: float) -> list[Attempt]:
    return list(islice(history.recent_attempts(table, now), MAX_RUNS))


def _has_file(detail: RunDetail, text: str) -> bool:
    return any(file.guid.upper() == text.upper() for file in detail.files)


def _in_pages(ledger: Ledger, names: list[PageId], text: str) -> Iterator[str]:
    """Yield the ids of the requests on these pages that have this correlation id or item."""
    guid = text.strip().upper()
    for start in range(0, len(names), _PAGES_AT_ONCE):
        for page in ledger.requests.pages(names[start : start + _PAGES_AT_ONCE]).values():
            yield from _on_page(page, text, guid)


def _on_page(page: Page, text: str, guid: str) -> Iterator[str]:
    for entry in page.entries:
        if entry.correlation_id == text or guid in entry.item_guids:
            yield entry.request_id
