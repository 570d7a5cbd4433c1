"""The values that all parts share: groups, export requests, pages of them, selections."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ItemGuid = NewType("ItemGuid", str)
ExportGuid = NewType("ExportGuid", str)
RunGuid = NewType("RunGuid", str)
RequestId = NewType("RequestId", str)
PageId = NewType("PageId", str)
AttemptId = NewType("AttemptId", str)


class Lane(StrEnum):
    """The lanes of pending requests, which take turns in this order."""

    NORMAL = "normal"
    BULK = "bulk"
    SUSPECT = "suspect"  # sets whose run failed: tried once more, then halved (R8)


class Kind(StrEnum):
    """What a run exports: named items, or what the definition's own criteria match."""

    ITEMS = "items"
    DEFINITION = "definition"


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that may share one run: one lane, one export definition, one kind."""

    lane: Lane
    export_guid: ExportGuid
    kind: Kind


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One intake message; `item_guids` has no duplicates, and is empty for a definition run."""

    request_id: RequestId
    group: Group
    item_guids: tuple[ItemGuid, ...] = ()
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The part of one request that is on one page.

    `total` is the number of items of the whole request, on all its pages.
    """

    request_id: RequestId
    correlation_id: str | None
    item_guids: tuple[ItemGuid, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Page:
    """Requests that were recorded together; never changed."""

    page_id: PageId
    group: Group
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The number of items; positions on the page count them across the entries."""
        return sum(len(entry.item_guids) for entry in self.entries)

    def part(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the entries between two positions; an entry that spans one of them is cut."""
        offset = 0
        for entry in self.entries:
            end = offset + len(entry.item_guids)
            if not entry.item_guids or (offset < stop and end > start):
                items = entry.item_guids[max(start - offset, 0) : max(stop - offset, 0)]
                yield replace(entry, item_guids=items)
            offset = end


@dataclass(frozen=True, slots=True)
class PageSlice:
    """The items of a page from position `start` up to, not including, `stop`."""

    page_id: PageId
    start: int
    stop: int
    size: int

    @property
    def reaches_end(self) -> bool:
        """Whether no items of the page follow."""
        return self.stop >= self.size


@dataclass(frozen=True, slots=True)
class SetHistory:
    """Failure history of a suspect set.

    `failures` counts failed attempts of the whole set, `aborts` those that were ABORTED;
    `first_failed_at` is epoch seconds, 0 for never.
    """

    failures: int = 0
    aborts: int = 0
    first_failed_at: int = 0

    def is_like(self, other: SetHistory) -> bool:
        """Return whether two sets may share a run: both would be given up at the same time."""
        return (self.failures, self.aborts) == (other.failures, other.aborts)


@dataclass(frozen=True, slots=True)
class Selection:
    """What one run will carry: slices of pages, and the entries in them."""

    group: Group
    slices: tuple[PageSlice, ...]
    entries: tuple[Entry, ...]
    history: SetHistory = SetHistory()

    @property
    def item_guids(self) -> tuple[ItemGuid, ...]:
        """The distinct items, in the order in which they were recorded."""
        return tuple(dict.fromkeys(guid for entry in self.entries for guid in entry.item_guids))

    def without(self, rejected: frozenset[ItemGuid]) -> Selection:
        """Return the selection without rejected items, and without requests that have none left."""
        if not rejected:
            return self
        entries = []
        for entry in self.entries:
            kept = tuple(guid for guid in entry.item_guids if guid not in rejected)
            if kept or not entry.item_guids:
                entries.append(replace(entry, item_guids=kept))
        return replace(self, entries=tuple(entries))

    def only(self, wanted: frozenset[ItemGuid]) -> tuple[Entry, ...]:
        """Return the entries cut down to the items in `wanted`."""
        kept = [tuple(g for g in entry.item_guids if g in wanted) for entry in self.entries]
        both = zip(self.entries, kept, strict=True)
        return tuple(replace(entry, item_guids=guids) for entry, guids in both if guids)


@cache
def camel_case(name: str) -> str:
    """Return a snake_case name in camelCase, as JSON and the ledger spell it."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def digest(item_guids: Iterable[ItemGuid]) -> str:
    """Return a fingerprint of a set of GUIDs, which does not depend on their order."""
    return hashlib.sha256(",".join(sorted(item_guids)).encode()).hexdigest()


def halves(item_guids: Sequence[ItemGuid]) -> tuple[frozenset[ItemGuid], frozenset[ItemGuid]]:
    """Split distinct GUIDs into two sets whose sizes differ by one at most."""
    middle = (len(item_guids) + 1) // 2
    return frozenset(item_guids[:middle]), frozenset(item_guids[middle:])
