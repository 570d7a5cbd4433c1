"""The ledger's items, field by field, and the conditions that every write of them stands under.

Items outlive releases: a change here needs a new `v`, and code that still reads the old one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports import pages
from arena_exports.budget import Budget
from arena_exports.errors import ConditionFailedError
from arena_exports.ledger import Ledger, keys, open_ledger
from arena_exports.ledger.attempts import (
    Attempt,
    AttemptState,
    Outcome,
    Result,
    attempt_item,
    read_attempt,
)
from arena_exports.ledger.definitions import Definition, definition_put
from arena_exports.ledger.items import Lease, SlotState, page_writes, read_lease, slot_item
from arena_exports.ledger.standing import SessionState
from arena_exports.model import (
    AttemptId,
    Entry,
    ExportGuid,
    ExportRequest,
    Group,
    ItemGuid,
    Kind,
    Lane,
    Page,
    PageId,
    PageSlice,
    RequestId,
    RunGuid,
    Selection,
    SetHistory,
)
from arena_exports.ports import Put
from arena_exports.runs import Run, RunFile, RunStatus
from tests.support.fakes import FakeClock, InMemoryTable
from tests.support.world import item_guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Item, Key

EXPORT = ExportGuid("EXPORT0000000000000A")
GROUP = Group(Lane.NORMAL, EXPORT, Kind.ITEMS)
SUSPECTS = Group(Lane.SUSPECT, EXPORT, Kind.ITEMS)
NOW = 1_700_000_000
MONTH = "RUN#202311"
IN_60_DAYS, IN_75_DAYS = NOW + 60 * 86_400, NOW + 75 * 86_400
RESULT = Result(
    Outcome.COMPLETE, "COMPLETE", 3, "2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z", "code", "text"
)


@dataclass
class Desk:
    """A ledger on a table in memory, and shorthands for the first steps of a run."""

    table: InMemoryTable = field(default_factory=InMemoryTable)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = open_ledger(self.table, self.clock)

    def record(self, name: str, *items: ItemGuid, group: Group = GROUP) -> None:
        """Record one request."""
        self.ledger.requests.record([ExportRequest(RequestId(name), group, items, f"ECO-{name}")])

    def select(self, limit: int = 100) -> Selection:
        """Select for a run from the oldest group."""
        return self.ledger.requests.select(self.ledger.requests.heads()[0], limit)

    def begin(self, *items: ItemGuid, limit: int = 100) -> tuple[Lease, Attempt]:
        """Record a request, take the slot, and write the attempt down."""
        self.record("r1", *(items or [item_guid(n) for n in range(3)]))
        lease = self.ledger.lease.take(self.ledger.lease.read())
        return self.ledger.lease.begin(lease, self.select(limit))

    def start(self, *items: ItemGuid, limit: int = 100) -> Attempt:
        """Do all that, and have Arena answer with a run."""
        return self.ledger.lease.started(*self.begin(*items, limit=limit), run())

    def at(self, key: Key) -> Item:
        """Return an item."""
        item = self.table.get(key)
        assert item is not None
        return item

    def slot(self) -> Item:
        """Return the slot's item without its token, which is random."""
        return {name: value for name, value in self.at(keys.SLOT).items() if name != "token"}

    def pointers(self) -> dict[str, Item]:
        """Return the pending pointers."""
        return self.table.items.get("PENDING", {})


def run(guid: str = "RUN0000000000000000A", creator: str | None = "USER") -> Run:
    """Return a run as Arena tells it."""
    return Run(RunGuid(guid), 7, RunStatus.CREATED, "CREATED", None, None, creator, None, None, ())


def slot(state: str, **fields: object) -> dict[str, object]:
    """Return the slot's item as it should be, without its token."""
    return {
        "PK": "SLOT",
        "SK": "-",
        "v": 1,
        "state": state,
        "attemptId": None,
        "heldUntil": 0,
        "notBefore": 0,
        "lane": None,
        "busy": 0,
        "failedLooks": 0,
        "creatorGuid": "",
        **fields,
    }


def test_form__of_a_request() -> None:
    """Marker, page and pointer of a message."""
    desk = Desk()
    desk.record("r1", item_guid(1), item_guid(2))
    ((name, pointer),) = desk.pointers().items()
    page_id = name.removeprefix(f"normal#{EXPORT}#items#")
    assert page_id.startswith(f"{NOW * 1000:012x}")
    assert len(page_id) == 24
    assert desk.at(("MSG#r1", "-")) == {
        "PK": "MSG#r1",
        "SK": "-",
        "v": 1,
        "pages": [page_id],
        "recordedAt": NOW,
        "expiresAt": IN_75_DAYS,
    }
    page = desk.at((f"PAGE#{page_id}", "-"))
    entries = pages.unpack_entries(page.pop("entries"))
    assert entries == (Entry(RequestId("r1"), "ECO-r1", (item_guid(1), item_guid(2)), 2),)
    assert page == {
        "PK": f"PAGE#{page_id}",
        "SK": "-",
        "v": 1,
        "lane": "normal",
        "exportGuid": EXPORT,
        "kind": "items",
    }
    assert pointer == {
        "PK": "PENDING",
        "SK": name,
        "v": 1,
        "position": 0,
        "size": 2,
        "recordedAt": NOW,
        "failures": 0,
        "aborts": 0,
        "firstFailedAt": 0,
    }
    assert desk.ledger.requests.heads()[0].recorded_at == NOW


def test_form__of_slot_and_attempt_from_take_to_settled() -> None:
    """What each step of a run writes."""
    desk = Desk()
    lease, attempt = desk.begin()
    attempt_key = (MONTH, attempt.attempt_id)
    holding = {"attemptId": attempt.attempt_id, "lane": "normal"}
    assert desk.slot() == slot("submitting", heldUntil=NOW + 180, **holding)
    written = desk.at(attempt_key)
    ((page_id, *positions),) = pages.unpack(written.pop("slices"))
    assert [f"PAGE#{page_id}", *positions] == [
        next(pk for pk in desk.table.items if pk.startswith("PAGE#")),
        *(0, 3, 3),
    ]
    assert pages.unpack(written.pop("rejected")) == []
    assert written == {
        "PK": MONTH,
        "SK": attempt.attempt_id,
        "v": 1,
        "lane": "normal",
        "exportGuid": EXPORT,
        "kind": "items",
        "history": {"failures": 0, "aborts": 0, "first_failed_at": 0},
        "itemCount": 3,
        "state": "sending",
        "sentAt": NOW,
        "firstSentAt": NOW,
        "refusals": 0,
        "looks": 0,
        "runGuid": None,
        "runNumber": None,
        "startedAt": 0,
        "watch": 1,
        "result": None,
    }
    desk.clock.sleep(10)
    running = desk.ledger.lease.started(lease, attempt, run())
    started = desk.at(attempt_key)
    assert {name for name in started if started[name] != attempt_item(attempt)[name]} == {
        *("state", "runGuid", "runNumber", "startedAt")
    }
    assert [started[name] for name in ("state", "runGuid", "runNumber", "startedAt")] == [
        *("running", "RUN0000000000000000A", 7, NOW + 10)
    ]
    assert read_attempt(started) == running
    assert desk.slot() == slot("running", creatorGuid="USER", **holding)
    assert desk.at(("RUNGUID#RUN0000000000000000A", "-")) == {
        "PK": "RUNGUID#RUN0000000000000000A",
        "SK": "-",
        "v": 1,
        "attemptId": attempt.attempt_id,
        "expiresAt": IN_75_DAYS + 10,
    }
    known = desk.ledger.lease.known_runs(["RUN0000000000000000A", "RUN0000000000000000B"])
    assert known == {"RUN0000000000000000A"}
    ended = desk.ledger.lease.ended(running, RESULT, [RunFile("F1", "one"), RunFile("F2", None)])
    assert desk.at(attempt_key) == {**started, "state": "ended", "result": asdict(RESULT)}
    files = desk.at((MONTH, f"{attempt.attempt_id}#FILES#0001"))
    assert pages.unpack(files.pop("files")) == [["F1", "one"], ["F2", None]]
    assert files == {
        "PK": MONTH,
        "SK": f"{attempt.attempt_id}#FILES#0001",
        "v": 1,
        "expiresAt": IN_75_DAYS + 10,
    }
    desk.ledger.settle(ended, Definition(EXPORT, limit=9))
    settled = desk.at(attempt_key)
    assert (settled["state"], settled["expiresAt"]) == ("settled", IN_60_DAYS + 10)
    assert desk.slot() == slot("idle", creatorGuid="USER", lane="normal")
    assert desk.ledger.definitions.read(EXPORT).limit == 9
    assert not desk.pointers()
    page = desk.at((f"PAGE#{page_id}", "-"))
    assert (page["attempts"], page["expiresAt"]) == ({attempt.attempt_id}, IN_60_DAYS + 10)
    assert "movedTo" not in page


def test_form__of_many_files() -> None:
    """Files are kept 250 to an item, and read in their order."""
    desk = Desk()
    attempt = desk.start()
    files = [RunFile(f"F{n:05}", f"title {n}") for n in range(501)]
    desk.ledger.lease.ended(attempt, RESULT, files)
    assert desk.ledger.lease.files(attempt.attempt_id) == files
    names = [sk for sk in desk.table.items[MONTH] if "FILES" in sk]
    assert sorted(names) == [f"{attempt.attempt_id}#FILES#000{n}" for n in (1, 2, 3)]


def test_form__of_an_attempt_that_is_replaced() -> None:
    """The successor has the same contents, is sent now, and still knows of the first POST."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.ledger.lease.postpone(lease, attempt, not_before=NOW + 90.5, looks=1, failed_looks=2)
    assert desk.slot()["heldUntil"] == NOW + 91
    assert desk.slot()["failedLooks"] == 2
    assert desk.at((MONTH, attempt.attempt_id))["looks"] == 1
    desk.clock.sleep(200)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    attached, again = desk.ledger.lease.begin_again(
        lease, desk.ledger.lease.attempt(attempt.attempt_id)
    )
    assert (again.state, again.looks) == (AttemptState.SENDING, 0)
    assert (again.sent_at, again.first_sent_at) == (NOW + 200, NOW)
    assert again.follows_unknown
    assert again.slices == attempt.slices
    assert desk.ledger.lease.attempt(again.attempt_id) == again
    old = desk.at((MONTH, attempt.attempt_id))
    assert (old["state"], old["expiresAt"]) == ("replaced", IN_60_DAYS + 200)
    assert desk.ledger.lease.read() == attached
    assert desk.slot() == slot(
        "submitting", attemptId=again.attempt_id, lane="normal", heldUntil=NOW + 380
    )


def test_form__of_refused_items() -> None:
    """What Arena named is out, and the attempt counts as sent anew."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(5)
    less = desk.ledger.lease.reject_items(lease, attempt, frozenset({item_guid(1)}))
    assert desk.ledger.lease.attempt(attempt.attempt_id) == less
    assert (less.sent_at, less.first_sent_at) == (NOW + 5, NOW + 5)
    assert less.rejected == {item_guid(1)}
    assert desk.ledger.selection(less).item_guids == (item_guid(0), item_guid(2))
    assert desk.ledger.selection(less).history == attempt.history


def test_form__of_an_abandoned_attempt() -> None:
    """The slot is idle until the time that was named; the requests pend as before."""
    desk = Desk()
    lease, attempt = desk.begin()
    definition = Definition(EXPORT, refusals=1, not_before=NOW + 60)
    desk.ledger.lease.abandon(lease, attempt, not_before=NOW + 22.5, busy=3, definition=definition)
    assert desk.slot() == slot(
        "idle", notBefore=NOW + 23, busy=3, lane="normal", heldUntil=NOW + 180
    )
    void = desk.at((MONTH, attempt.attempt_id))
    assert (void["state"], void["expiresAt"]) == ("void", IN_60_DAYS)
    assert desk.ledger.definitions.read(EXPORT) == definition
    assert desk.select().item_guids == tuple(item_guid(n) for n in range(3))


def test_form__of_a_slot_that_is_released() -> None:
    """Idle again, and its lane and user as before."""
    desk = Desk()
    attempt = desk.start()
    ended = desk.ledger.lease.ended(attempt, RESULT)
    desk.ledger.settle(ended, Definition(EXPORT))
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.release(lease)
    assert desk.slot() == slot("idle", creatorGuid="USER", lane="normal", heldUntil=NOW + 180)
    desk.ledger.lease.release(lease)  # a second time: lost, and no error
    taken = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.release(lease)
    assert desk.ledger.lease.read() == taken


FULL_LEASE = Lease(SlotState.RUNNING, "token", AttemptId("a"), 1, 2, Lane.BULK, 3, 4, "USER")
FULL_ATTEMPT = Attempt(
    attempt_id=AttemptId(f"{NOW * 1000:012x}0123456789ab"),
    group=SUSPECTS,
    slices=(PageSlice(PageId("p"), 1, 2, 3),),
    history=SetHistory(1, 2, 3),
    item_count=4,
    state=AttemptState.ENDED,
    sent_at=5,
    first_sent_at=6,
    refusals=7,
    looks=8,
    rejected=frozenset({item_guid(1)}),
    run_guid=RunGuid("RUN"),
    run_number=9,
    started_at=10,
    watch=11,
    result=RESULT,
)


@pytest.mark.parametrize("lease", [Lease(), FULL_LEASE])
def test_form__of_the_slot_is_read_as_it_was_written(lease: Lease) -> None:
    """Every field, set or not."""
    assert read_lease(slot_item(lease)) == lease


def test_form__of_an_attempt_is_read_as_it_was_written() -> None:
    """Every field."""
    assert read_attempt(attempt_item(FULL_ATTEMPT)) == FULL_ATTEMPT


def test_form__of_a_definition() -> None:
    """Every field."""
    known = Definition(EXPORT, 1, 2, 3, 4, 5, 6, 7, {"3": [8, 9]})
    desk = Desk()
    desk.table.write(definition_put(known))
    assert desk.ledger.definitions.read(EXPORT) == known
    assert desk.at((f"DEF#{EXPORT}", "-")) == {
        "PK": f"DEF#{EXPORT}",
        "SK": "-",
        "v": 1,
        "exportGuid": EXPORT,
        "failures": 1,
        "refusals": 2,
        "lastSuccessAt": 3,
        "notBefore": 4,
        "suspectsNotBefore": 5,
        "servedAt": 6,
        "limit": 7,
        "durations": {"3": [8, 9]},
    }


def test_form__of_the_budget() -> None:
    """Every field; a later answer is kept, an earlier one is not."""
    desk = Desk()
    record = desk.ledger.budget
    assert record.read() == Budget()
    record.write(Budget(10, 20, 30, 40))
    assert desk.at(keys.BUDGET)["v"] == 1
    assert record.read() == Budget(10, 20, 30, 40)
    record.write(Budget(9, 20, 30, 40))
    assert record.read().remaining == 9
    record.write(Budget(8, 20, 30, 39))
    assert record.read() == Budget(9, 20, 30, 40)


def test_form__of_the_session() -> None:
    """Every field; whoever read an older revision does not write."""
    desk = Desk()
    record = desk.ledger.session
    assert record.read() == SessionState()
    state = SessionState("v", "l", 1, (2, 3), "c", "4001", 4)
    written = record.write(state)
    assert written.revision == 1
    assert desk.at(keys.SESSION)["v"] == 1
    assert record.read() == written
    assert record.write(written).revision == 2
    for stale in (state, written):
        with pytest.raises(ConditionFailedError):
            record.write(stale)
    assert record.read().revision == 2


def steps(desk: Desk, lease: Lease, attempt: Attempt) -> dict[str, Callable[[], Any]]:
    """Return every write that follows from holding the slot."""
    book = desk.ledger.lease
    return {
        "take": lambda: book.take(lease),
        "begin": lambda: book.begin(lease, desk.select()),
        "begin again": lambda: book.begin_again(lease, attempt),
        "reject items": lambda: book.reject_items(lease, attempt, frozenset({item_guid(1)})),
        "started": lambda: book.started(lease, attempt, run("RUN0000000000000000C")),
        "postpone": lambda: book.postpone(lease, attempt, not_before=1, looks=1, failed_looks=1),
        "abandon": lambda: book.abandon(lease, attempt, definition=Definition(EXPORT, 5)),
        "ended": lambda: book.ended(attempt, RESULT),
        "settled": lambda: book.settled(attempt, Definition(EXPORT, 5)),
        "put set": lambda: desk.ledger.requests.put_set(
            GROUP, "set", desk.select().entries, SetHistory(), book.fence_of(attempt)
        ),
    }


@pytest.mark.parametrize("name", list(steps(Desk(), Lease(), FULL_ATTEMPT)))
def test_fence__against_a_holder_that_was_thought_dead(name: str) -> None:
    """Whoever lost the slot, and the attempt in it, writes nothing at all."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(200)
    newer = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.begin_again(newer, attempt)
    before = repr(desk.table.items)
    with pytest.raises(ConditionFailedError):
        steps(desk, lease, attempt)[name]()
    assert repr(desk.table.items) == before


def test_fence__against_two_that_take_a_new_slot() -> None:
    """Of two that saw no slot at all, one gets it."""
    desk = Desk()
    desk.ledger.lease.take(Lease())
    with pytest.raises(ConditionFailedError):
        desk.ledger.lease.take(Lease())


def test_fence__against_a_second_end_and_a_second_watch() -> None:
    """An attempt ends once, and of two that watch it again one does."""
    desk = Desk()
    attempt = desk.start()
    assert desk.ledger.lease.watch_again(attempt).watch == 2
    with pytest.raises(ConditionFailedError):
        desk.ledger.lease.watch_again(attempt)
    again = desk.ledger.lease.attempt(attempt.attempt_id)
    assert again.watch == 2
    ended = desk.ledger.lease.ended(again, RESULT)
    with pytest.raises(ConditionFailedError):
        desk.ledger.lease.ended(again, RESULT)
    with pytest.raises(ConditionFailedError):
        desk.ledger.lease.watch_again(again)
    assert desk.ledger.lease.attempt(attempt.attempt_id) == ended


@pytest.mark.parametrize("name", ["begin", "begin again"])
def test_fence__against_an_attempt_id_that_is_in_use(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt is never overwritten by another of the same id."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(1)
    monkeypatch.setattr(desk.clock, "new_token", lambda: "f" * 32)
    pk, sk = keys.attempt(AttemptId(keys.new_id(NOW + 1, "f" * 32)))
    desk.table.write(Put({"PK": pk, "SK": sk}))
    with pytest.raises(ConditionFailedError):
        steps(desk, lease, attempt)[name]()


def test_started__keeps_the_user_that_is_known_already() -> None:
    """A run that names no creator does not make us forget who we are; a named one is learned."""
    desk = Desk()
    desk.ledger.settle(desk.ledger.lease.ended(desk.start(), RESULT), Definition(EXPORT))
    desk.record("r2", item_guid(5))
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    lease, attempt = desk.ledger.lease.begin(lease, desk.select())
    desk.ledger.lease.started(lease, attempt, run("RUN0000000000000000B", creator=None))
    assert desk.ledger.lease.read().creator_guid == "USER"


def test_started__forgets_what_went_before() -> None:
    """Busy answers, failed looks and times end with the run's start."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.ledger.lease.abandon(lease, attempt, not_before=NOW + 5, busy=3)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    lease, attempt = desk.ledger.lease.begin(lease, desk.select())
    assert (lease.busy, lease.not_before) == (3, NOW + 5)
    desk.ledger.lease.postpone(lease, attempt, not_before=NOW, looks=0, failed_looks=4)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.started(lease, attempt, run())
    read = desk.ledger.lease.read()
    assert (read.busy, read.not_before, read.failed_looks, read.expires_at) == (0, 0, 0, 0)


# ---- requests: what is selected, and what is settled ---------------------------------------------


def test_select__cuts_at_the_limit_and_goes_on_from_there() -> None:
    """Over pages and runs, oldest first; doubles count once."""
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
    assert desk.ledger.requests.attempts_of(RequestId("r3")) == ["first", "second"]
    assert desk.ledger.requests.attempts_of(RequestId("r0")) == ["first"]


def test_settle__late_and_twice() -> None:
    """A copy that comes late moves no pointer back, and brings none back to life."""
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


def test_unsettled__tells_which_slices_still_pend() -> None:
    """By the pointer: gone or further on means settled."""
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


def test_sets__are_found_from_the_request_on() -> None:
    """Open items and attempts of a request, also of what was moved to suspect sets."""
    desk = Desk()
    attempt = desk.start(*[item_guid(n) for n in range(10)], limit=8)
    entries = desk.ledger.selection(attempt).entries
    fence = desk.ledger.lease.fence_of(attempt)
    history = SetHistory(2, 1, NOW)
    (moved,) = desk.ledger.requests.put_set(GROUP, "set", entries, history, fence)
    assert moved == "set#001"
    counts = desk.ledger.requests.open_counts
    requests = [RequestId("r1"), RequestId("unknown")]
    ended = desk.ledger.lease.ended(attempt, RESULT)
    desk.ledger.settle(ended, Definition(EXPORT), [moved])
    (part,) = attempt.slices
    assert desk.at(keys.page(part.page_id))["movedTo"] == {"set#001"}
    assert "expiresAt" not in desk.at(keys.page(part.page_id))
    assert counts(requests, []) == {"r1": 10}
    assert counts(requests, [PageSlice(PageId(moved), 0, 8, 8)]) == {"r1": 2}
    assert counts(requests, [PageSlice(part.page_id, 8, 10, 10)]) == {"r1": 8}
    head = desk.ledger.requests.heads()[1]
    assert (head.group, head.history) == (SUSPECTS, history)
    suspects = desk.ledger.requests.select(head, 10**9)
    assert suspects.history == history
    desk.ledger.requests.settle_slice(SUSPECTS, suspects.slices[0], AttemptId("later"))
    assert counts(requests, []) == {"r1": 2}
    assert desk.ledger.requests.attempts_of(RequestId("r1")) == sorted(
        [attempt.attempt_id, "later"]
    )


@pytest.mark.parametrize(
    ("other", "selected"),
    [
        (SetHistory(1, 2, NOW), SetHistory(1, 2, NOW + 5)),
        (SetHistory(1, 2, NOW + 9), SetHistory(1, 2, NOW + 9)),
        (SetHistory(1, 1, NOW), None),
        (SetHistory(2, 2, NOW), None),
    ],
)
def test_select__pages_that_befell_the_same(other: SetHistory, selected: SetHistory | None) -> None:
    """They share a run, with the latest first failure: nobody is given up for another's."""
    desk = Desk()
    attempt = desk.start()
    fence = desk.ledger.lease.fence_of(attempt)
    put, entries = desk.ledger.requests.put_set, desk.select().entries
    put(GROUP, "set", entries, SetHistory(1, 2, NOW + 5), fence)
    second = Page(PageId("set#002"), SUSPECTS, entries)
    desk.table.write(*page_writes(second, other, desk.clock.now()))
    desk.ledger.settle(desk.ledger.lease.ended(attempt, RESULT), Definition(EXPORT))
    assert desk.select().history == (selected or SetHistory(1, 2, NOW + 5))
    assert len(desk.select().entries) == (2 if selected else 1)


def test_select__reads_pages_in_helpings() -> None:
    """A small limit does not read a large backlog."""
    desk = Desk()
    for n in range(300):
        desk.record(f"r{n:03}", *[item_guid(n * 10 + k) for k in range(10)])
        desk.clock.sleep(1)
    read: list[int] = []
    get_many = desk.table.get_many

    def counting(wanted: Any) -> dict[Key, Item]:
        wanted = list(wanted)
        read.append(len(wanted))
        return get_many(wanted)

    desk.table.get_many = counting  # type: ignore[method-assign]
    assert len(desk.select(limit=48).item_guids) == 48
    assert read == [5]
    read.clear()
    assert len(desk.select(limit=1_205).item_guids) == 1_205
    assert read == [100, 100]
    read.clear()
    assert desk.select(limit=0).item_guids == ()


def test_heads__reads_one_pointer_for_each_group() -> None:
    """From group to group, however many pages each has."""
    desk = Desk()
    for n in range(4):
        desk.record(f"n{n}", item_guid(n))
        desk.record(f"b{n}", item_guid(n), group=Group(Lane.BULK, EXPORT, Kind.ITEMS))
        desk.clock.sleep(1)
    limits: list[int | None] = []
    query = desk.table.query

    def counting(pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        limits.append(limit)
        return query(pk, first, last, limit=limit)

    desk.table.query = counting  # type: ignore[method-assign]
    heads = desk.ledger.requests.heads()
    assert [head.group.lane for head in heads] == [Lane.BULK, Lane.NORMAL]
    assert limits == [1, 1, 1]


def test_record__of_what_is_partly_known() -> None:
    """The rest is recorded; what was recorded before is left out."""
    desk = Desk()
    requests = [ExportRequest(RequestId(f"r{n}"), GROUP, (item_guid(n),)) for n in range(4)]
    assert desk.ledger.requests.record(requests[:2]) == requests[:2]
    assert desk.ledger.requests.record(requests) == requests[2:]
    assert desk.ledger.requests.record(requests) == []
    assert len(desk.pointers()) == 2


# ---- what is known of a definition ---------------------------------------------------------------


def test_definition__limit_grows_by_a_quarter() -> None:
    """At least by one; without a limit none comes to be; halved by what was too large."""
    definition = Definition(EXPORT)
    assert definition.succeeded(NOW, 5, None).limit == 0
    assert definition.too_large(9).limit == 4
    assert definition.too_large(1).limit == 1
    assert [
        Definition(EXPORT, limit=limit).succeeded(NOW, 5, None).limit for limit in (1, 2, 4, 9, 100)
    ] == [2, 3, 5, 11, 125]


def test_definition__keeps_the_last_durations_by_size() -> None:
    """The last 50 of each class; another class says nothing about this one."""
    definition = Definition(EXPORT)
    assert definition.durations_for(7) == []
    for seconds in range(55):
        definition = definition.succeeded(NOW, 7, seconds + 0.4)
    assert definition.durations == {"1": list(range(5, 55))}
    more = definition.succeeded(NOW, 10, 600.6).succeeded(NOW, 99, None)
    assert more.durations == {"1": list(range(5, 55)), "2": [601]}
    assert more.durations_for(10) == more.durations_for(99) == [601]
    assert more.durations_for(100) == []


def test_definition__success_forgets_every_failure() -> None:
    """All but the durations starts anew."""
    troubled = Definition(EXPORT, 5, 4, 3, NOW + 9, NOW + 9, 2)
    assert troubled.succeeded(NOW + 0.7, 5, None) == Definition(
        EXPORT, last_success_at=NOW, served_at=NOW
    )
    assert troubled.served(NOW + 0.7) == Definition(
        EXPORT, failures=5, last_success_at=3, suspects_not_before=NOW + 9, served_at=NOW
    )


def test_definition__refusals_wait_twice_as_long_each_time() -> None:
    """From a minute on, up to the longest."""
    definition, waits = Definition(EXPORT), []
    for _ in range(8):
        definition = definition.refused(NOW + 0.5, 3600)
        waits.append(definition.not_before - NOW)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert definition.refusals == 8


def test_definition__failures_wait_once_they_are_more_than_one_bad_item_makes() -> None:
    """Three in a row are one item's doing; what comes after waits, twice as long each time."""

    def waits(*, alone: bool) -> list[int]:
        definition, found = Definition(EXPORT), []
        for _ in range(11):
            definition = definition.failed(NOW + 0.5, alone=alone)
            found.append(definition.suspects_not_before - NOW)
        assert definition.failures == 11
        return found

    assert waits(alone=False) == [0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert waits(alone=True) == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_definition__suspects_are_set_back_but_never_brought_forward() -> None:
    """An aborted run has suspect sets wait."""
    definition = Definition(EXPORT).set_back(NOW, 60)
    assert (definition.suspects_not_before, definition.served_at) == (NOW + 60, NOW)
    assert definition.set_back(NOW - 30, 60).suspects_not_before == NOW + 60
    assert definition.set_back(NOW + 30, 60).suspects_not_before == NOW + 90
