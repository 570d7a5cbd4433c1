"""Faults 17 to 19, 49 and 50 of the table in tests/README.md: runs that Arena refuses."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.model import ExportGuid
from infra.simulator import control, names
from tests.support.world import EXPORT, World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from arena_exports.ports import HttpAnswer, HttpRequest
    from tests.support.fakes import Send

POST = {"method": "POST", "path": "*/runs"}


def test_fault_17__run_too_large_is_halved_and_the_size_remembered() -> None:
    """Too many items go in smaller runs; the size that worked is remembered and grows."""
    world = World()
    control.put_definition(world.arena, EXPORT, {"views": ["SPECS"], "maxItems": 30})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert_exported(world, items(100))
    assert world.answers(3148) <= 4


def test_fault_17__single_item_that_is_too_large_alone_is_rejected() -> None:
    """An item that no run can carry is rejected, and the rest is exported."""
    world = World()
    heavy = item_guid(5)

    def weigh(send: Send, request: HttpRequest) -> HttpAnswer:
        if request.call == "start an export run" and heavy.encode() in request.body:
            control.add_faults(world.arena, {**POST, "code": 3149})
        return send(request)

    world.transport.intercept("send", weigh)
    world.send({"itemGuids": items(16)})
    world.settle()
    assert_exported(world, [guid for guid in items(16) if guid != heavy])
    (rejected,) = world.events("rejected")
    assert rejected["data"]["error"]["code"] == "3149"
    assert rejected["data"]["itemGuids"] == [heavy]
    assert json.loads(world.dead_letters.letters[0].body)["itemGuids"] == [heavy]


@pytest.mark.parametrize(
    "answer", [{"status": 413, "body": "<h1>"}, {"code": 3148}, {"code": 3149}]
)
def test_fault_17__every_form_of_too_large_halves_the_run(answer: dict[str, object]) -> None:
    """3148, 3149 and 413 each lead to two runs of half the size."""
    world = World()
    control.add_faults(world.arena, {**POST, **answer})
    world.send({"itemGuids": items(100)})
    world.settle()
    assert_exported(world, items(100))
    sizes = [len(run.item_guids) for run in world.arena.exports.runs]
    assert sizes == [50, 50]


def test_fault_17__syntax_error_for_a_very_large_body_halves_the_run() -> None:
    """The largest body is not documented, so code 400 for one above 100 kB may mean its size."""
    world = World()
    control.add_faults(world.arena, {**POST, "code": 400})
    world.send({"itemGuids": items(5000)})
    world.settle()
    assert_exported(world, items(5000))
    assert [len(run.item_guids) for run in world.arena.exports.runs] == [2500, 2500]


def test_fault_18__item_that_matches_nothing_is_published() -> None:
    """A run that matched fewer items than requested is published with the number that matched."""
    world = World()
    control.set_guids(world.arena, {"unknown": [item_guid(3)]})
    world.send(*items(5))
    world.settle()
    (event,) = world.events()
    assert event["data"]["criteriaResultsCount"] == 4
    assert len(event["data"]["itemGuids"]) == 5
    assert world.telemetry.metrics["ItemsNotMatched"] == 1
    assert world.posts() == 1


def test_fault_19__definition_of_the_wrong_kind_rejects_the_requests() -> None:
    """Items for a definition with its own criteria are rejected with Arena's code."""
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
    """Requests of a refused definition wait until it is repaired; others continue."""
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


@pytest.mark.parametrize("code", [3140, 3294])
def test_fault_19__criteria_that_the_definition_forbids_reject_the_requests(code: int) -> None:
    """One POST leads to a rejection for each request, with Arena's code."""
    world = World()
    control.add_faults(world.arena, {**POST, "code": code})
    ids = world.send({"itemGuids": items(2)}, item_guid(5))
    world.settle()
    assert [event["subject"] for event in world.events("rejected")] == ids
    assert {letter.error_code for letter in world.dead_letters.letters} == {str(code)}
    assert world.posts() == 1


def test_fault_49__3011_without_an_item_is_about_the_definition() -> None:
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
    """Two hundred unknown GUIDs are removed, and the rest is exported."""
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


def test_fault_50__different_bad_guid_each_time_ends_an_attempt_after_ten_posts() -> None:
    """No attempt sends more than ten POSTs; the remaining items are set aside and halved."""
    world = World()
    bad = items(200, 1000)
    control.set_guids(world.arena, {"bad": bad})
    world.send({"itemGuids": items(300) + bad})
    posts = world.posts()
    attempts = [
        item
        for pk, items_ in world.table.items.items()
        if pk[:4] == "RUN#"
        for item in items_.values()
        if "refusals" in item
    ]
    assert posts >= 10
    assert max(attempt["refusals"] for attempt in attempts) == 10
    world.settle()
    assert world.answers(3011) <= len(bad) + 20
    assert dict(world.exported()) == dict.fromkeys(items(300), 1)


@pytest.mark.parametrize("code", [3144, 3145, 3148, 4084])
def test_rejected_item__is_rejected_once_whatever_the_next_answer(code: int) -> None:
    """A rejected item does not become pending again with the rest of its attempt."""
    world, bad = World(), item_guid(3)
    refusal = {**POST, "code": 3011, "message": f'The guid "{bad}" is not valid.'}
    control.add_faults(world.arena, [refusal, {**POST, "code": code}])
    world.send({"itemGuids": items(5)})
    world.settle()
    assert world.answers(code) >= 1
    (rejection,) = world.events("rejected")
    assert rejection["data"]["itemGuids"] == [bad]
    assert [letter.error_code for letter in world.dead_letters.letters] == ["3011"]
    assert dict(world.exported()) == dict.fromkeys(set(items(5)) - {bad}, 1)


@pytest.mark.parametrize("code", [3011, 3012])
def test_fault_19__unknown_definition_is_rejected_on_the_second_try(code: int) -> None:
    """After a 3011 or 3012 that names the export definition, it is tried once more."""
    world = World()
    control.set_settings(world.arena, {"unknownDefinitionCode": code})
    world.send({"exportGuid": "NOSUCHDEFINITION0001", "itemGuids": items(3)})
    assert (world.posts(), world.events("rejected")) == (1, [])
    world.settle()
    tries = [r.at for r in world.arena.request_log.records if r.purpose == "submit"]
    assert len(tries) == 2
    assert 60 <= tries[1] - tries[0] < 130
    (rejection,) = world.events("rejected")
    assert rejection["data"]["error"]["code"] == str(code)
    assert rejection["data"]["itemGuids"] == items(3)
    assert [letter.error_code for letter in world.dead_letters.letters] == [str(code)]


def test_fault_19__definition_that_is_briefly_unknown_is_used() -> None:
    """A lagging replica on the first try costs a minute."""
    world, late = World(), "NOSUCHDEFINITION0001"
    world.send({"exportGuid": late, "itemGuids": items(3)})
    control.put_definition(world.arena, late, {})
    world.settle()
    assert_exported(world, items(3))
    assert world.ledger.definitions.read(ExportGuid(late)).unknown_at == 0


def test_fault_83__definition_that_worked_before_rejects_nothing() -> None:
    """Requests of a definition that has worked wait, with the alarm, however long it takes."""
    world = World()
    world.prove()
    refusal = {**POST, "code": 3012, "message": f'The guid "{EXPORT}" is not found.', "times": 6}
    control.add_faults(world.arena, refusal)
    world.send({"itemGuids": items(3)})
    world.run_for(600)
    assert world.telemetry.metrics["DefinitionRefused"] >= 3
    world.settle()
    assert_exported(world, items(3))
    assert not world.dead_letters.letters


def test_fault_83__unknown_definitions_share_one_post_a_minute_and_200_a_day() -> None:
    """Requests of a definition that has worked leave at once beside hundreds of unknown ones."""
    world = World()
    world.prove(EXPORT)
    world.send(*({"exportGuid": f"UNKNOWN{n:013}"} for n in range(300)), item_guid(1))
    world.run_for(600)
    assert dict(world.exported()) == {item_guid(1): 1}
    world.run_for(23 * 3600)
    world.send(item_guid(2))
    world.run_for(120)
    assert world.exported()[item_guid(2)] == 1
    tries = [r.at for r in world.arena.request_log.records if r.code == 3012]
    assert len(tries) == 200
    assert min(later - at for at, later in pairwise(tries)) >= 60
