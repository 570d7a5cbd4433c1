"""Paginate requests, and pack pages into bytes.

A page fits one ledger item (DynamoDB: 400 KB); a bundle of requests fits one transaction (100
writes, 4 MB).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arena_exports.domain.model import Entry, ExportRequest, Group, ItemGuid, RequestId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# At worst, compressed: correlation ids do not compress, and GUIDs have 32 letters.
MAX_PAGE_BYTES = 380_000
ITEM_BYTES = 23  # usually 13
ENTRY_BYTES = 40  # a request id and two numbers, without its correlation id
# A correlation id of 128 characters, each as two JSON escapes, takes 1,538; a page is full when the
# next entry's head may not fit, and an entry that is continued has its head on both pages.
MIN_FILLED_BYTES = MAX_PAGE_BYTES - 4_000
MAX_BUNDLE_WRITES = 100
MAX_BUNDLE_ITEMS = 100_000
PAGE_WRITES = 2  # the page and its pending pointer


def transactions(requests: Iterable[ExportRequest]) -> Iterator[list[ExportRequest]]:
    """Split requests, in order, so that the markers and pages of each part fit one transaction."""
    bundle: list[ExportRequest] = []
    items, used, groups = 0, 0, set[Group]()
    for request in requests:
        items += len(request.item_guids)
        used += _entry_bytes(request)
        groups.add(request.group)
        if bundle and not _fits(len(bundle) + 1, items, used, len(groups)):
            yield bundle
            bundle = []
            items, used, groups = len(request.item_guids), _entry_bytes(request), {request.group}
        bundle.append(request)
    if bundle:
        yield bundle


def _fits(requests: int, items: int, used: int, groups: int) -> bool:
    pages = groups + used // MIN_FILLED_BYTES
    writes = requests + PAGE_WRITES * pages
    return writes <= MAX_BUNDLE_WRITES and items <= MAX_BUNDLE_ITEMS


def _entry_bytes(request: ExportRequest) -> int:
    return _head_bytes(request.correlation_id) + len(request.item_guids) * ITEM_BYTES


def by_group(requests: Iterable[ExportRequest]) -> dict[Group, list[Entry]]:
    """Return requests as entries, by group."""
    groups: dict[Group, list[Entry]] = {}
    for request in requests:
        entry = Entry(
            request.request_id, request.correlation_id, request.item_guids, len(request.item_guids)
        )
        groups.setdefault(request.group, []).append(entry)
    return groups


def paginate(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries page by page; an entry that does not fit continues on the next page."""
    page: list[Entry] = []
    room = MAX_PAGE_BYTES
    for whole in entries:
        entry: Entry | None = whole
        while entry:
            needed = _head_bytes(entry.correlation_id)
            if room < needed + ITEM_BYTES:
                yield tuple(page)
                page, room = [], MAX_PAGE_BYTES
            head, entry = _cut(entry, (room - needed) // ITEM_BYTES)
            page.append(head)
            room -= needed + len(head.item_guids) * ITEM_BYTES
    if page:
        yield tuple(page)


def _head_bytes(correlation_id: str | None) -> int:
    """Return how many bytes an entry takes at worst, without its items."""
    return ENTRY_BYTES + len(json.dumps(correlation_id))


def _cut(entry: Entry, room: int) -> tuple[Entry, Entry | None]:
    if len(entry.item_guids) <= room:
        return entry, None
    head, tail = entry.item_guids[:room], entry.item_guids[room:]
    return replace(entry, item_guids=head), replace(entry, item_guids=tail)


def pack(value: Any) -> bytes:  # noqa: ANN401 - JSON is anything
    """Return a JSON value as compressed bytes."""
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)


def unpack(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the JSON value of packed bytes."""
    return json.loads(zlib.decompress(data))


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Return entries as compressed bytes, column by column, which compresses best."""
    rows = list(entries)
    return pack(
        [
            [entry.request_id for entry in rows],
            [entry.correlation_id for entry in rows],
            [entry.total for entry in rows],
            ["".join(f"{guid} " for guid in entry.item_guids) for entry in rows],
        ]
    )


def unpack_entries(data: bytes) -> tuple[Entry, ...]:
    """Return the entries of packed bytes."""
    columns = unpack(data)
    return tuple(
        Entry(RequestId(request_id), correlation_id, tuple(map(ItemGuid, guids.split())), total)
        for request_id, correlation_id, total, guids in zip(*columns, strict=True)
    )
