"""The ledger's items for requests: how they are written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.model import ExportGuid, Group, Kind, Lane, Page, PageId, SetHistory
from arena_exports.ledger import keys, pages
from arena_exports.ledger.codec import from_item, new_item, to_attributes
from arena_exports.ports import Item, Put, Write

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending pointer to a page of `size` items, settled up to `position`."""

    group: Group
    page_id: PageId
    position: int
    size: int
    recorded_at: int
    history: SetHistory


@dataclass(frozen=True, slots=True)
class PageState:
    """A page, the position from which it is pending (None: settled), and who took from it."""

    page: Page
    position: int | None
    attempts: frozenset[str]


def marker_item(request_id: str, page_ids: Sequence[str], now: float) -> Item:
    """Return the marker of a recorded message."""
    return new_item(
        keys.marker(request_id),
        pages=list(page_ids),
        recordedAt=int(now),
        expiresAt=int(now) + keys.LIFE_SECONDS,
    )


def page_writes(page: Page, history: SetHistory, now: float) -> list[Write]:
    """Return the writes of a page and its pending pointer."""
    group = page.group
    body = new_item(
        keys.page(page.page_id),
        lane=group.lane.value,
        exportGuid=group.export_guid,
        kind=group.kind.value,
        entries=pages.pack_entries(page.entries),
    )
    pointer = new_item(
        keys.pointer(group, page.page_id),
        position=0,
        size=page.size,
        recordedAt=int(now),
        **to_attributes(history),
    )
    return [Put(body), Put(pointer)]


def read_pending(item: Item) -> Pending:
    """Read the pending pointer in an item."""
    lane, export_guid, kind, page_id = item["SK"].split("#", 3)
    group = Group(Lane(lane), ExportGuid(export_guid), Kind(kind))
    history = from_item(SetHistory, item)
    return from_item(Pending, item, group=group, page_id=PageId(page_id), history=history)


def read_page(item: Item) -> Page:
    """Read the page in an item."""
    group = Group(Lane(item["lane"]), ExportGuid(item["exportGuid"]), Kind(item["kind"]))
    return Page(
        PageId(item["PK"].removeprefix("PAGE#")), group, pages.unpack_entries(item["entries"])
    )
