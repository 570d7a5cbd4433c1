"""Requests in the ledger: recorded, pending, selected for a run, settled, suspect.

A pointer under `PENDING` says up to which position a page is settled; it is deleted when the page
is settled. Selecting writes nothing, so a void attempt has nothing to undo.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.model import (
    Entry,
    ExportRequest,
    Group,
    ItemGuid,
    Kind,
    Lane,
    Page,
    PageId,
    PageSlice,
    RequestId,
    Selection,
    SetHistory,
)
from arena_exports.ledger import keys, pages
from arena_exports.ledger.items import PageState, marker_item, page_writes, read_page, read_pending
from arena_exports.ports import NEW, Check, Condition, Delete, Put, Update, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from arena_exports.domain.model import AttemptId
    from arena_exports.ledger.items import Pending
    from arena_exports.ports import Clock, Table

_POINTERS_AT_ONCE = 100
_POINTERS_OF_HEADS = 20  # about 4 kB: one read unit
_POINTERS_COUNTED = 1000  # about 150 kB
# Of one attempt: its item can hold them all, and publish can settle them before its timeout.
MAX_SLICES = 5_000


class RequestStore:
    """Requests, their pages, and which of them are pending."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def record(self, bundle: Sequence[ExportRequest]) -> list[ExportRequest]:
        """Record the requests that are not recorded yet, all or none, and return them.

        Raises:
            LedgerUnavailableError: probably nothing was written; the call may be repeated.
        """
        left = list(bundle)
        while left:
            try:
                self._table.write(*self._recording(left))
            except ConditionFailedError as exc:
                known = {left[n].request_id for n in exc.failed if n < len(left)}
                if not known:
                    raise
                left = [request for request in left if request.request_id not in known]
            else:
                break
        return left

    def _recording(self, requests: Sequence[ExportRequest]) -> list[Write]:
        now = self._clock.now()
        page_ids: dict[str, list[str]] = {request.request_id: [] for request in requests}
        writes: list[Write] = []
        for group, group_entries in pages.by_group(requests).items():
            for entries in pages.paginate(group_entries):
                page = Page(PageId(keys.new_id(now, self._clock.new_token())), group, entries)
                writes += page_writes(page, SetHistory(), now)
                for entry in entries:
                    page_ids[entry.request_id].append(page.page_id)
        markers = [
            Put(marker_item(request_id, ids, now), NEW) for request_id, ids in page_ids.items()
        ]
        return [*markers, *writes]

    def oldest_pages(self) -> list[Pending]:
        """Return the oldest pending page of each group."""
        oldest_pages: dict[Group, Pending] = {}
        first = keys.FIRST
        while found := self._table.query(keys.PENDING, first, keys.LAST, limit=_POINTERS_OF_HEADS):
            for pending in map(read_pending, found):
                oldest_pages.setdefault(pending.group, pending)
            first = keys.group_prefix(pending.group) + keys.LAST
        return list(oldest_pages.values())

    def pending(self) -> Iterator[Pending]:
        """Yield every pending page."""
        first = keys.FIRST
        while found := self._table.query(keys.PENDING, first, keys.LAST, limit=_POINTERS_COUNTED):
            yield from map(read_pending, found)
            first = found[-1]["SK"] + keys.FIRST

    def select(self, head: Pending, limit: int) -> Selection:
        """Select pending items of the head's group, oldest first, up to `limit` distinct ones.

        Suspect sets are never split by the limit. Suspect definition runs share a run if they have
        failed and been aborted equally often. The last page may be cut.
        """
        seen: set[ItemGuid] = set()
        slices: list[PageSlice] = []
        entries: list[Entry] = []
        failed_at = head.history.first_failed_at
        for pending, page in self._pages(head, limit):
            stop = _reach(page, pending.position, seen, limit)
            if page.size and stop == pending.position:
                break
            slices.append(PageSlice(page.page_id, pending.position, stop, page.size))
            entries += page.part(pending.position, stop)
            failed_at = max(failed_at, pending.history.first_failed_at)
            if stop < page.size or len(slices) == MAX_SLICES:
                break
        history = replace(head.history, first_failed_at=failed_at)
        return Selection(head.group, tuple(slices), tuple(entries), history)

    def _pages(self, head: Pending, limit: int) -> Iterator[tuple[Pending, Page]]:
        """Yield the group's pending pages, read in chunks that may suffice."""
        prefix = keys.group_prefix(head.group)
        if head.group.lane is Lane.SUSPECT and head.group.kind is Kind.ITEMS:
            prefix += head.page_id.split("#")[0] + "#"
        first, last = prefix, prefix + keys.LAST
        while found := self._table.query(keys.PENDING, first, last, limit=_POINTERS_AT_ONCE):
            pages = map(read_pending, found)
            waiting = [page for page in pages if page.history.is_like(head.history)]
            while waiting:
                chunk = _chunk(waiting, limit)
                waiting = waiting[len(chunk) :]
                known = self.pages([pending.page_id for pending in chunk])
                yield from ((pending, known[pending.page_id]) for pending in chunk)
            first = found[-1]["SK"] + keys.FIRST

    def pages(self, page_ids: Iterable[PageId]) -> dict[PageId, Page]:
        """Return pages by their ids."""
        items = self._table.get_many([keys.page(page_id) for page_id in page_ids])
        return {page.page_id: page for page in map(read_page, items.values())}

    def load_selection(
        self, group: Group, slices: Sequence[PageSlice], history: SetHistory
    ) -> Selection:
        """Return what an attempt selected, wherever the pointers are now."""
        known = self.pages([part.page_id for part in slices])
        entries = tuple(
            entry for part in slices for entry in known[part.page_id].part(part.start, part.stop)
        )
        return Selection(group, tuple(slices), entries, history)

    def settle_slice(
        self, group: Group, part: PageSlice, attempt_id: AttemptId, moved_to: Sequence[str] = ()
    ) -> None:
        """Record on a page which attempt took from it, and move its pointer; idempotent."""
        pointer = keys.pointer(group, part.page_id)
        attempts: set[str] = {attempt_id}
        if part.reaches_end and part.start:
            attempts |= (self._table.get(pointer) or {}).get("attempts", set())
        if part.reaches_end or moved_to:
            add = {"attempts": attempts} | ({"movedTo": set(moved_to)} if moved_to else {})
            expiry = {"expiresAt": int(self._clock.now()) + keys.LIFE_SECONDS}
            self._table.write(
                Update(keys.page(part.page_id), expiry if part.reaches_end else {}, add=add)
            )
        if part.reaches_end:
            self._table.write(Delete(pointer))
            return
        forward = Condition(present=("PK",), less_than={"position": part.stop})
        move = Update(
            pointer, {"position": part.stop}, add={"attempts": attempts}, condition=forward
        )
        with suppress(ConditionFailedError):  # it was moved there, or further, before
            self._table.write(move)

    def unsettled(self, group: Group, slices: Sequence[PageSlice]) -> list[PageSlice]:
        """Return the slices that are not settled yet."""
        found = self._table.get_many([keys.pointer(group, part.page_id) for part in slices])
        positions = {key[1]: item["position"] for key, item in found.items()}
        return [
            part
            for part in slices
            if positions.get(keys.pointer(group, part.page_id)[1], part.stop + 1) <= part.start
        ]

    def write_suspect_set(
        self, group: Group, set_id: str, entries: Iterable[Entry], history: SetHistory, fence: Check
    ) -> list[str]:
        """Write a suspect set while the fence holds; return its pages' ids, derived from `set_id`.

        Raises:
            ConditionFailedError: the fence no longer holds.
        """
        now = self._clock.now()
        suspects = Group(Lane.SUSPECT, group.export_guid, group.kind)
        page_ids: list[str] = []
        for number, part in enumerate(pages.paginate(entries), start=1):
            page = Page(PageId(f"{set_id}#{number:03}"), suspects, part)
            self._table.write(fence, *page_writes(page, history, now))
            page_ids.append(page.page_id)
        return page_ids

    def open_counts(
        self, requests: Iterable[RequestId], settled: Sequence[PageSlice]
    ) -> dict[RequestId, int]:
        """Count the pending items of requests, as if the slices in `settled` were settled."""
        markers = self._table.get_many([keys.marker(request_id) for request_id in requests])
        done = {part.page_id: part.stop for part in settled}
        counts = {RequestId(pk.removeprefix("MSG#")): 0 for pk, _ in markers}
        for state in self._walk(page_id for item in markers.values() for page_id in item["pages"]):
            if state.position is not None:
                start = max(state.position, done.get(state.page.page_id, 0))
                _count_open(state.page, start, counts)
        return counts

    def trace(self, request_id: RequestId) -> list[PageState] | None:
        """Return where the items of a request are and were; None if it is unknown."""
        marker = self._table.get(keys.marker(request_id))
        return None if marker is None else list(self._walk(marker["pages"]))

    def _walk(self, page_ids: Iterable[str]) -> Iterator[PageState]:
        """Yield these pages, then the pages that parts of them were moved to, and so on."""
        level = set(page_ids)
        while level:
            items = self._table.get_many([keys.page(PageId(name)) for name in level]).values()
            level = {child for item in items for child in item.get("movedTo", ())}
            found = [read_page(item) for item in items]
            pointers = self._table.get_many(
                [keys.pointer(page.group, page.page_id) for page in found]
            )
            for item, page in zip(items, found, strict=True):
                pointer = pointers.get(keys.pointer(page.group, page.page_id), {})
                attempts = item.get("attempts", set()) | pointer.get("attempts", set())
                yield PageState(page, pointer.get("position"), frozenset(attempts))


def _reach(page: Page, start: int, seen: set[ItemGuid], limit: int) -> int:
    """Add items to `seen` from a position on; return the position where the limit is reached."""
    position = 0
    for entry in page.entries:
        for guid in entry.item_guids:
            if position >= start:
                if guid not in seen and len(seen) >= limit:
                    return position
                seen.add(guid)
            position += 1
    return position


def _chunk(waiting: Sequence[Pending], limit: int) -> list[Pending]:
    chunk: list[Pending] = []
    items = 0
    for pending in waiting:
        if chunk and items >= limit:
            break
        chunk.append(pending)
        items += pending.size - pending.position
    return chunk


def _count_open(page: Page, position: int, counts: dict[RequestId, int]) -> None:
    for entry in page.part(position, page.size):
        if entry.request_id in counts:
            counts[entry.request_id] += len(entry.item_guids)
