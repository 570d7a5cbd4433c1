"""Runs over time: their statuses, their JSON, the slot, and the control interface."""

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, ITEM_OF_19, RUN_SECONDS, RUNS, Arena, codes

DEFINITION_RUNS = f"/v1/exports/{names.DEFINITION_EXPORT_GUID}/runs"


def test_run__goes_from_created_to_complete(arena: Arena) -> None:
    """A run is CREATED for its delay, then RUNNING, then COMPLETE."""
    run = arena.start()
    seen = [arena.status(run)]
    for seconds in (1.9, 0.1, 9.9, 0.1, 1e6):
        arena.clock.move(seconds)
        arena.session_id = arena.session_id if seconds < 1e6 else arena.log_in()
        seen.append(arena.status(run))
    assert seen == ["CREATED", "CREATED", "RUNNING", "RUNNING", "COMPLETE", "COMPLETE"]


def test_run__in_progress_looks_as_documented(arena: Arena) -> None:
    """A new run has no completion time and no files, and echoes its criteria."""
    answer = arena.post(ITEM, ITEM_OF_19)
    assert answer.status_code == 201
    guid = answer.json["guid"]
    assert len(guid) == 20
    assert answer.json == {
        "completionDateTime": None,
        "creationDateTime": "2024-03-01T12:00:00Z",
        "creator": {
            "email": "machine@example.com",
            "fullName": "Machine User",
            "guid": "USERMACHINE000000001",
        },
        "criteria": [{"attribute": "guid", "value": [ITEM, ITEM_OF_19], "operator": "IS_IN"}],
        "criteriaResultsCount": 2,
        "guid": guid,
        "number": 1,
        "status": "CREATED",
    }


def test_run__complete_looks_as_documented(arena: Arena) -> None:
    """A completed run has its completion time and a file without a title."""
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert view["completionDateTime"] == "2024-03-01T12:00:12Z"
    assert [file["title"] for file in view["files"]] == [None]


def test_run__criteria_in_the_other_shape(arena: Arena) -> None:
    """Runs echo an array of arrays if set so."""
    arena.control("PATCH", "settings", {"criteriaShape": "groups"})
    criterion = {"attribute": "guid", "value": [ITEM], "operator": "IS_IN"}
    assert arena.post().json["criteria"] == [[criterion]]


def test_run__numbers_count_per_definition(arena: Arena) -> None:
    """Each definition numbers its own runs."""
    numbers = []
    for runs in (RUNS, RUNS, DEFINITION_RUNS):
        own_criteria = runs == DEFINITION_RUNS
        answer = arena.call("POST", runs, {}) if own_criteria else arena.post()
        numbers.append(answer.json["number"])
        arena.clock.move(RUN_SECONDS)
    assert numbers == [1, 2, 1]


def test_run__definition_with_its_own_criteria(arena: Arena) -> None:
    """A definition run takes an empty body and echoes the definition's criteria."""
    run = arena.call("POST", DEFINITION_RUNS, {}).json
    assert run["criteriaResultsCount"] == 25
    assert [criterion["attribute"] for criterion in run["criteria"]] == ["lifecyclePhase.name"]


def test_slot__second_run_is_refused_until_the_first_ended(arena: Arena) -> None:
    """Only one export can be in progress, of whichever definition."""
    arena.start()
    arena.clock.move(RUN_SECONDS - 0.1)
    assert codes(arena.post()) == [(400, 3144)]
    assert codes(arena.call("POST", DEFINITION_RUNS, {})) == [(400, 3144)]
    arena.clock.move(0.1)
    assert arena.post().status_code == 201


@pytest.mark.parametrize("status", ["FAILED", "ABORTED"])
def test_run__ends_without_results(arena: Arena, status: str) -> None:
    """A failed or aborted run has a completion time and no files, and frees the slot."""
    arena.control("POST", "next-runs", {"status": status})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert view["status"] == status
    assert view["completionDateTime"] is not None
    assert "files" not in view
    arena.start()


def test_run__planned_count_and_then_usual_again(arena: Arena) -> None:
    """A plan applies to `count` runs."""
    arena.control("POST", "next-runs", {"count": 2, "status": "FAILED"})
    seen = []
    for _ in range(3):
        run = arena.start()
        arena.clock.move(RUN_SECONDS)
        seen.append(arena.status(run))
    assert seen == ["FAILED", "FAILED", "COMPLETE"]


def test_run__plans_are_forgotten(arena: Arena) -> None:
    """The control interface removes plans."""
    arena.control("POST", "next-runs", {"count": 2, "status": "FAILED"})
    assert arena.state()["plannedRuns"] == 2
    arena.control("DELETE", "next-runs")
    assert arena.state()["plannedRuns"] == 0


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED"])
def test_run__stays_until_control_turns_it(arena: Arena, status: str) -> None:
    """A run with an unknown status, or without end, holds the slot until its status changes."""
    arena.control("POST", "next-runs", {"status": status})
    run = arena.start()
    arena.clock.move(3600)
    assert arena.status(run) == status
    assert codes(arena.post()) == [(400, 3144)]
    arena.control("PATCH", f"runs/{run.rpartition('/')[2]}", {"status": "COMPLETE"})
    view = arena.get(run).json
    assert view["status"] == "COMPLETE"
    assert view["completionDateTime"] == "2024-03-01T13:00:00Z"
    assert len(view["files"]) == 1


def test_run__jumps_to_downloaded(arena: Arena) -> None:
    """A run can be DOWNLOADED before anybody saw it COMPLETE."""
    arena.control("POST", "next-runs", {"status": "DOWNLOADED"})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert view["status"] == "DOWNLOADED"
    assert len(view["files"]) == 1


def test_run__planned_step_by_step(arena: Arena) -> None:
    """Steps give every status its time, unknown ones among them."""
    steps = [
        {"status": "CREATED", "seconds": 1},
        {"status": "QUEUED_AGAIN", "seconds": 2},
        {"status": "COMPLETE"},
    ]
    arena.control("POST", "next-runs", {"steps": steps})
    run = arena.start()
    seen = []
    for seconds in (0.5, 1, 2):
        arena.clock.move(seconds)
        seen.append(arena.status(run))
    assert seen == ["CREATED", "QUEUED_AGAIN", "COMPLETE"]


def test_run__delays_of_its_own(arena: Arena) -> None:
    """A plan can change the delays of one run."""
    arena.control("POST", "next-runs", {"createdSeconds": 0, "runningSeconds": 0.5})
    run = arena.start()
    assert arena.status(run) == "RUNNING"
    arena.clock.move(0.5)
    assert arena.status(run) == "COMPLETE"


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    ("shape", "shown"), [("absent", {}), ("empty", {"files": []}), ("null", {"files": None})]
)
def test_run__completes_without_files(
    arena: Arena, count: int, shape: str, shown: dict[str, object]
) -> None:
    """A run without files shows that in the shape that is set."""
    arena.control("PATCH", "settings", {"emptyFiles": shape})
    arena.control("POST", "next-runs", {"files": 0, "criteriaResultsCount": count})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert (view["status"], view["criteriaResultsCount"]) == ("COMPLETE", count)
    assert {key: view[key] for key in view if key == "files"} == shown


def test_run__many_files(arena: Arena) -> None:
    """A run can have any number of files, each with a GUID of its own."""
    arena.control("POST", "next-runs", {"files": 300})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    assert len({file["guid"] for file in arena.get(run).json["files"]}) == 300


def test_guids__unknown_ones_match_nothing(arena: Arena) -> None:
    """Unknown GUIDs lower the results; a run of nothing else completes without files."""
    arena.control("PATCH", "guids", {"unknown": [ITEM]})
    assert arena.post(ITEM, ITEM_OF_19).json["criteriaResultsCount"] == 1
    arena.clock.move(RUN_SECONDS)
    run = arena.start(ITEM)
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert (view["status"], view["criteriaResultsCount"]) == ("COMPLETE", 0)
    assert "files" not in view


def test_guids__poison_fails_each_run_that_holds_it(arena: Arena) -> None:
    """A run with a poison GUID fails, one without it does not."""
    arena.control("PATCH", "guids", {"poison": [ITEM]})
    seen = []
    for guids in ((ITEM, ITEM_OF_19), (ITEM_OF_19,)):
        run = arena.start(*guids)
        arena.clock.move(RUN_SECONDS)
        seen.append(arena.status(run))
    assert seen == ["FAILED", "COMPLETE"]


def test_foreign_run__holds_the_slot(arena: Arena) -> None:
    """A run of another user holds the slot for the given seconds."""
    arena.control("POST", "foreign-runs", {"seconds": 30})
    arena.clock.move(29.9)
    assert codes(arena.post()) == [(400, 3144)]
    arena.clock.move(0.1)
    assert arena.post().status_code == 201


def test_foreign_run__cannot_be_read(arena: Arena) -> None:
    """Another user's run is code 3024 with HTTP 403 for every request."""
    body = {"seconds": 1, "exportGuid": names.DEFAULT_EXPORT_GUID, "itemGuids": [ITEM]}
    guid = arena.control("POST", "foreign-runs", body).json["runGuid"]
    assert codes(arena.get(f"{RUNS}/{guid}")) == [(403, 3024)]
    assert codes(arena.get(f"{RUNS}/{guid}/files/{ITEM}")) == [(403, 3024)]


def test_foreign_run__leaves_plans_alone(arena: Arena) -> None:
    """A run of another user does not use up a plan."""
    arena.control("POST", "next-runs", {"status": "FAILED"})
    arena.control("POST", "foreign-runs", {"seconds": 0})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    assert arena.status(run) == "FAILED"


def test_run__unknown_or_of_another_definition(arena: Arena) -> None:
    """A run that this definition does not have is code 3012."""
    guid = arena.start().rpartition("/")[2]
    assert codes(arena.get(f"{RUNS}/{ITEM}")) == [(400, 3012)]
    assert codes(arena.get(f"{DEFINITION_RUNS}/{guid}")) == [(400, 3012)]


def test_run__clock_skew(arena: Arena) -> None:
    """Arena's clock can be off: its times and its Date header show it."""
    arena.control("PATCH", "settings", {"clockSkewSeconds": -600})
    answer = arena.post()
    assert answer.json["creationDateTime"] == "2024-03-01T11:50:00Z"
    assert answer.headers["Date"] == "Fri, 01 Mar 2024 11:50:00 GMT"


def test_definition__can_be_read(arena: Arena) -> None:
    """A definition shows what it exports."""
    view = arena.get(f"/v1/exports/{names.FILES_EXPORT_GUID}").json
    assert view["guid"] == names.FILES_EXPORT_GUID
    assert view["options"] == {"exportViews": ["SPECS", "FILES"], "format": "CSV"}
    assert view["criteria"] is None
