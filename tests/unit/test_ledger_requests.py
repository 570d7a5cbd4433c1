"""Which requests the ledger selects, and how it settles them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.definitions import Definition
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    ExportRequest,
    Group,
    Kind,
    Lane,
    Page,
    PageId,
    PageSlice,
    RequestId,
    SetHistory,
)
from arena_exports.ledger import keys
from arena_exports.ledger.items import page_writes
from arena_exports.ledger.lease import fence
from tests.support.ledger_desk import EXPORT, GROUP, NOW, RESULT, SUSPECTS, Desk, attempts_of
from tests.support.world import item_guid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from arena_exports.ports import Key


def test_select__stops_at_the_limit_and_continues_from_there() -> None:
    """Selection continues across pages and runs, oldest first; duplicates count once."""
    desk = Desk()
    for n in range(0, 9, 3):
        desk.record(f"r{n}", item_guid(n), item_guid(n + 1), item_guid(n + 2))
        desk.clock.sleep(1)
    desk.record("again", item_guid(0), item_guid(3), item_guid(9))
    selection = desk.select(limit=4)
    assert selection.item_guids == tuple(item_guid(n) for n in range(4))
    assert [(part.start, part.stop, part.size) for part in selection.slices] == [
        *((0, 3, 3), (0, 1, 3))
    ]
    for part in selection.slices:
        desk.ledger.requests.settle_slice(GROUP, part, AttemptId("first"))
    assert [(p["position"], p.get("attempts")) for p in desk.pointers().values()] == [
        *((1, {"first"}), (0, None), (0, None))
    ]
    rest = desk.select(limit=7)
    assert rest.item_guids == tuple(item_guid(n) for n in [4, 5, 6, 7, 8, 0, 3])
    assert [(part.start, part.stop) for part in rest.slices] == [(1, 3), (0, 3), (0, 2)]
    for part in rest.slices:
        desk.ledger.requests.settle_slice(GROUP, part, AttemptId("second"))
    assert attempts_of(desk.ledger, "r3") == ["first", "second"]
    assert attempts_of(desk.ledger, "r0") == ["first"]


def test_settle__is_harmless_when_late_or_repeated() -> None:
    """A late copy moves no pointer back and restores none."""
    desk = Desk()
    desk.record("r1", *[item_guid(n) for n in range(9)])
    page_id = desk.select().slices[0].page_id
    settle = desk.ledger.requests.settle_slice
    settle(GROUP, PageSlice(page_id, 0, 5, 9), AttemptId("b"))
    settle(GROUP, PageSlice(page_id, 0, 3, 9), AttemptId("a"))
    ((_, pointer),) = desk.pointers().items()
    assert (pointer["position"], pointer["attempts"]) == (5, {"b"})
    settle(GROUP, PageSlice(page_id, 5, 9, 9), AttemptId("c"))
    assert desk.at(keys.page(page_id))["attempts"] == {"b", "c"}
    settle(GROUP, PageSlice(page_id, 0, 5, 9), AttemptId("b"))
    settle(GROUP, PageSlice(page_id, 5, 9, 9), AttemptId("c"))
    assert not desk.pointers()
    assert desk.at(keys.page(page_id))["attempts"] == {"b", "c"}


def test_unsettled__returns_the_slices_that_are_pending() -> None:
    """A slice is settled if its pointer is gone or further on."""
    desk = Desk()
    desk.record("r1", *[item_guid(n) for n in range(9)])
    desk.clock.sleep(1)
    desk.record("r2", item_guid(10))
    one, two = desk.select().slices
    first = PageSlice(one.page_id, 0, 4, 9)
    assert desk.ledger.requests.unsettled(GROUP, [first, two]) == [first, two]
    desk.ledger.requests.settle_slice(GROUP, first, AttemptId("a"))
    rest = PageSlice(one.page_id, 4, 9, 9)
    assert desk.ledger.requests.unsettled(GROUP, [first, rest, two]) == [rest, two]
    desk.ledger.requests.settle_slice(GROUP, two, AttemptId("a"))
    assert desk.ledger.requests.unsettled(GROUP, [rest, two]) == [rest]


def test_sets__are_found_from_the_request() -> None:
    """A request's open items and attempts are found, even those in suspect sets."""
    desk = Desk()
    attempt = desk.start(*[item_guid(n) for n in range(10)], limit=8)
    entries = desk.ledger.selection(attempt).entries
    history = SetHistory(2, 1, NOW)
    (moved,) = desk.ledger.requests.write_suspect_set(
        GROUP, "set", entries, history, fence(attempt)
    )
    assert moved == "set#001"
    counts = desk.ledger.requests.open_counts
    requests = [RequestId("r1"), RequestId("unknown")]
    ended = desk.ledger.attempts.ended(attempt, RESULT)
    desk.ledger.settle(ended, Definition(EXPORT), [moved])
    (part,) = attempt.slices
    assert desk.at(keys.page(part.page_id))["movedTo"] == {"set#001"}
    assert "expiresAt" not in desk.at(keys.page(part.page_id))
    assert counts(requests, []) == {"r1": 10}
    assert counts(requests, [PageSlice(PageId(moved), 0, 8, 8)]) == {"r1": 2}
    assert counts(requests, [PageSlice(part.page_id, 8, 10, 10)]) == {"r1": 8}
    head = desk.ledger.requests.oldest_pages()[1]
    assert (head.group, head.history) == (SUSPECTS, history)
    suspects = desk.ledger.requests.select(head, 10**9)
    assert suspects.history == history
    desk.ledger.requests.settle_slice(SUSPECTS, suspects.slices[0], AttemptId("later"))
    assert counts(requests, []) == {"r1": 2}
    assert attempts_of(desk.ledger, "r1") == sorted([attempt.attempt_id, "later"])


@pytest.mark.parametrize(
    ("other", "selected"),
    [
        (SetHistory(1, 2, NOW), SetHistory(1, 2, NOW + 5)),
        (SetHistory(1, 2, NOW + 9), SetHistory(1, 2, NOW + 9)),
        (SetHistory(1, 1, NOW), None),
        (SetHistory(2, 2, NOW), None),
    ],
)
def test_select__combines_sets_with_the_same_history(
    other: SetHistory, selected: SetHistory | None
) -> None:
    """They share a run with the latest first failure, so none is blamed for another."""
    desk = Desk()
    attempt = desk.start()
    put, entries = desk.ledger.requests.write_suspect_set, desk.select().entries
    put(GROUP, "set", entries, SetHistory(1, 2, NOW + 5), fence(attempt))
    second = Page(PageId("set#002"), SUSPECTS, entries)
    desk.table.write(*page_writes(second, other, desk.clock.now()))
    desk.ledger.settle(desk.ledger.attempts.ended(attempt, RESULT), Definition(EXPORT))
    assert desk.select().history == (selected or SetHistory(1, 2, NOW + 5))
    assert len(desk.select().entries) == (2 if selected else 1)


def test_select__reads_pages_in_chunks() -> None:
    """A small limit does not read a large backlog."""
    desk = Desk()
    for n in range(300):
        desk.record(f"r{n:03}", *[item_guid(n * 10 + k) for k in range(10)])
        desk.clock.sleep(1)
    read: list[int] = []

    def counting(get_many: Callable[[list[Key]], object], wanted: Iterable[Key]) -> object:
        keys = list(wanted)
        read.append(len(keys))
        return get_many(keys)

    desk.table.intercept("get_many", counting)
    assert len(desk.select(limit=48).item_guids) == 48
    assert read == [5]
    read.clear()
    assert len(desk.select(limit=1_205).item_guids) == 1_205
    assert read == [100, 100]
    read.clear()
    assert desk.select(limit=0).item_guids == ()


def test_heads__reads_pointers_in_chunks() -> None:
    """A group of many pages is skipped, and groups of few are read together."""
    desk = Desk()
    for n in range(30):
        desk.record(f"n{n}", item_guid(n))
        desk.record(f"b{n}", item_guid(n), group=Group(Lane.BULK, EXPORT, Kind.ITEMS))
        desk.clock.sleep(1)
    limits: list[int | None] = []

    def counting(query: Callable[..., object], *key: str, limit: int | None = None) -> object:
        limits.append(limit)
        return query(*key, limit=limit)

    desk.table.intercept("query", counting)
    oldest_pages = desk.ledger.requests.oldest_pages()
    assert [head.group.lane for head in oldest_pages] == [Lane.BULK, Lane.NORMAL]
    assert limits == [20, 20, 20]
    limits.clear()
    for n in range(50):
        group = Group(Lane.SUSPECT, ExportGuid(f"EXPORT{n:014}"), Kind.ITEMS)
        desk.record(f"s{n}", item_guid(n), group=group)
    assert len(desk.ledger.requests.oldest_pages()) == 52
    assert len(limits) <= 6


def test_record__skips_known_requests() -> None:
    """Only the requests that were not recorded before are recorded."""
    desk = Desk()
    requests = [ExportRequest(RequestId(f"r{n}"), GROUP, (item_guid(n),)) for n in range(4)]
    assert desk.ledger.requests.record(requests[:2]) == requests[:2]
    assert desk.ledger.requests.record(requests) == requests[2:]
    assert desk.ledger.requests.record(requests) == []
    assert len(desk.pointers()) == 2
