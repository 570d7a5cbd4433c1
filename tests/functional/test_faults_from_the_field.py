"""The faults 19, 30, 32, 83, 86 to 88, 92 of the table in tests/README.md, as the field has them.

They come from public reports of teams that do the same job: broken definitions, firewalls, replicas
that lag, login pages, burst limits, altered headers.
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
def test_fault_86__definition_that_never_works_leaves_the_others_alone(
    answer: dict[str, Any],
) -> None:
    """It costs fewer than 600 requests a day; others are exported; nothing of it is rejected."""
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
    """One bad item of a hundred costs 2·log2(n) + 2 more attempts; the others are exported."""
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
def test_fault_86__firewall_that_lets_small_bodies_pass(status: int) -> None:
    """A page for each body above 8 KB counts as too large: fewer items pass."""
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
    """No POST of any definition leads to a run for a day; then everything is exported once."""
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
def test_fault_87__run_that_is_not_found_at_first(code: int) -> None:
    """A replica that lags does not know the run yet: it is asked again, and no other run starts."""
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
def test_fault_87__run_that_is_not_found_for_a_while(code: int, at: int) -> None:
    """At any time: some minutes of "not found" are no answer about a run that was created."""
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
def test_fault_87__list_that_takes_no_filter_is_read_without(
    answer: dict[str, Any], parameter: str
) -> None:
    """The run of a POST whose answer was lost is found in the whole list, and adopted."""
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
def test_fault_87__refused_search_is_no_empty_one(answer: dict[str, Any]) -> None:
    """Ten minutes in which searches are refused permit no second POST; the run is adopted then."""
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
    """A session that ends in mid-run shows as a login page: one login, an alarm, one run."""
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
def test_fault_88__session_that_somebody_wrote_by_hand_shows_as_a_login_page(form: str) -> None:
    """Two sessions are dead, the one in the secret and ours: both are renewed away."""
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


def test_fault_88__two_pages_are_no_dead_session() -> None:
    """A page now and then is a gateway's: no login, and the answer after it counts."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 1800})
    world.send(*items(3))
    page = {"method": "GET", "path": "*/runs/*", "status": 200, "body": PAGE, "times": 2}
    control.add_faults(world.arena, page)
    world.settle()
    assert_exported(world, items(3))
    assert world.telemetry.metrics["Logins"] == 1


def test_fault_88__hours_of_pages_lead_to_no_duel_of_logins() -> None:
    """Pages that a new session does not end are waited out, with few logins."""
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
    """A good request leaves in the next run; the others cost 200 POSTs a day, and are rejected."""
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
    """Ten minutes in which Arena does not know it reject nothing."""
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
    """Arena does not know the definition, a minute or more later neither: two POSTs, one event."""
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
def test_fault_19__definition_that_comes_to_be_known_is_exported(code: int) -> None:
    """One "not found" may be a replica's: the second try is the one that counts."""
    world = World()
    runs = f"/v1/exports/{EXPORT}/runs"
    control.add_faults(world.arena, {"method": "POST", "path": runs, "code": code})
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert not world.events("rejected")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skew", [-600, 0, 600])
def test_fault_30__reset_by_arenas_clock_is_waited_for_exactly(skew: int, seed: int) -> None:
    """Twenty seconds to the reset by Arena's Date: that, and 1 to 30 s of jitter."""
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


def test_fault_30__reset_by_our_clock_has_a_margin() -> None:
    """Without a Date header the reset is waited for with a minute to spare."""
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
def test_fault_30__burst_limit_is_waited_for_as_it_says(form: str, skew: int, purpose: str) -> None:
    """A 429 with thousands of requests left: nothing until Retry-After, then all goes on."""
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


def test_fault_30__burst_limit_that_lasts_is_met_ever_less_often() -> None:
    """Ten minutes of 429 with Retry-After 5: the waits grow, and are over soon after it."""
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
def test_fault_32__reset_that_cannot_be_read_leads_to_a_safe_wait(reset_form: str) -> None:
    """A zone that nobody knows, or two dates in one: waited out safely, in no hot loop."""
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
    """Fewer requests than the reserve are left, as the altered header says: no new run."""
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
    """After -1, no request is sent before the reset."""
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
def test_fault_92__date_that_cannot_be_read_counts_as_missing(form: str) -> None:
    """Not as a time in another zone: a run is adopted, and the reset waited for by our clock."""
    world = World()
    control.set_settings(world.arena, {"dateForm": form})
    control.add_faults(world.arena, LOST_ANSWER)
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    assert world.posts() == 1
