"""The faults 33 to 37 of the table in tests/README.md: runs that end otherwise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from arena_exports.domain.lease import LeaseState
from infra.simulator import control, names
from tests.support.world import World, assert_exported, item_guid, items

POLL = "poll an export run"
FIRST, SECOND = {"guid": "F" * 20, "title": "a.csv"}, {"guid": "G" * 20, "title": "b.csv"}
NAMELESS = {"guid": None, "title": "b.csv"}


def test_fault_33__downloaded_run_is_a_success() -> None:
    """A run that was downloaded between two polls is published like any other."""
    world = World()
    control.plan_runs(world.arena, {"status": "DOWNLOADED"})
    world.send(item_guid(1))
    world.settle()
    (event,) = world.events("completed")
    assert event["data"]["status"] == "DOWNLOADED"
    assert event["data"]["fileGuids"]


def test_fault_34__run_that_fails_once_is_submitted_again() -> None:
    """A run that failed once is retried unchanged, and nothing is rejected."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED"})
    world.send(*items(8))
    world.settle()
    assert_exported(world, items(8))
    assert world.posts() == 2
    assert world.events("rejected") == []


@pytest.mark.parametrize("bad", [[3], [0], [63], [3, 40], [1, 2, 62]])
def test_fault_34__bad_items_are_found_and_the_rest_is_exported(bad: list[int]) -> None:
    """Items that make runs fail are found by halving, in a bounded number of runs."""
    world = World()
    control.set_guids(world.arena, {"poison": [item_guid(n) for n in bad]})
    world.send({"itemGuids": items(64)})
    world.settle()
    rejected = [guid for event in world.events("rejected") for guid in event["data"]["itemGuids"]]
    assert sorted(rejected) == [item_guid(n) for n in bad]
    assert sorted(world.exported()) == [item_guid(n) for n in range(64) if n not in bad]
    if len(bad) == 1:
        assert world.posts() - 1 <= 2 * 6 + 2


def test_fault_34__bad_day_rejects_nothing() -> None:
    """A day on which every run fails rejects nothing, backs off, and exports everything later."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED", "count": 1000})
    world.send({"itemGuids": items(16)})
    world.run_for(12 * 3600)
    assert world.posts() <= 24
    assert world.telemetry.metrics["RunsFailed"] == world.posts()
    sent = [r.at for r in world.arena.request_log.records if r.purpose == "submit"]
    assert sent[-1] - sent[-2] >= 3600
    control.clear_plans(world.arena)
    world.settle()
    assert_exported(world, items(16))
    assert not world.dead_letters.letters


def test_fault_34__ordinary_runs_alternate_with_suspect_sets() -> None:
    """Requests that arrive while a failed set is halved are not delayed."""
    world = World()
    world.prove()
    control.set_guids(world.arena, {"poison": [item_guid(5)]})
    world.send({"itemGuids": items(64)})
    for n in range(3):
        world.run_for(20)
        world.send(item_guid(100 + n))
    world.settle()
    order = [event["data"]["itemGuids"] for event in world.events("completed")]
    ordinary = [order.index([item_guid(100 + n)]) for n in range(3)]
    assert ordinary[0] < len(order) - 3
    assert ordinary == sorted(ordinary)
    assert len(world.exported()) == 63 + 3


def test_fault_35__aborted_run_is_submitted_again() -> None:
    """A run that was aborted once is retried after a back-off."""
    world = World()
    control.plan_runs(world.arena, {"status": "ABORTED"})
    world.send(*items(4))
    world.settle()
    assert_exported(world, items(4))


def test_fault_35__run_that_is_aborted_twice_is_given_up() -> None:
    """A second ABORTED leads to an event and dead letters, and frees the lease."""
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


def test_fault_35__definition_run_is_not_given_up_for_another_run_s_aborts() -> None:
    """Definition requests share a run only with requests that were aborted as often."""
    world = World()
    body = {"exportGuid": names.DEFINITION_EXPORT_GUID}
    control.plan_runs(world.arena, {"status": "FAILED"})
    control.plan_runs(world.arena, {"status": "ABORTED"})
    control.plan_runs(world.arena, {"status": "FAILED"})
    control.plan_runs(world.arena, {"status": "ABORTED"})
    (first,) = world.send(body)
    world.run_for(40)
    (second,) = world.send(body)
    world.settle()
    given_up = [r["requestId"] for e in world.events("run.failed") for r in e["data"]["requests"]]
    exported = [r["requestId"] for e in world.events("completed") for r in e["data"]["requests"]]
    assert second not in given_up
    assert sorted(given_up + exported) == sorted([first, second])


def test_fault_36__overdue_run_is_polled_to_its_end() -> None:
    """An overdue run raises a metric, keeps the lease, and is published when it ends."""
    world = World(settings={"run_timeout_seconds": 60})
    control.plan_runs(world.arena, {"runningSeconds": 30_000})
    world.send(item_guid(1))
    world.run_for(29_000)
    assert world.telemetry.metrics["RunOverdue"] > 0
    assert world.ledger.lease.read().state is LeaseState.RUNNING
    assert len(world.ledger.requests.oldest_pages()) == 1
    world.settle()
    assert_exported(world, [item_guid(1)])
    polls = [r.at for r in world.arena.request_log.records if r.purpose == "poll"]
    assert len(polls) < 80
    gaps = [later - earlier for earlier, later in pairwise(polls)]
    assert gaps[-2] <= 3600
    assert gaps[:-1] == sorted(gaps[:-1])


def test_fault_37__complete_run_without_files_depends_on_its_results() -> None:
    """Without files and results a run is completed; with results it fails after a few polls."""
    world = World()
    control.plan_runs(world.arena, {"files": 0, "criteriaResultsCount": 0})
    world.send(item_guid(1))
    world.settle()
    control.plan_runs(world.arena, {"files": 0, "criteriaResultsCount": 1})
    world.send(item_guid(2))
    world.settle()
    completed, failed = world.events()
    assert completed["data"]["fileGuids"] == []
    assert failed["type"] == "arena.export.run.failed"
    assert failed["data"]["error"]["code"] == "NoFiles"
    assert [letter.error_code for letter in world.dead_letters.letters] == ["NoFiles"]
    assert world.telemetry.metrics["RunsGivenUp"] == 1


def test_fault_37__unknown_status_means_pending() -> None:
    """An unknown status is waited out, with a warning and a metric."""
    world = World()
    steps = [{"status": "ARCHIVING", "seconds": 30}, {"status": "COMPLETE"}]
    control.plan_runs(world.arena, {"steps": steps})
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    assert world.telemetry.metrics["UnknownStatus"] > 0


@pytest.mark.parametrize("unfinished", [[FIRST, NAMELESS], [FIRST, "b.csv"], [{}], {"file": "F"}])
def test_fault_37__incomplete_list_of_files_is_read_again(unfinished: Any) -> None:
    """An entry that cannot be read means that the file is still being written."""
    world = World()
    lists = iter([unfinished])
    world.transport.rewrite(POLL, lambda run: with_files(run, next(lists, [FIRST, SECOND])))
    world.send(item_guid(1))
    world.settle()
    (event,) = world.events("completed")
    assert event["data"]["fileGuids"] == [FIRST["guid"], SECOND["guid"]]


def test_fault_37__file_without_a_guid_is_reported_and_the_others_are_published() -> None:
    """After three more polls the readable files are published, with a warning and a metric."""
    world = World()
    world.transport.rewrite(POLL, lambda run: with_files(run, [FIRST, NAMELESS, FIRST]))
    world.send(item_guid(1))
    world.settle()
    (event,) = world.events("completed")
    assert event["data"]["files"] == [{**event["data"]["files"][0], **FIRST}]
    assert world.telemetry.metrics["FilesWithoutGuid"] == 1
    ended = [r for r in world.arena.request_log.records if r.purpose == "poll"]
    assert len(ended) >= 4


def test_fault_37__run_whose_files_have_no_guids_fails() -> None:
    """A run whose files cannot be named is not a success."""
    world = World()
    world.transport.rewrite(POLL, lambda run: with_files(run, [NAMELESS]))
    world.send(item_guid(1))
    world.settle()
    (event,) = world.events()
    assert event["data"]["error"]["code"] == "NoFiles"


def with_files(run: dict[str, Any], files: Any) -> dict[str, Any]:
    """Return a run with these files once it has ended."""
    return {**run, "files": files} if run["status"] == "COMPLETE" else run
