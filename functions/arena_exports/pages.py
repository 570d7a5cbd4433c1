"""Lay requests out on pages, and pack pages into bytes.

Pure. A page holds what fits one ledger item (DynamoDB: 400 KB); a bundle of requests what fits one
transaction (100 writes, 4 MB).
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from arena_exports.model import Entry, ExportRequest, Group, ItemGuid, RequestId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_ITEMS_ON_A_PAGE = 12_000  # about 170 KB compressed; a GUID carries 13 bytes
MOST_ENTRIES_ON_A_PAGE = (
    4_000  # about 160 KB compressed; a request id and its GUID carry 35 to 40 bytes
)
MOST_WRITES_IN_A_BUNDLE = 100
MOST_ITEMS_IN_A_BUNDLE = 100_000
WRITES_FOR_A_PAGE = 2  # the page and its pending pointer


def bundles(requests: Iterable[ExportRequest]) -> Iterator[list[ExportRequest]]:
    """Split requests, in their order.

    So that the markers and pages of each bundle fit one transaction.
    """
    bundle: list[ExportRequest] = []
    for request in requests:
        if bundle and not _fits([*bundle, request]):
            yield bundle
            bundle = []
        bundle.append(request)
    if bundle:
        yield bundle


def _fits(bundle: Sequence[ExportRequest]) -> bool:
    items = sum(len(request.item_guids) for request in bundle)
    groups = {request.group for request in bundle}
    pages = len(groups) + items // MOST_ITEMS_ON_A_PAGE
    writes = len(bundle) + WRITES_FOR_A_PAGE * pages
    return writes <= MOST_WRITES_IN_A_BUNDLE and items <= MOST_ITEMS_IN_A_BUNDLE


def by_group(requests: Iterable[ExportRequest]) -> dict[Group, list[Entry]]:
    """Turn whole requests into entries, sorted by the group that they may share a run with."""
    groups: dict[Group, list[Entry]] = {}
    for request in requests:
        entry = Entry(
            request.request_id, request.correlation_id, request.item_guids, len(request.item_guids)
        )
        groups.setdefault(request.group, []).append(entry)
    return groups


def lay_out(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries page by page; an entry that does not fit is continued on the next page."""
    page: list[Entry] = []
    room = MOST_ITEMS_ON_A_PAGE
    for whole in entries:
        entry: Entry | None = whole
        while entry:
            if room == 0 or len(page) == MOST_ENTRIES_ON_A_PAGE:
                yield tuple(page)
                page, room = [], MOST_ITEMS_ON_A_PAGE
            head, entry = _cut(entry, room)
            page.append(head)
            room -= len(head.item_guids)
    if page:
        yield tuple(page)


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
