"""The ledger's items of requests and of the lease: how they are written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.lease import Lease, LeaseState
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    Group,
    Kind,
    Lane,
    Page,
    PageId,
    SetHistory,
)
from arena_exports.ledger import keys, pages
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import Item, Put, Write

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending pointer to a page: settled up to which position, of what size, recorded when."""

    group: Group
    page_id: PageId
    position: int
    size: int
    recorded_at: int
    history: SetHistory


@dataclass(frozen=True, slots=True)
class PageState:
    """A page, the position from which on it is pending (None: nowhere), and who took from it."""

    page: Page
    position: int | None
    attempts: frozenset[str]


def marker_item(request_id: str, page_ids: Sequence[str], now: float) -> Item:
    """Return the marker of a recorded message."""
    pk, sk = keys.marker(request_id)
    expiry = int(now) + keys.MARKER_LIFE_SECONDS
    return {
        "PK": pk,
        "SK": sk,
        "v": keys.VERSION,
        "pages": list(page_ids),
        "recordedAt": int(now),
        "expiresAt": expiry,
    }


def page_writes(page: Page, history: SetHistory, now: float) -> list[Write]:
    """Return the writes of a page and of its pending pointer."""
    group = page.group
    pk, sk = keys.page(page.page_id)
    body = {
        "PK": pk,
        "SK": sk,
        "v": keys.VERSION,
        "lane": group.lane.value,
        "exportGuid": group.export_guid,
        "kind": group.kind.value,
        "entries": pages.pack_entries(page.entries),
    }
    pk, sk = keys.pointer(group, page.page_id)
    pointer = {
        "PK": pk,
        "SK": sk,
        "v": keys.VERSION,
        "position": 0,
        "size": page.size,
        "recordedAt": int(now),
        "failures": history.failures,
        "aborts": history.aborts,
        "firstFailedAt": history.first_failed_at,
    }
    return [Put(body), Put(pointer)]


def read_pending(item: Item) -> Pending:
    """Return the pending pointer of an item."""
    lane, export_guid, kind, page_id = item["SK"].split("#", 3)
    group = Group(Lane(lane), ExportGuid(export_guid), Kind(kind))
    history = SetHistory(item["failures"], item["aborts"], item["firstFailedAt"])
    return Pending(
        group, PageId(page_id), item["position"], item["size"], item["recordedAt"], history
    )


def read_page(item: Item) -> Page:
    """Return the page of an item."""
    group = Group(Lane(item["lane"]), ExportGuid(item["exportGuid"]), Kind(item["kind"]))
    return Page(
        PageId(item["PK"].removeprefix("PAGE#")), group, pages.unpack_entries(item["entries"])
    )


def run_item(run_guid: str, attempt_id: AttemptId, now: float) -> Item:
    """Return the item that says which attempt a run belongs to."""
    pk, sk = keys.run(run_guid)
    expiry = int(now) + keys.MARKER_LIFE_SECONDS
    return {"PK": pk, "SK": sk, "v": keys.VERSION, "attemptId": attempt_id, "expiresAt": expiry}


def lease_item(lease: Lease) -> Item:
    """Return the lease's item."""
    return to_item(keys.SLOT, lease)


def read_lease(item: Item) -> Lease:
    """Return the lease of its item."""
    lane = Lane(item["lane"]) if item["lane"] else None
    return from_item(Lease, item, state=LeaseState(item["state"]), lane=lane)
