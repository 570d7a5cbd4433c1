"""The function examine: what it asks Arena, and what an operator sees of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.simulator import control, names
from tests.support.world import EXPORT, World, items

CALLER = "arn:aws:iam::123456789012:user/operator"


@pytest.fixture
def world() -> World:
    """A world in which a run has succeeded, so that there is a session."""
    world = World()
    world.send({"itemGuids": items(3)})
    world.settle()
    return world


def examine(world: World, export_guid: str = EXPORT) -> dict[str, Any]:
    """Invoke the function as the command does."""
    answer = world.call("examine", {"exportGuid": export_guid, "sentBy": CALLER})
    return dict(json.loads(json.dumps(answer)))


def requests(world: World) -> int:
    """Count the requests that Arena saw, without logins."""
    return sum(record.purpose != "login" for record in world.arena.request_log.records)


def test_examine__reads_the_definition_and_its_runs(world: World) -> None:
    """Two requests, counted as the metric's, and the budget's headers for a fixture."""
    before = requests(world)
    report = examine(world)
    definition, runs = report["answers"]
    assert (report["problem"], requests(world) - before) == ("", 2)
    assert world.telemetry.metrics["ArenaRequestsToExamine"] == 2
    assert definition["status"] == 200
    assert definition["body"]["options"] == {"exportViews": ["SPECS"], "format": "CSV"}
    assert definition["headers"]["x-arena-requests-remaining"].isdigit()
    (run,) = runs["body"]["results"]
    assert (run["status"], run["criteriaResultsCount"]) == ("COMPLETE", 3)


def test_examine__shows_no_person_and_no_session(world: World) -> None:
    """Neither names, nor addresses, nor the session id, which an error may repeat."""
    secret = world.session_secret.versions[str(world.session_secret.current)]
    session_id = str(secret["arenaSessionId"])
    text = json.dumps(examine(world))
    control.add_faults(
        world.arena, {"method": "GET", "code": 3011, "message": f"session {session_id} is odd"}
    )
    refused = json.dumps(examine(world))
    assert '"code": 3011, "message": "[redacted]"' in refused
    for private in ("Machine User", "Items by GUID", "@", session_id):
        assert private not in text + refused


def test_examine__stops_at_the_reserve(world: World) -> None:
    """Nothing is sent, and the report says why."""
    control.set_budget(world.arena, {"remaining": 101})
    world.send({"itemGuids": items(3)})
    world.run_for(60)
    before = requests(world)
    report = examine(world)
    assert report["answers"] == []
    assert "request budget at its reserve" in report["problem"]
    assert requests(world) == before


def test_examine__renews_a_dead_session_by_the_session_function(world: World) -> None:
    """One login, and three requests in all."""
    control.kill_sessions(world.arena)
    before, logins = requests(world), world.logins()
    assert len(examine(world)["answers"]) == 2
    assert (requests(world) - before, world.logins() - logins) == (3, 1)


def test_examine__sends_three_requests_at_most(world: World) -> None:
    """Also when every session dies at once."""
    control.kill_sessions(world.arena)
    control.add_faults(world.arena, [{"method": "GET", "path": "*/runs", "code": 401, "times": 2}])
    before = requests(world)
    report = examine(world)
    assert requests(world) - before == 3
    assert len(report["answers"]) == 1
    assert "3 Arena requests were sent, and no more are allowed" in report["problem"]


def test_examine__asks_no_further_about_a_definition_that_is_refused(world: World) -> None:
    """The refusal is the only answer."""
    before = requests(world)
    report = examine(world, "NOSUCHDEFINITION0001")
    (answer,) = report["answers"]
    assert (answer["status"], answer["body"]["errors"][0]["code"]) == (400, 3012)
    assert requests(world) - before == 1


def test_examine__reports_an_answer_that_is_no_json(world: World) -> None:
    """A page has no body in the report; a request without an answer is its problem."""
    control.add_faults(world.arena, {"method": "GET", "status": 200, "body": "<html>Heidi</html>"})
    page = examine(world)["answers"][0]
    assert (page["status"], page["body"]) == (200, None)
    control.add_faults(world.arena, {"method": "GET", "drop": True, "times": 3})
    silent = examine(world)
    assert (silent["answers"], bool(silent["problem"])) == ([], True)


def test_examine__takes_no_path_for_a_guid(world: World) -> None:
    """A malformed GUID is not sent."""
    before = requests(world)
    assert examine(world, "../login")["problem"] == "exportGuid is not a valid GUID"
    assert requests(world) == before


def test_examine__logs_who_asks(world: World) -> None:
    """The line has the caller's ARN and the definition."""
    examine(world, names.FILES_EXPORT_GUID)
    line = ("operator asks arena", {"exportGuid": names.FILES_EXPORT_GUID, "sentBy": CALLER})
    assert line in world.telemetry.lines
