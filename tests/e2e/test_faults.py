"""What goes wrong at Arena or in a message, on the deployed stack."""

import json
from collections.abc import Callable

import pytest

from infra.local.demo.tally import COMPLETED, REJECTED
from infra.local.subscriber import ReceivedEvent
from tests.e2e.conftest import Case

pytestmark = pytest.mark.e2e
NewGuids = Callable[[int], list[str]]

MALFORMED = {
    "no GUID": ("itemGuids", '{"itemGuids": ["not-a-guid"]}'),
    "empty list": ("itemGuids", '{"itemGuids": []}'),
    "no list": ("itemGuids", '{"itemGuids": "CUEXB8CEPGHGZI18WDMU"}'),
    "unknown key": ("itemGuid", '{"itemGuid": ["CUEXB8CEPGHGZI18WDMU"]}'),
    "other workspace": (
        "workspace",
        '{"itemGuids": ["CUEXB8CEPGHGZI18WDMU"], "workspace": "elsewhere"}',
    ),
    "no form at all": ("", "{broken"),
}


def test_malformed_messages__are_rejected_without_hurting_their_neighbours(
    case: Case, new_guids: NewGuids
) -> None:
    """Each becomes an event that names the field and a DLQ entry; a neighbour is exported."""
    bodies = [body for _field, body in MALFORMED.values()]
    good = new_guids(1)[0]
    *bad_ids, good_id = case.stack.send(*bodies, good)
    events = case.wait_for_events(len(bodies) + 1)
    rejected = {event.data["requestId"]: event for event in events if event.type == REJECTED}
    letters = {letter.attributes["requestId"]: letter for letter in case.stack.dead_letters()}
    assert rejected.keys() == letters.keys() == set(bad_ids)
    for request_id, (field, body) in zip(bad_ids, MALFORMED.values(), strict=True):
        assert field in rejected[request_id].data["error"]["message"]
        assert letters[request_id].body == body
        assert letters[request_id].attributes.keys() == {"requestId", "errorCode", "errorMessage"}
    (completed,) = (event for event in events if event.type == COMPLETED)
    assert completed.data["requests"][0]["requestId"] == good_id


def test_failed_run__is_tried_once_more(case: Case, new_guids: NewGuids) -> None:
    """A run that fails once is submitted again as it was; subscribers see the success alone."""
    item_guids = new_guids(2)
    case.stack.arena.plan(status="FAILED")
    case.stack.send(item_guids)
    (received,) = case.wait_for_events(1, 120)
    assert received.type == COMPLETED
    assert sorted(received.data["itemGuids"]) == sorted(item_guids)
    failed, completed = case.runs
    assert (failed.status, failed.items, completed.items) == ("FAILED", 2, 2)


def test_item_that_fails_every_run__is_found_and_rejected(case: Case, new_guids: NewGuids) -> None:
    """The one item that makes runs fail is rejected by halving, and the others are exported."""
    poison, *others = new_guids(4)
    case.stack.arena.set_guids(poison=[poison])
    case.stack.send([poison, *others])

    def all_settled(events: list[ReceivedEvent]) -> bool:
        settled = {guid for event in events for guid in event.data["itemGuids"]}
        return settled >= {poison, *others}

    events = case.wait_for("every item settled", all_settled, 150)
    exported = [g for event in events if event.type == COMPLETED for g in event.data["itemGuids"]]
    (rejected,) = (event for event in events if event.type == REJECTED)
    (letter,) = case.stack.dead_letters()
    assert sorted(exported) == sorted(others)
    assert rejected.data["itemGuids"] == json.loads(letter.body)["itemGuids"] == [poison]
    assert rejected.data["error"]["code"] == letter.attributes["errorCode"] == "RunFailed"


def test_session_that_dies_during_polling__is_replaced_once(
    case: Case, new_guids: NewGuids
) -> None:
    """When somebody logs in elsewhere, one new login follows and the run is published."""
    logins = case.stack.arena.state().requests.get("login", 0)
    case.stack.arena.plan(runningSeconds=3)
    case.stack.send(*new_guids(1))
    case.wait_for_run("RUNNING")
    case.stack.arena.kill_sessions()
    (received,) = case.wait_for_events(1)
    assert received.type == COMPLETED
    assert case.stack.arena.state().requests["login"] == logins + 1
    assert len(case.runs) == 1
