"""Lay requests out on pages, and pack pages into bytes.

A page holds what fits one ledger item (DynamoDB: 400 KB); a bundle of requests what fits one
transaction (100 writes, 4 MB).
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from arena_exports.domain.model import Entry, ExportRequest, Group, ItemGuid, RequestId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What a page may take at the worst, compressed: no correlation id packs, and GUIDs have 32 letters.
MAX_BYTES_ON_A_PAGE = 380_000
BYTES_OF_AN_ITEM = 23  # usually 13
BYTES_OF_AN_ENTRY = 40  # a request id and two numbers, without its correlation id
# A correlation id of 128 characters, each as two JSON escapes, takes 1,538; a page is full when the
# next entry's head may not fit, and an entry that is continued has its head on both pages.
FILLED_BYTES_AT_LEAST = MAX_BYTES_ON_A_PAGE - 4_000
MAX_WRITES_IN_A_BUNDLE = 100
MAX_ITEMS_IN_A_BUNDLE = 100_000
WRITES_FOR_A_PAGE = 2  # the page and its pending pointer


def transactions(requests: Iterable[ExportRequest]) -> Iterator[list[ExportRequest]]:
    """Split requests, in their order: the markers and pages of each bundle fit one transaction."""
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
    pages = groups + used // FILLED_BYTES_AT_LEAST
    writes = requests + WRITES_FOR_A_PAGE * pages
    return writes <= MAX_WRITES_IN_A_BUNDLE and items <= MAX_ITEMS_IN_A_BUNDLE


def _entry_bytes(request: ExportRequest) -> int:
    return _head_bytes(request.correlation_id) + len(request.item_guids) * BYTES_OF_AN_ITEM


def by_group(requests: Iterable[ExportRequest]) -> dict[Group, list[Entry]]:
    """Return whole requests as entries, by the group that they may share a run with."""
    groups: dict[Group, list[Entry]] = {}
    for request in requests:
        entry = Entry(
            request.request_id, request.correlation_id, request.item_guids, len(request.item_guids)
        )
        groups.setdefault(request.group, []).append(entry)
    return groups


def paginate(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries page by page; an entry that does not fit is continued on the next page."""
    page: list[Entry] = []
    room = MAX_BYTES_ON_A_PAGE
    for whole in entries:
        entry: Entry | None = whole
        while entry:
            needed = _head_bytes(entry.correlation_id)
            if room < needed + BYTES_OF_AN_ITEM:
                yield tuple(page)
                page, room = [], MAX_BYTES_ON_A_PAGE
            head, entry = _cut(entry, (room - needed) // BYTES_OF_AN_ITEM)
            page.append(head)
            room -= needed + len(head.item_guids) * BYTES_OF_AN_ITEM
    if page:
        yield tuple(page)


def _head_bytes(correlation_id: str | None) -> int:
    """Return what an entry takes at the worst, without its items."""
    return BYTES_OF_AN_ENTRY + len(json.dumps(correlation_id))


def _cut(entry: Entry, room: int) -> tuple[Entry, Entry | None]:
    if len(entry.item_guids) <= room:
        return entry, None
    head, tail = entry.item_guids[:room], entry.item_guids[room:]
    return (
        Entry(entry.request_id, entry.correlation_id, head, entry.total),
        Entry(entry.request_id, entry.correlation_id, tail, entry.total),
    )


def pack(value: Any) -> bytes:  # noqa: ANN401 - JSON is anything
    """Return a JSON value as compressed bytes."""
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)


def unpack(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the JSON value that `pack` took."""
    return json.loads(zlib.decompress(data))


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Return entries as compressed bytes, column by column, which packs best."""
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
    """Return the entries that `pack_entries` took."""
    columns = unpack(data)
    return tuple(
        Entry(RequestId(request_id), correlation_id, tuple(map(ItemGuid, guids.split())), total)
        for request_id, correlation_id, total, guids in zip(*columns, strict=True)
    )
