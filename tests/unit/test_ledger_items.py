"""The ledger's items, field by field.

Items outlive releases: a change here needs a new `v`, and code that still reads the old one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from arena_exports.domain.attempts import AttemptState
from arena_exports.domain.budget import Budget
from arena_exports.domain.definitions import Definition, Trials
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.lease import Lease, LeaseState
from arena_exports.domain.model import AttemptId, Entry, Lane, RequestId
from arena_exports.domain.polling import PastRuns
from arena_exports.domain.runs import RunFile
from arena_exports.domain.session_state import SessionState
from arena_exports.ledger import keys, pages
from arena_exports.ledger.attempts import attempt_item, read_attempt
from arena_exports.ledger.codec import to_attributes
from arena_exports.ledger.definitions import definition_put
from arena_exports.ledger.lease import lease_item, read_lease
from tests.support.ledger_desk import (
    EXPORT,
    FULL_ATTEMPT,
    IN_75_DAYS,
    MONTH,
    NOW,
    RESULT,
    Desk,
    run,
)
from tests.support.world import item_guid


def lease_fields(state: str, **fields: object) -> dict[str, object]:
    """Return the expected lease item, without its token."""
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
        "failedSearches": 0,
        "creatorGuid": "",
        **fields,
    }


def test_form__of_a_request() -> None:
    """A message has a marker, a page and a pointer."""
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
    assert desk.ledger.requests.oldest_pages()[0].recorded_at == NOW


def test_form__of_an_attempt_before_its_post() -> None:
    """Lease and attempt are written before the POST is sent."""
    desk = Desk()
    _, attempt = desk.begin()
    holding = {"attemptId": attempt.attempt_id, "lane": "normal"}
    assert desk.lease() == lease_fields("submitting", heldUntil=NOW + 180, **holding)
    written = desk.at((MONTH, attempt.attempt_id))
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
        "history": {"failures": 0, "aborts": 0, "firstFailedAt": 0},
        "itemCount": 3,
        "state": "sending",
        "sentAt": NOW,
        "firstSentAt": NOW,
        "refusals": 0,
        "searches": 0,
        "unanswered": 1,
        "lastStatus": 0,
        "refusedSearches": 0,
        "runGuid": None,
        "runNumber": None,
        "startedAt": 0,
        "executionNumber": 1,
        "result": None,
    }


def test_form__of_an_attempt_with_a_run() -> None:
    """The attempt names its run, the run its attempt, and the lease its creator."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(10)
    running = desk.ledger.attempts.started(lease, attempt, run())
    started = desk.at((MONTH, attempt.attempt_id))
    assert started == {
        **attempt_item(attempt),
        "state": "running",
        "runGuid": "RUN0000000000000000A",
        "runNumber": 7,
        "startedAt": NOW + 10,
    }
    assert read_attempt(started) == running
    assert desk.lease() == lease_fields(
        "running", creatorGuid="USER", attemptId=attempt.attempt_id, lane="normal"
    )
    assert desk.at(("RUNGUID#RUN0000000000000000A", "-")) == {
        "PK": "RUNGUID#RUN0000000000000000A",
        "SK": "-",
        "v": 1,
        "attemptId": attempt.attempt_id,
        "expiresAt": IN_75_DAYS + 10,
    }
    known = desk.ledger.attempts.known_runs(["RUN0000000000000000A", "RUN0000000000000000B"])
    assert known == {"RUN0000000000000000A"}


def test_form__of_an_attempt_that_ended_and_is_settled() -> None:
    """Result and files are stored first; then the lease is idle and everything expires."""
    desk = Desk()
    running = desk.start()
    key = (MONTH, running.attempt_id)
    started = desk.at(key)
    ended = desk.ledger.attempts.ended(running, RESULT, [RunFile("F1", "one"), RunFile("F2", None)])
    assert desk.at(key) == {**started, "state": "ended", "result": to_attributes(RESULT)}
    assert desk.at(key)["result"]["criteriaResultsCount"] == 3
    files = desk.at((MONTH, f"{running.attempt_id}#FILES#0001"))
    assert pages.unpack(files.pop("files")) == [["F1", "one"], ["F2", None]]
    assert files == {
        "PK": MONTH,
        "SK": f"{running.attempt_id}#FILES#0001",
        "v": 1,
        "expiresAt": IN_75_DAYS,
    }
    desk.clock.sleep(10)
    desk.ledger.settle(ended, Definition(EXPORT, limit=9))
    settled = desk.at(key)
    assert (settled["state"], settled["expiresAt"]) == ("settled", IN_75_DAYS + 10)
    assert desk.lease() == lease_fields("idle", creatorGuid="USER", lane="normal")
    assert desk.ledger.definitions.read(EXPORT).limit == 9
    assert not desk.pointers()
    page = desk.at(keys.page(running.slices[0].page_id))
    assert (page["attempts"], page["expiresAt"]) == ({running.attempt_id}, IN_75_DAYS + 10)
    assert "movedTo" not in page


def test_form__of_many_files() -> None:
    """An item holds up to 250 files, and they are read in their order."""
    desk = Desk()
    attempt = desk.start()
    files = [RunFile(f"F{n:05}", f"title {n}") for n in range(501)]
    desk.ledger.attempts.ended(attempt, RESULT, files)
    assert desk.ledger.attempts.files(attempt.attempt_id) == files
    names = [sk for sk in desk.table.items[MONTH] if "FILES" in sk]
    assert sorted(names) == [f"{attempt.attempt_id}#FILES#000{n}" for n in (1, 2, 3)]


def test_form__of_an_attempt_that_is_replaced() -> None:
    """The successor has the same contents and still knows the time of the first POST."""
    desk = Desk()
    lease, attempt = desk.begin()
    known = replace(attempt, searches=1, last_status=503, refused_searches=2)
    desk.ledger.attempts.postpone(lease, known, not_before=NOW + 90.5, failed_searches=2)
    assert desk.lease()["heldUntil"] == NOW + 91
    assert desk.lease()["failedSearches"] == 2
    assert desk.ledger.attempts.get(attempt.attempt_id) == known
    desk.clock.sleep(200)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    attached, again = desk.ledger.attempts.begin_again(
        lease, desk.ledger.attempts.get(attempt.attempt_id)
    )
    assert (again.state, again.searches) == (AttemptState.SENDING, 0)
    assert (again.unanswered, again.last_status, again.refused_searches) == (2, 0, 0)
    assert (again.sent_at, again.first_sent_at) == (NOW + 200, NOW)
    assert again.follows_unknown
    assert again.slices == attempt.slices
    assert desk.ledger.attempts.get(again.attempt_id) == again
    old = desk.at((MONTH, attempt.attempt_id))
    assert (old["state"], old["expiresAt"]) == ("replaced", IN_75_DAYS + 200)
    assert desk.ledger.lease.read() == attached
    assert desk.lease() == lease_fields(
        "submitting", attemptId=again.attempt_id, lane="normal", heldUntil=NOW + 380
    )


def test_form__of_refused_items() -> None:
    """The items that Arena named are removed, and the attempt counts as sent again."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(5)
    refused = replace(attempt, refusals=3)
    less = desk.ledger.attempts.reject_items(lease, refused, frozenset({item_guid(1)}))
    assert less.refusals == 3
    assert desk.ledger.attempts.get(attempt.attempt_id) == less
    assert (less.sent_at, less.first_sent_at) == (NOW + 5, NOW + 5)
    assert less.rejected == {item_guid(1)}
    assert desk.ledger.selection(less).item_guids == (item_guid(0), item_guid(2))
    assert desk.ledger.selection(less).history == attempt.history


def test_form__of_an_abandoned_attempt() -> None:
    """The lease is idle until the given time, and the requests are pending as before."""
    desk = Desk()
    lease, attempt = desk.begin()
    definition = Definition(EXPORT, refusals=1, not_before=NOW + 60)
    desk.ledger.attempts.void(lease, attempt, not_before=NOW + 22.5, busy=3, definition=definition)
    assert desk.lease() == lease_fields(
        "idle", notBefore=NOW + 23, busy=3, lane="normal", heldUntil=NOW + 180
    )
    void = desk.at((MONTH, attempt.attempt_id))
    assert (void["state"], void["expiresAt"]) == ("void", IN_75_DAYS)
    assert desk.ledger.definitions.read(EXPORT) == definition
    assert desk.select().item_guids == tuple(item_guid(n) for n in range(3))


def test_form__of_a_released_lease() -> None:
    """The lease is idle again, and keeps its lane and user."""
    desk = Desk()
    attempt = desk.start()
    ended = desk.ledger.attempts.ended(attempt, RESULT)
    desk.ledger.settle(ended, Definition(EXPORT))
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.release(lease)
    assert desk.lease() == lease_fields(
        "idle", creatorGuid="USER", lane="normal", heldUntil=NOW + 180
    )
    desk.ledger.lease.release(lease)  # a second time: lost, and no error
    taken = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.lease.release(lease)
    assert desk.ledger.lease.read() == taken


FULL_LEASE = Lease(LeaseState.RUNNING, "token", AttemptId("a"), 1, 2, Lane.BULK, 3, 4, "USER")


@pytest.mark.parametrize("lease", [Lease(), FULL_LEASE])
def test_form__of_the_lease_is_read_as_it_was_written(lease: Lease) -> None:
    """Every field is kept, whether it is set or not."""
    assert read_lease(lease_item(lease)) == lease


def test_form__of_an_attempt_is_read_as_it_was_written() -> None:
    """Every field."""
    assert read_attempt(attempt_item(FULL_ATTEMPT)) == FULL_ATTEMPT


def test_form__of_an_older_release_is_read() -> None:
    """An attempt and a budget without the newer attributes get the defaults."""
    item = attempt_item(FULL_ATTEMPT)
    older = {
        k: v for k, v in item.items() if k not in ("unanswered", "lastStatus", "refusedSearches")
    }
    known = replace(FULL_ATTEMPT, unanswered=1, last_status=0, refused_searches=0)
    assert read_attempt(older) == known
    desk = Desk()
    desk.ledger.budget.write(Budget(10, 20, 30, 40, 50, 60, 70))
    del desk.table.items["BUDGET"]["-"]["refusals"]
    assert not desk.at(keys.BUDGET).keys() & {"polls", "pollsSince"}
    assert desk.ledger.budget.read() == Budget(10, 20, 30, 40, 50, 60, 0)


def test_form__of_trials() -> None:
    """The item holds the POSTs of the last day, oldest first."""
    desk = Desk()
    assert desk.ledger.definitions.trials() == Trials()
    desk.ledger.definitions.count_trial(NOW - 90_000)
    desk.ledger.definitions.count_trial(NOW - 60)
    desk.ledger.definitions.count_trial(NOW + 0.5)
    assert desk.ledger.definitions.trials() == Trials((NOW - 60, NOW))
    assert desk.at(keys.TRIALS) == {"PK": "TRIALS", "SK": "-", "v": 1, "posts": [NOW - 60, NOW]}


def test_form__of_a_definition() -> None:
    """Every field."""
    known = Definition(EXPORT, 1, 2, 3, 4, 5, 6, 7, {"3": [8, 9]}, 10)
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
        "unknownAt": 10,
    }


def test_form__of_the_budget() -> None:
    """Every field is kept; a later answer replaces an earlier one, but not the reverse."""
    desk = Desk()
    record = desk.ledger.budget
    assert record.read() == Budget()
    known = Budget(10, 20, 30, 40, 50, 60, 70, 80, 90)
    record.write(known, polled=True)
    assert record.read() == known
    assert desk.at(keys.BUDGET) == {
        "PK": "BUDGET",
        "SK": "-",
        "v": 1,
        "remaining": 10,
        "resetsAt": 20,
        "spentUntil": 30,
        "seenAt": 40,
        "firstRemaining": 50,
        "firstSeenAt": 60,
        "refusals": 70,
        "polls": 80,
        "pollsSince": 90,
    }
    record.write(replace(known, remaining=9))
    assert record.read().remaining == 9
    record.write(replace(known, remaining=8, seen_at=39))
    assert record.read().remaining == 9


def test_form__only_a_poll_changes_the_count_of_polls() -> None:
    """An answer to another request may be older than the poll's, and does not reset its count."""
    desk = Desk()
    record = desk.ledger.budget
    record.write(Budget(10, seen_at=40, polls=2, polls_since=60), polled=True)
    record.write(Budget(9, seen_at=41, polls=1, polls_since=60))
    assert record.read() == Budget(9, seen_at=41, polls=2, polls_since=60)


def test_form__of_the_stack_s_durations() -> None:
    """They serve a definition of which no run is known; its own come first."""
    desk = Desk()
    definitions = desk.ledger.definitions
    assert definitions.past_runs(EXPORT, 5) == PastRuns(similar=[])
    definitions.note_duration(5, 300.2)
    definitions.note_duration(5, 301)
    assert desk.at(keys.DURATIONS) == {
        "PK": "DURATIONS",
        "SK": "-",
        "v": 1,
        "durations": {"1": [300, 301]},
    }
    assert definitions.past_runs(EXPORT, 50) == PastRuns(similar=[300, 301])
    desk.table.write(definition_put(Definition(EXPORT, durations={"2": [9]})))
    assert definitions.past_runs(EXPORT, 5) == PastRuns(similar=[9])
    assert definitions.past_runs(EXPORT, 50) == PastRuns([9])


def test_form__of_the_session() -> None:
    """Every field is kept, and a write based on an older revision fails."""
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
