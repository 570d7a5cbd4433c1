"""Bad days, in one process on virtual time: what FAULTS.md promises, by its numbers."""

from __future__ import annotations

import json

import pytest

from arena_exports.errors import DeliveryError
from arena_exports.ledger.lease import LeaseBook
from infra.local.simulator import control, names
from tests.support.world import EXPORT, World, item_guid

POST = {"method": "POST", "path": "*/runs"}
GET = {"method": "GET", "path": "*/runs/*"}


def items(count: int, start: int = 0) -> list[str]:
    """Return made-up item GUIDs."""
    return [item_guid(n) for n in range(start, start + count)]


def assert_exported(world: World, expected: list[str], times: int = 1) -> None:
    """Make sure that exactly these items were exported, so many times each."""
    assert dict(world.exported()) == dict.fromkeys(expected, times)
    assert not world.errors


def test_fault_01__same_message_twice_is_one_request() -> None:
    """A message that is delivered twice is recorded once, and acknowledged both times."""
    world = World()
    records = world.record(item_guid(1), item_guid(2))
    assert world.deliver(records) == []
    assert world.deliver(records) == []
    world.settle()
    assert_exported(world, items(3)[1:])
    assert world.posts() == 1


def test_fault_02__same_item_twice_in_a_batch_is_one_item() -> None:
    """Doubles in one batch are merged, and each request is told about its item."""
    world = World()
    world.send(item_guid(1), item_guid(1), {"itemGuids": [item_guid(1), item_guid(1)]})
    world.settle()
    (event,) = world.events()
    assert event["data"]["itemGuids"] == [item_guid(1)]
    assert [r["itemCount"] for r in event["data"]["requests"]] == [1, 1, 1]


def test_fault_03__malformed_body_alone_is_rejected() -> None:
    """A body that cannot be understood is rejected with an event and a DLQ entry.

    Its neighbours are exported.
    """
    world = World()
    ids = world.send(item_guid(1), {"itemGuids": "no list"}, item_guid(2))
    world.settle()
    assert_exported(world, items(3)[1:])
    (rejected,) = world.events("rejected")
    assert rejected["subject"] == ids[1]
    assert rejected["data"]["error"]["code"] == "InvalidMessage"
    assert "itemGuids" in rejected["data"]["error"]["message"]
    (letter,) = world.dead_letters.letters
    assert json.loads(letter.body) == {"itemGuids": "no list"}
    assert letter.error_code == "InvalidMessage"


def test_fault_03__rejection_names_what_could_be_read() -> None:
    """A message of another workspace is rejected with its own definition and correlation id."""
    world = World()
    world.send(
        {"exportGuid": EXPORT, "itemGuids": items(1), "workspace": "x", "correlationId": "E"}
    )
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "WrongWorkspace"
    assert rejected["data"]["correlationId"] == "E"
    assert rejected["source"] == f"/arena/default/exports/{EXPORT}"


def test_fault_03__refusal_that_cannot_be_delivered_is_not_acknowledged() -> None:
    """Event, entry, acknowledgement: without the event there is no acknowledgement."""
    world = World()

    def refuse(_events: object) -> None:
        raise DeliveryError

    world.topic.publish = refuse  # type: ignore[method-assign]
    records = world.record("junk", item_guid(1))
    assert world.deliver(records) == [records[0]["messageId"]]
    assert not world.dead_letters.letters


def test_fault_09__item_that_arrives_during_its_run_is_exported_again_once() -> None:
    """An item that arrives while its own run is in progress goes into the next run."""
    world = World()
    world.send(item_guid(1))
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)], times=2)
    assert world.posts() == 2


def test_fault_10__burst_of_many_messages_leaves_in_few_runs() -> None:
    """Ten thousand messages need at most one run more than the limit asks for."""
    world = World(settings={"max_items_per_run": 1000})
    guids = items(10_000)
    for start in range(0, 10_000, 500):
        world.send(*guids[start : start + 500])
    world.settle()
    assert_exported(world, guids)
    assert world.posts() <= 11


def test_fault_11__schedule_that_fires_twice_makes_one_run_while_pending() -> None:
    """Two requests for a definition run share one while they wait.

    One that comes during it makes another.
    """
    world = World()
    body = {"exportGuid": names.DEFINITION_EXPORT_GUID}
    world.send(body, body)
    world.send(body)
    world.settle()
    assert len(world.events("completed")) == 2
    assert not world.errors


def test_fault_13__export_of_somebody_else_is_waited_for() -> None:
    """A 3144 is a wait: requests stay, nothing is given up, and few requests are spent on it."""
    world = World()
    control.start_foreign_run(world.arena, {"seconds": 900})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.answers(3144) <= 8
    assert not world.dead_letters.letters


@pytest.mark.parametrize("late", [0, 20, 55])
def test_fault_14__run_whose_answer_was_lost_is_adopted(late: int) -> None:
    """A run that exists although the POST's answer never came is found and adopted.

    None is made twice.
    """
    world = World()
    fault = {**POST, "drop": True, **({"lateSeconds": late} if late else {"work": True})}
    control.add_faults(world.arena, fault)
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert len(world.arena.exports.runs) == 1
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_fault_15__post_that_came_to_nothing_is_sent_once_more_after_two_looks() -> None:
    """Where no run comes to exist, exactly one new POST follows after two empty looks."""
    world = World()
    control.add_faults(world.arena, {**POST, "drop": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 2
    looks = [r for r in world.arena.journal.records if r.purpose == "list"]
    assert len(looks) == 6
    assert world.answers(3144) == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 502, "body": "<h1>Bad Gateway</h1>"},
        {"status": 201, "body": "{}"},
        {"status": 200, "body": "<html>"},
        {"code": 3000},
        {"code": 3146},
        {"code": 4087},
        {"truncate": True},
    ],
)
def test_fault_20__garbage_for_an_answer_means_unknown(answer: dict[str, object]) -> None:
    """Whatever is no definite answer to the POST leads to looks, not to a second POST at once."""
    world = World()
    control.add_faults(world.arena, {**POST, **answer, "work": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 1


def test_fault_17__run_too_large_is_halved_and_the_size_remembered() -> None:
    """A run of too many items goes in smaller ones.

    The size that worked is remembered and grows.
    """
    world = World()
    control.put_definition(world.arena, EXPORT, {"views": ["SPECS"], "maxItems": 30})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert_exported(world, items(100))
    assert world.answers(3148) <= 4


def test_fault_17__single_item_that_is_too_large_alone_is_rejected() -> None:
    """An item that no run can carry is rejected, and the rest is exported."""
    world = World()
    control.put_definition(world.arena, EXPORT, {"views": ["SPECS"], "maxItems": 0})
    world.send(item_guid(1))
    world.settle()
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "3148"
    assert world.exported() == {}


def test_fault_18__item_that_matches_nothing_is_published_all_the_same() -> None:
    """A run that matched fewer items than asked is published, with the shortfall in it."""
    world = World()
    control.set_guids(world.arena, {"unknown": [item_guid(3)]})
    world.send(*items(5))
    world.settle()
    (event,) = world.events()
    assert event["data"]["criteriaResultsCount"] == 4
    assert len(event["data"]["itemGuids"]) == 5
    assert world.telemetry.metrics["ItemsNotMatched"] == 1


def test_fault_19__definition_of_the_wrong_kind_rejects_the_requests() -> None:
    """Items for a definition with its own criteria are rejected with Arena's code.

    At the price of one POST.
    """
    world = World()
    ids = world.send({"exportGuid": names.DEFINITION_EXPORT_GUID, "itemGuids": items(3)})
    world.settle()
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "3142"
    assert rejected["subject"] == ids[0]
    assert world.posts() == 1
    assert json.loads(world.dead_letters.letters[0].body)["itemGuids"] == items(3)


@pytest.mark.parametrize("code", [3145, 3024])
def test_fault_19__definition_that_is_refused_keeps_its_requests(code: int) -> None:
    """A definition that Arena refuses keeps its requests until it is mended; others go on."""
    world = World()
    control.put_definition(
        world.arena, "BROKENDEFINITION0001", {"views": ["SPECS"], "refusal": code}
    )
    world.send({"exportGuid": "BROKENDEFINITION0001", "itemGuids": items(3)}, *items(3, 10))
    world.run_for(3600)
    assert_exported(world, items(3, 10))
    assert world.answers(code) <= 7
    control.put_definition(world.arena, "BROKENDEFINITION0001", {"views": ["SPECS"]})
    world.settle(7200)
    assert_exported(world, items(3, 10) + items(3))
    assert not world.dead_letters.letters


def test_fault_21__session_that_dies_is_renewed_once() -> None:
    """A session that died during the polls is renewed by one login, and the run goes on."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 100})
    world.send(*items(3))
    world.run_for(20)
    control.kill_sessions(world.arena)
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 2


def test_fault_23__duel_with_another_login_is_bounded() -> None:
    """Somebody who logs in as the same user every minute does not draw us into a duel."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 7200})
    world.send(*items(3))
    for _ in range(60):
        world.run_for(60)
        control.kill_sessions(world.arena)
    assert world.telemetry.metrics["Logins"] <= 8
    world.settle()
    assert_exported(world, items(3))


def test_fault_24__wrong_password_is_tried_once_until_it_changes() -> None:
    """A refused password is tried once; requests are kept until the secret has a new version."""
    world = World()
    world.set_password("wrong")
    world.send(*items(3))
    world.run_for(3600)
    assert world.telemetry.metrics["Logins"] == 1
    world.set_password(names.PASSWORD)
    world.settle()
    assert_exported(world, items(3))


def test_fault_24__secret_without_its_keys_keeps_the_requests() -> None:
    """A credentials secret without a password is named in the log, and nothing is lost."""
    world = World()
    world.credentials.write({"email": "x"}, "broken")
    world.send(*items(3))
    world.run_for(300)
    assert world.telemetry.metrics["Logins"] == 0
    assert world.telemetry.metrics["LoginRefused"] >= 1
    assert any("password" in str(fields.get("errorMessage")) for _, fields in world.telemetry.lines)
    world.set_password(names.PASSWORD)
    world.settle()
    assert_exported(world, items(3))


def test_fault_28__login_that_lands_elsewhere_submits_nothing() -> None:
    """A login into another workspace is refused: nothing is submitted there."""
    world = World()
    control.set_account(world.arena, {"answeredWorkspaceId": 1})
    world.send(*items(3))
    world.run_for(600)
    assert world.posts() == 0
    assert world.telemetry.metrics["Logins"] == 1


def test_fault_29__run_that_cannot_be_read_pends_again() -> None:
    """A run of ours that nobody may read any more is left.

    Its items are exported by another.
    """
    world = World()
    control.add_faults(world.arena, {**GET, "code": 3024})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["RunsUnreadable"] == 1


def test_fault_30__spent_budget_means_no_request_until_the_reset() -> None:
    """After a 429 nothing is sent until the budget's reset; then all goes on by itself."""
    world = World()
    world.send(item_guid(1))
    world.settle()
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20_000})
    before = len(world.arena.journal.records)
    world.ledger.budget.write(world.ledger.budget.read())
    control.plan_runs(world.arena, {"runningSeconds": 5})
    world.send(item_guid(2))
    world.run_for(19_000)
    assert len(world.arena.journal.records) - before <= 1
    world.settle()
    assert_exported(world, [item_guid(1), item_guid(2)])
    assert not world.dead_letters.letters


def test_fault_31__new_runs_stop_at_the_reserve_and_the_run_is_still_watched() -> None:
    """With the reserve reached, no run is started; the one in progress is watched to its end."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 300})
    world.send(item_guid(1))
    world.run_for(60)
    control.set_budget(world.arena, {"remaining": 90, "resetSeconds": 40_000})
    world.send(item_guid(2))
    world.run_for(3600)
    assert_exported(world, [item_guid(1)])
    world.settle()
    assert_exported(world, [item_guid(1), item_guid(2)])


@pytest.mark.parametrize("form", ["garbage", "none", "past", "rfc", "zulu", "documented"])
def test_fault_32__odd_reset_header_leads_to_a_safe_wait(form: str) -> None:
    """Whatever the reset header holds, a spent budget is waited out without a hot loop."""
    world = World()
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 8 * 3600, "resetForm": form})
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.answers(4084) <= 34


def test_fault_33__downloaded_is_a_success() -> None:
    """A run that was downloaded between two polls is published like any other."""
    world = World()
    control.plan_runs(world.arena, {"status": "DOWNLOADED"})
    world.send(item_guid(1))
    world.settle()
    (event,) = world.events("completed")
    assert event["data"]["status"] == "DOWNLOADED"
    assert event["data"]["fileGuids"]


def test_fault_34__run_that_fails_once_is_submitted_once_more() -> None:
    """One FAILED run is tried again as it was; nobody is rejected."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED"})
    world.send(*items(8))
    world.settle()
    assert_exported(world, items(8))
    assert world.posts() == 2
    assert world.events("rejected") == []


@pytest.mark.parametrize("bad", [[3], [0], [63], [3, 40], [1, 2, 62]])
def test_fault_34__bad_items_are_found_and_the_rest_is_exported(bad: list[int]) -> None:
    """Items that make runs fail are found by halving, within the bound for one of them."""
    world = World()
    control.set_guids(world.arena, {"poison": [item_guid(n) for n in bad]})
    world.send({"itemGuids": items(64)})
    world.settle()
    rejected = [guid for event in world.events("rejected") for guid in event["data"]["itemGuids"]]
    assert sorted(rejected) == [item_guid(n) for n in bad]
    assert sorted(world.exported()) == [item_guid(n) for n in range(64) if n not in bad]
    if len(bad) == 1:
        assert world.posts() - 1 <= 2 * 6 + 2


def test_fault_34__bad_day_rejects_nobody() -> None:
    """A day on which every run fails rejects nothing and spends little; then all is exported."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 1000})
    world.send({"itemGuids": items(16)})
    world.run_for(12 * 3600)
    assert world.posts() <= 24
    control.clear_plans(world.arena)
    world.settle()
    assert_exported(world, items(16))
    assert not world.dead_letters.letters


def test_fault_35__aborted_run_is_submitted_once_more() -> None:
    """One ABORTED run is tried again after a back-off."""
    world = World()
    control.plan_runs(world.arena, {"status": "ABORTED"})
    world.send(*items(4))
    world.settle()
    assert_exported(world, items(4))


def test_fault_35__run_that_is_aborted_twice_is_given_up() -> None:
    """ABORTED again: an event, dead-letter entries, and a free slot."""
    world = World()
    control.plan_runs(world.arena, {"status": "ABORTED", "count": 2})
    ids = world.send(*items(4))
    world.settle()
    (event,) = world.events()
    assert event["type"] == "arena.export.run.failed"
    assert event["data"]["error"]["code"] == "RunAborted"
    assert "fileGuids" not in event["data"]
    assert sorted(r["requestId"] for r in event["data"]["requests"]) == sorted(ids)
    assert sorted(letter.request_id for letter in world.dead_letters.letters) == sorted(ids)
    world.send(*items(4))
    world.settle()
    assert_exported(world, items(4))


def test_fault_36__overdue_run_is_watched_to_its_end() -> None:
    """A run past its time-out raises a metric and is still published when it ends."""
    world = World(settings={"run_timeout_seconds": 60})
    control.plan_runs(world.arena, {"runningSeconds": 30_000})
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.telemetry.metrics["RunOverdue"] > 0
    assert len([r for r in world.arena.journal.records if r.purpose == "poll"]) < 80


def test_fault_37__complete_without_files() -> None:
    """No files and no results: completed. No files and yet results.

    Given up after a few more polls.
    """
    world = World()
    control.plan_runs(world.arena, {"files": 0, "criteriaResultsCount": 0})
    world.send(item_guid(1))
    world.settle()
    control.plan_runs(world.arena, {"files": 0, "criteriaResultsCount": 1})
    world.send(item_guid(2))
    world.settle()
    completed, failed = world.events()
    assert completed["data"]["fileGuids"] == []
    assert failed["data"]["error"]["code"] == "NoFiles"


def test_fault_37__unknown_status_is_pending() -> None:
    """A status that nobody knows is waited out, with a warning and a metric."""
    world = World()
    steps = [{"status": "ARCHIVING", "seconds": 30}, {"status": "COMPLETE"}]
    control.plan_runs(world.arena, {"steps": steps})
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.telemetry.metrics["UnknownStatus"] > 0


def test_fault_39__publish_again_has_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish that dies after publishing makes doubles with the same source and id."""
    world = World()
    world.send(*items(3))
    with monkeypatch.context() as patch:
        patch.setattr(LeaseBook, "settled", _dies)
        world.run_for(120)
    assert len(world.errors) > 1
    world.errors.clear()
    world.settle()
    assert len(world.events()) > 1
    assert len({(event["source"], event["id"]) for event in world.events()}) == 1


def _dies(*_args: object) -> None:
    raise RuntimeError


def test_fault_42_48__stopped_execution_is_watched_again() -> None:
    """An execution that is stopped by hand, twice, is started again under a new name each time."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 600})
    world.send(item_guid(1))
    for _ in range(2):
        world.run_for(70)
        (name,) = world.running
        world.stop_execution(name)
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert [name.rsplit("-", 1)[1] for name in world.executions.started] == ["1", "2", "3"]
    assert world.posts() == 1


def test_fault_49__3011_that_names_no_item_is_the_definition() -> None:
    """A value that is not valid for an attribute rejects no item."""
    world = World()
    message = 'The specified value "Changes" is not a valid option for the attribute "world".'
    control.add_faults(world.arena, {**POST, "code": 3011, "message": message})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.events("rejected") == []


@pytest.mark.parametrize("named", ["first", "all"])
def test_fault_50__many_bad_guids_do_not_cost_a_post_each(named: str) -> None:
    """Two hundred GUIDs that Arena does not know are taken out, and the rest is exported."""
    world = World()
    control.set_settings(world.arena, {"badGuidsNamed": named, "badGuidBlanks": True})
    bad = items(200, 1000)
    control.set_guids(world.arena, {"bad": bad})
    world.send({"itemGuids": items(300) + bad})
    world.settle()
    assert_exported(world, items(300))
    rejected = [guid for event in world.events("rejected") for guid in event["data"]["itemGuids"]]
    assert sorted(rejected) == bad
    assert {letter.error_code for letter in world.dead_letters.letters} == {"3011"}


def test_unknown_definition__is_not_taken_for_an_item() -> None:
    """A 3011 or 3012 that names the export definition keeps the requests."""
    world = World()
    world.send({"exportGuid": "NOSUCHDEFINITION0001", "itemGuids": items(3)})
    world.run_for(600)
    assert world.events("rejected") == []
    assert world.posts() <= 4


def test_lanes__take_turns() -> None:
    """While a backfill waits, a live request is in the next run or the one after."""
    world = World(settings={"max_items_per_run": 10})
    for start in range(0, 200, 50):
        world.send({"itemGuids": items(50, start), "priority": "bulk"})
    world.run_for(15)
    runs_before = len(world.events("completed"))
    world.send(item_guid(999))
    world.settle()
    position = next(
        n
        for n, e in enumerate(world.events("completed"))
        if item_guid(999) in e["data"]["itemGuids"]
    )
    assert position - runs_before <= 2
    assert_exported(world, [*items(200), item_guid(999)])


def test_open_count__says_what_is_left_of_a_request() -> None:
    """A request of several runs is told how much of it is still open after each."""
    world = World(settings={"max_items_per_run": 10})
    (request_id,) = world.send({"itemGuids": items(35), "correlationId": "ECO-1"})
    world.settle()
    counts = [
        (r["itemCount"], r["openCount"])
        for event in world.events("completed")
        for r in event["data"]["requests"]
        if r["requestId"] == request_id
    ]
    assert counts == [(10, 25), (10, 15), (10, 5), (5, 0)]


def test_open_count__of_a_halved_set() -> None:
    """The last event of a request that was halved says that nothing of it is open."""
    world = World()
    control.set_guids(world.arena, {"poison": [item_guid(5)]})
    world.send({"itemGuids": items(16)})
    world.settle()
    counts = [r["openCount"] for e in world.events("completed") for r in e["data"]["requests"]]
    carried = [r["itemCount"] for e in world.events("completed") for r in e["data"]["requests"]]
    assert sum(carried) == 15
    assert counts == sorted(counts, reverse=True)
