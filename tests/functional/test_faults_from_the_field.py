"""Faults 19, 30, 32, 83, 86 to 88 and 92 of the table in tests/README.md, as seen in the field.

They come from public reports of teams with the same task: broken definitions, firewalls, lagging
replicas, login pages, burst limits and altered headers.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING, Any

import pytest

from infra.simulator import control
from tests.support.world import EXPORT, World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from infra.simulator.request_log import Record

DAY = 86_400
BROKEN = "EXPBROKEN00000000001"
PAGE = "<html><h1>Forbidden</h1></html>"
EVERY_POST = {"method": "POST", "path": "*/runs", "times": None}
EVERY_LIST = {"method": "GET", "path": "*/runs", "times": None}
LOST_ANSWER = {"method": "POST", "path": "*/runs", "work": True, "drop": True}
POSTS_OF_AN_ATTEMPT = 3
ITEMS, SMALL_HALF = 100, 50
UNKNOWN = [f"EXPUNKNOWN{n:010}" for n in range(150)]

without_a_run = pytest.mark.parametrize(
    "answer",
    [
        {"code": 3000},
        {"code": 3146},
        {"code": 4085},
        {"status": 502, "body": PAGE},
        {"status": 400, "body": PAGE},
        {"status": 403, "body": PAGE},
        {"status": 302, "body": PAGE, "headers": {"Location": "https://sso.example.com/"}},
    ],
    ids=["3000", "3146", "4085", "502", "400 page", "403 page", "302"],
)


def requests_to(world: World, export_guid: str, purpose: str = "") -> list[Record]:
    """Return the requests about a definition's runs, of one purpose or all."""
    return [
        record
        for record in world.arena.request_log.records
        if f"/{export_guid}/" in record.path and purpose in {"", record.purpose}
    ]


@without_a_run
def test_fault_86__definition_that_never_works_does_not_disturb_the_others(
    answer: dict[str, Any],
) -> None:
    """It costs fewer than 600 requests a day, others are exported, and nothing is rejected."""
    world = World()
    control.put_definition(world.arena, BROKEN, {})
    control.add_faults(world.arena, {**EVERY_POST, "path": f"*/{BROKEN}/runs", **answer})
    world.send({"exportGuid": BROKEN, "itemGuids": items(10)})
    world.run_for(10)
    world.send(item_guid(20))
    world.run_for(3600)
    assert_exported(world, [item_guid(20)])
    world.send(item_guid(21))
    world.run_for(DAY - 3610)
    assert world.exported()[item_guid(21)] == 1
    assert len(requests_to(world, BROKEN)) < 600
    assert not world.events("rejected")
    control.clear_faults(world.arena)
    world.settle()
    assert_exported(world, [*items(10), item_guid(20), item_guid(21)])


@without_a_run
def test_fault_86__item_that_breaks_every_post_is_found(answer: dict[str, Any]) -> None:
    """One bad item in a hundred costs at most 2·log2(n) + 2 more attempts."""
    world = World()
    bad = item_guid(37)
    control.add_faults(world.arena, {**EVERY_POST, "itemGuids": [bad], **answer})
    world.send({"itemGuids": items(ITEMS)})
    world.settle()
    assert_exported(world, [guid for guid in items(ITEMS) if guid != bad])
    (rejected,) = world.events("rejected")
    assert rejected["data"]["itemGuids"] == [bad]
    assert rejected["data"]["error"]["code"] == "RunFailed"
    runs = len(list(world.arena.exports.runs))
    failed = -(-(world.posts() - runs) // POSTS_OF_AN_ATTEMPT)
    assert runs + failed - 1 <= 2 * log2(ITEMS) + 2


@pytest.mark.parametrize("status", [400, 403, 413])
def test_fault_86__firewall_against_large_bodies_leads_to_smaller_runs(status: int) -> None:
    """A page in answer to each body above 8 KB counts as too large."""
    world = World()
    firewall = {**EVERY_POST, "bodyAboveBytes": 8192, "status": status, "body": PAGE}
    control.add_faults(world.arena, firewall)
    world.send({"itemGuids": items(1000)})
    world.settle()
    assert_exported(world, items(1000))
    assert not world.events("rejected")
    assert len(world.arena.request_log.records) < 600


@without_a_run
def test_fault_86__bad_day_rejects_nothing(answer: dict[str, Any]) -> None:
    """After a day on which no POST leads to a run, everything is exported once."""
    world = World()
    control.add_faults(world.arena, {**EVERY_POST, **answer})
    world.send({"itemGuids": items(10)}, item_guid(20), {"itemGuids": items(3, 30)})
    world.run_for(DAY)
    assert not world.events()
    assert not world.dead_letters.letters
    control.clear_faults(world.arena)
    world.settle()
    assert_exported(world, [*items(10), item_guid(20), *items(3, 30)])
    assert not world.dead_letters.letters


@pytest.mark.parametrize("code", [404, 3011, 3012])
def test_fault_87__run_that_is_not_found_at_first_is_polled_again(code: int) -> None:
    """A lagging replica does not know the run yet, so it is polled again and no other starts."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    young = {"method": "GET", "path": "*/runs/*", "runsYoungerThanSeconds": 240, "code": code}
    control.add_faults(world.arena, {**young, "times": None})
    world.send(*items(10))
    world.settle()
    assert_exported(world, items(10))
    assert world.posts() == 1


@pytest.mark.parametrize("code", [404, 3011, 3012])
@pytest.mark.parametrize("at", [60, 900, 1795])
def test_fault_87__run_that_is_not_found_for_a_while_is_polled_again(code: int, at: int) -> None:
    """At any time, some minutes of "not found" do not mean that the run does not exist."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(10))
    world.run_for(at)
    control.add_faults(world.arena, {"path": "*/runs/*", "code": code, "lastsSeconds": 300})
    world.settle()
    assert_exported(world, items(10))
    assert world.posts() == 1


@pytest.mark.parametrize("answer", [{"code": 400}, {"code": 3011, "message": "Not an option."}])
@pytest.mark.parametrize("parameter", ["status", "completionDateTimeFrom", "*"])
def test_fault_87__list_that_accepts_no_filter_is_read_without(
    answer: dict[str, Any], parameter: str
) -> None:
    """The run of a lost answer is found in the whole list and adopted."""
    world = World()
    control.add_faults(
        world.arena, [LOST_ANSWER, {**EVERY_LIST, "parameters": [parameter], **answer}]
    )
    world.send(*items(10))
    world.settle()
    assert_exported(world, items(10))
    assert world.posts() == 1


@pytest.mark.parametrize(
    "answer",
    [{"code": 404}, {"code": 3011}, {"code": 3012}, {"code": 400}, {"status": 403, "code": 3024}],
    ids=["404", "3011", "3012", "400", "3024"],
)
def test_fault_87__refused_search_does_not_count_as_empty(answer: dict[str, Any]) -> None:
    """Ten minutes of refused searches permit no second POST, and the run is adopted later."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 3})
    refused = {"method": "GET", "path": "*/runs", **answer, "lastsSeconds": 600}
    control.add_faults(world.arena, [LOST_ANSWER, refused])
    world.send(*items(10))
    world.settle()
    assert_exported(world, items(10))
    assert world.posts() == 1


@pytest.mark.parametrize("form", ["redirect", "page"])
def test_fault_88__login_page_leads_to_one_renewal(form: str) -> None:
    """A session that ends during a run shows as a login page, which leads to one login."""
    world = World()
    control.set_settings(world.arena, {"deadSessionForm": form})
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(3))
    world.run_for(60)
    control.kill_sessions(world.arena)
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 2
    assert world.telemetry.metrics["SessionPages"] == 1
    assert world.posts() == 1


@pytest.mark.parametrize("form", ["redirect", "page"])
def test_fault_88__session_written_by_hand_is_replaced(form: str) -> None:
    """Both dead sessions, the one in the secret and ours, are replaced."""
    world = World()
    control.set_settings(world.arena, {"deadSessionForm": form})
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(3))
    world.run_for(60)
    control.kill_sessions(world.arena)
    world.session_secret.write({"arenaSessionId": "pasted|by|hand"}, "by-hand")
    for _ in range(24):
        world.dependencies = world.make_dependencies()  # Lambda starts environments anew
        world.run_for(300)
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] <= 3


def test_fault_88__two_pages_do_not_mean_a_dead_session() -> None:
    """A page from time to time is a gateway's, and leads to no login."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(3))
    page = {"method": "GET", "path": "*/runs/*", "status": 200, "body": PAGE, "times": 2}
    control.add_faults(world.arena, page)
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 1


def test_fault_88__hours_of_pages_lead_to_few_logins() -> None:
    """Pages that a new session does not end are waited out with few logins."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 3})
    world.send(*items(3))
    page = {"method": "GET", "path": "/v1/exports/*", "status": 200, "body": PAGE}
    control.add_faults(world.arena, {**page, "lastsSeconds": 4 * 3600})
    world.settle()
    assert_exported(world, items(3))
    assert world.posts() == 1
    assert world.telemetry.metrics["Logins"] <= 4 * 7


@pytest.mark.parametrize("code", [3011, 3012])
def test_fault_83__many_unknown_definitions_share_one_post_a_minute(code: int) -> None:
    """A good request is in the next run; the others cost 200 POSTs a day and are rejected."""
    world = World()
    control.set_settings(world.arena, {"unknownDefinitionCode": code})
    world.send(item_guid(1))
    world.settle()
    world.send(*({"exportGuid": name, "itemGuids": [item_guid(3)]} for name in UNKNOWN))
    world.send(item_guid(2))
    world.run_for(600)
    assert_exported(world, [item_guid(1), item_guid(2)])
    world.run_for(DAY - 660)
    trials = [r.at for name in UNKNOWN for r in requests_to(world, name, "submit")]
    assert len(trials) <= 200
    assert all(later - earlier >= 60 for earlier, later in pairwise(sorted(trials)))
    world.settle(2 * DAY)
    rejected = Counter(event["data"]["exportGuid"] for event in world.events("rejected"))
    assert rejected == dict.fromkeys(UNKNOWN, 1)
    assert {event["data"]["error"]["code"] for event in world.events("rejected")} == {str(code)}
    assert len(world.dead_letters.letters) == len(UNKNOWN)


@pytest.mark.parametrize("code", [3011, 3012])
def test_fault_83__definition_that_has_worked_is_not_unknown(code: int) -> None:
    """Ten minutes in which Arena does not find the definition reject nothing."""
    world = World()
    world.send(item_guid(1))
    world.settle()
    runs = f"/v1/exports/{EXPORT}/runs"
    fault = {"method": "POST", "path": runs, "code": code, "lastsSeconds": 600}
    control.add_faults(world.arena, fault)
    world.send(*items(5, 2))
    world.settle()
    assert_exported(world, items(6, 1))
    assert not world.events("rejected")


@pytest.mark.parametrize("code", [3011, 3012])
def test_fault_19__unknown_definition_is_tried_twice_and_rejected(code: int) -> None:
    """Two POSTs, a minute or more apart, lead to one event."""
    world = World()
    control.set_settings(world.arena, {"unknownDefinitionCode": code})
    world.send({"exportGuid": UNKNOWN[0], "itemGuids": items(2), "correlationId": "ECO-1"})
    world.settle()
    first, second = requests_to(world, UNKNOWN[0], "submit")
    assert second.at - first.at >= 60
    (event,) = world.events()
    assert event["type"] == "arena.export.request.rejected"
    assert event["data"]["error"]["code"] == str(code)
    assert event["data"]["correlationId"] == "ECO-1"
    assert sorted(event["data"]["itemGuids"]) == items(2)
    assert [letter.error_code for letter in world.dead_letters.letters] == [str(code)]


@pytest.mark.parametrize("code", [3011, 3012])
def test_fault_19__definition_that_becomes_known_is_used(code: int) -> None:
    """One "not found" may come from a replica, so the second try decides."""
    world = World()
    runs = f"/v1/exports/{EXPORT}/runs"
    control.add_faults(world.arena, {"method": "POST", "path": runs, "code": code})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert not world.events("rejected")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skew", [-600, 0, 600])
def test_fault_30__reset_is_waited_for_exactly_by_arena_s_clock(skew: int, seed: int) -> None:
    """The wait is the time to the reset by Arena's Date header, plus 1 to 30 s of jitter."""
    world = World(seed=seed)
    control.set_settings(world.arena, {"clockSkewSeconds": skew})
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20})
    reset = world.clock.now() + 20
    world.send(item_guid(1))
    met = [record.at for record in world.arena.request_log.records if record.code == 4084]
    waits_until = world.ledger.lease.read().not_before
    assert len(met) == 1
    assert reset + 1 <= waits_until <= reset + 32
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.answers(4084) == 1


def test_fault_30__reset_has_a_margin_by_our_own_clock() -> None:
    """Without a Date header, a minute is added to the wait."""
    world = World()
    control.set_settings(world.arena, {"dateForm": "none"})
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20, "resetForm": "rfc"})
    reset = world.clock.now() + 20
    world.send(item_guid(1))
    assert reset + 60 <= world.ledger.lease.read().not_before <= reset + 92
    world.settle()
    assert_exported(world, [item_guid(1)])


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("purpose", ["POST", "GET"])
def test_fault_30__burst_limit_is_waited_for_as_retry_after_says(
    form: str, skew: int, purpose: str
) -> None:
    """After a 429 with thousands of requests left, nothing is sent until Retry-After."""
    world = World()
    control.set_settings(world.arena, {"clockSkewSeconds": skew})
    began = world.clock.now()
    burst = _burst(retryAfterSeconds=40, retryAfterForm=form)
    control.add_faults(world.arena, {**burst, "method": purpose})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.clock.now() - began < 1800
    records = list(world.arena.request_log.records)
    (met,) = [number for number, record in enumerate(records) if record.status == 429]
    assert records[met + 1].at - records[met].at >= 40


def test_fault_30__lasting_burst_limit_is_retried_with_back_off() -> None:
    """During ten minutes of 429 with Retry-After 5 the waits grow, and end soon after it."""
    world = World()
    began = world.clock.now()
    control.add_faults(world.arena, _burst(retryAfterSeconds=5, lastsSeconds=600))
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert sum(record.status == 429 for record in world.arena.request_log.records) <= 15
    assert world.clock.now() - began < 2 * 3600


def _burst(**more: Any) -> dict[str, Any]:
    gateway = {"status": 429, "body": "<h1>Slow down</h1>", "counts": False, "arenaHeaders": True}
    return {"path": "/v1/exports/*", **gateway, **more}


@pytest.mark.parametrize("reset_form", ["zone", "joined", "none"])
def test_fault_32__unreadable_reset_leads_to_a_safe_wait(reset_form: str) -> None:
    """An unknown time zone or two joined dates lead to a safe wait, not to a tight loop."""
    world = World()
    control.set_budget(
        world.arena, {"remaining": 0, "resetSeconds": 4 * 3600, "resetForm": reset_form}
    )
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    met = [record.at for record in world.arena.request_log.records if record.code == 4084]
    assert len(met) <= 10
    assert all(later - earlier >= 60 for earlier, later in pairwise(met))


@pytest.mark.parametrize("form", ["joined", "decimals"])
def test_fault_92__first_number_of_an_altered_header_counts(form: str) -> None:
    """No run starts, because the altered header says that less than the reserve is left."""
    world = World()
    world.send(item_guid(1))
    world.settle()
    control.set_budget(world.arena, {"remaining": 50, "remainingForm": form, "resetSeconds": 7200})
    world.send(item_guid(2))
    world.settle()
    posts = world.posts()
    began = world.clock.now()
    control.set_budget(world.arena, {"remaining": 50, "remainingForm": form, "resetSeconds": 7200})
    world.send(item_guid(3))
    world.run_for(3600)
    assert world.posts() == posts
    assert any("header" in line for line, _ in world.telemetry.lines)
    world.settle()
    assert world.clock.now() - began >= 3600
    assert_exported(world, items(3, 1))


def test_fault_92__negative_number_counts_as_none_left() -> None:
    """After -1 no request is sent before the reset."""
    world = World()
    control.set_budget(
        world.arena, {"remaining": 1, "remainingForm": "negative", "resetSeconds": 7200}
    )
    control.plan_runs(world.arena, {"runningSeconds": 3})
    world.send(item_guid(1))
    reset = world.clock.now() + 7200
    assert world.posts() == 1
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.answers(4084) == 0
    records = [record for record in world.arena.request_log.records if record.purpose != "login"]
    assert records[1].at >= reset - 5


@pytest.mark.parametrize("form", ["zone", "joined", "none"])
def test_fault_92__unreadable_date_counts_as_missing(form: str) -> None:
    """It is not taken for a time in another zone, so a run is still adopted."""
    world = World()
    control.set_settings(world.arena, {"dateForm": form})
    control.add_faults(world.arena, LOST_ANSWER)
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.posts() == 1
