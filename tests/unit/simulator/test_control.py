"""The control interface: what it tells, and the bodies that it refuses."""

import re

import pytest

from infra.local.paths import ROOT
from infra.simulator import names
from tests.unit.simulator.driver import ITEM, RUN_SECONDS, RUNS, Answer, Arena

DEFINITION = "definitions/EXPNEW00000000000001"


def test_state__tells_runs_counts_and_requests(arena: Arena) -> None:
    """The state shows what happened, each request with its purpose."""
    run = arena.start()
    arena.post()
    arena.call("GET", run, headers={"Arena-Usage-Reason": "poll"})
    state = arena.state()
    assert state["slot"] == run.rpartition("/")[2]
    assert [(run["exportGuid"], run["itemCount"]) for run in state["runs"]] == [
        (names.DEFAULT_EXPORT_GUID, 1)
    ]
    purposes = [(entry["purpose"], entry["status"]) for entry in state["requests"]]
    assert purposes == [("login", 200), ("submit", 201), ("submit", 400), ("poll", 200)]
    assert state["requests"][-1]["usageReason"] == "poll"
    assert state["counts"] == {
        "total": 4,
        "byPurpose": {"login": 1, "submit": 2, "poll": 1},
        "byStatus": {"200": 2, "201": 1, "400": 1},
        "byCode": {"3144": 1},
    }
    assert state["budget"]["remaining"] == 9997


def test_state__purposes_of_the_other_addresses(arena: Arena) -> None:
    """Every address has a purpose of its own."""
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    file = f"{run}/files/{arena.get(run).json['files'][0]['guid']}"
    for path in (RUNS, RUNS.removesuffix("/runs"), file, f"{file}/content", "/v1/nothing"):
        arena.get(path)
    arena.call("PUT", "/v1/logout")
    seen = [entry["purpose"] for entry in arena.state()["requests"]][3:]
    assert seen == ["list", "definition", "file", "download", "unknown", "logout"]


def test_state__with_the_latest_requests_only(arena: Arena) -> None:
    """The request log can be cut short."""
    for _ in range(3):
        arena.get(RUNS)
    for latest, shown in (("0", 0), ("2", 2), ("99", 4)):
        state = arena.command("GET", f"state?requests={latest}").json
        assert len(state["requests"]) == shown
    answer = arena.command("GET", "state?requests=x")
    assert (answer.status_code, answer.json["field"]) == (400, "requests")


def test_state__holds_no_secret(arena: Arena) -> None:
    """Neither a session nor a password is told."""
    arena.control("PATCH", "account", {"password": "canary-password"})
    arena.post()
    for path in ("state", "runs"):
        text = arena.client.get(f"/_simulator/{path}").text
        assert "canary-password" not in text
        assert str(arena.session_id) not in text


def test_runs__tell_their_items(arena: Arena) -> None:
    """The runs can be read with the GUIDs of their items."""
    arena.start(ITEM)
    [run] = arena.command("GET", "runs").json["runs"]
    assert run["itemGuids"] == [ITEM]
    assert run["creator"] == names.MACHINE_EMAIL


def test_reset__goes_back_to_the_start(arena: Arena) -> None:
    """After a reset nothing is left of what happened or was set."""
    before = arena.state()["settings"]
    arena.control("PATCH", "settings", {"runningSeconds": 99})
    arena.control("PATCH", "guids", {"bad": [ITEM]})
    arena.control("PATCH", "account", {"password": "x"})
    arena.control("PUT", DEFINITION)
    arena.fault(path="/v1/nothing", code=503)
    arena.post("bad")
    arena.control("POST", "reset")
    state = arena.state()
    assert state["settings"] == before
    assert (state["runs"], state["requests"], state["faults"]) == ([], [], [])
    assert (state["sessions"], state["budget"]["used"]) == (0, 0)
    assert state["guids"] == {"bad": [], "unknown": [], "poison": []}
    assert len(state["definitions"]) == 3
    assert arena.try_login().status_code == 200


def test_guids__sets_that_are_not_named_stay(arena: Arena) -> None:
    """Only the sets in the body are replaced."""
    arena.control("PATCH", "guids", {"bad": ["A"], "poison": ["B"]})
    arena.control("PATCH", "guids", {"bad": []})
    assert arena.state()["guids"] == {"bad": [], "unknown": [], "poison": ["B"]}


def test_definition__added(arena: Arena) -> None:
    """A definition with criteria of its own can be added and run."""
    criteria = [[{"attribute": "number", "operator": "CONTAINS", "value": "900"}]]
    arena.control("PUT", DEFINITION, {"criteria": criteria, "matchedItems": 3})
    runs = "/v1/exports/EXPNEW00000000000001/runs"
    assert arena.call("POST", runs, {}).json["criteriaResultsCount"] == 3


@pytest.mark.parametrize(
    ("method", "command", "body", "field"),
    [
        ("PATCH", "settings", {"runningSeconds": "3"}, "runningSeconds"),
        ("PATCH", "settings", {"runningSeconds": -1}, "runningSeconds"),
        ("PATCH", "settings", {"criteriaShape": "flat"}, "criteriaShape"),
        ("PATCH", "settings", {"listLimit": "x"}, "listLimit"),
        ("PATCH", "settings", {"runSeconds": 3}, "runSeconds"),
        ("PATCH", "settings", [], "body"),
        ("POST", "next-runs", {"count": 0}, "count"),
        ("POST", "next-runs", {"status": ""}, "status"),
        ("POST", "next-runs", {"steps": []}, "steps"),
        ("POST", "next-runs", {"steps": [{"seconds": 1}]}, "steps.0.status"),
        ("POST", "next-runs", {"steps": [{"status": "A", "seconds": "1"}]}, "steps.0.seconds"),
        ("POST", "foreign-runs", {"seconds": None}, "seconds"),
        ("POST", "foreign-runs", {"exportGuid": "NONE"}, "exportGuid"),
        ("PATCH", f"runs/{ITEM}", {}, "status"),
        ("POST", "faults", {"method": "get"}, "method"),
        ("POST", "faults", {"status": 99}, "status"),
        ("POST", "faults", {"headers": {"A": 1}}, "headers.A"),
        ("POST", "faults", [{"code": 503}, {"drop": 1}], "drop"),
        ("PATCH", "budget", {"remaining": 1.5}, "remaining"),
        ("PATCH", "budget", {"resetForm": "odd"}, "resetForm"),
        ("PATCH", "account", {"refusal": 3011}, "refusal"),
        ("PATCH", "account", {"lockedSeconds": True}, "lockedSeconds"),
        ("PATCH", "guids", {"bad": "A"}, "bad"),
        ("PATCH", "guids", {"worse": []}, "worse"),
        ("PUT", DEFINITION, {"format": "XML"}, "format"),
    ],
)
def test_body__refused_with_the_field(
    arena: Arena, method: str, command: str, body: object, field: str
) -> None:
    """A body that cannot be followed is 400, names the field, and changes nothing."""
    before = arena.state()
    answer = arena.command(method, command, body)
    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert answer.json["message"]
    assert arena.state() == before


@pytest.mark.parametrize("data", [b"{", b"NaN", b'{"runningSeconds": Infinity}', b"\xff"])
def test_body__that_is_not_json(arena: Arena, data: bytes) -> None:
    """What is not JSON is refused as a whole."""
    answer: Answer = arena.client.patch("/_simulator/settings", data=data)
    assert (answer.status_code, answer.json["field"]) == (400, "body")


def test_foreign_run__slot_taken(arena: Arena) -> None:
    """A foreign run cannot start beside another run."""
    arena.start()
    assert arena.client.post("/_simulator/foreign-runs", json={}).status_code == 409


def test_run__unknown(arena: Arena) -> None:
    """A run that does not exist cannot be turned."""
    answer = arena.command("PATCH", f"runs/{ITEM}", {"status": "FAILED"})
    assert (answer.status_code, answer.json["field"]) == (404, "runGuid")


@pytest.mark.parametrize("path", ["/_simulator", "/_simulator/"])
def test_calls__are_listed(arena: Arena, path: str) -> None:
    """The interface itself answers with its calls, each of which exists, as README has them."""
    before = arena.state()["counts"]
    answer = arena.client.get(path)
    assert answer.status_code == 200
    rules = arena.client.application.url_map.iter_rules()
    served = {
        f"{method} {rule.rule}"
        for rule in rules
        if rule.endpoint.startswith("control.") and "path:" not in rule.rule
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(answer.json["calls"]) == served - {"GET /_simulator/"}
    page = (ROOT / answer.json["description"]).read_text()
    calls = re.findall(r"^\| `([A-Z]+ [^`]+)` \|", page, re.MULTILINE)
    listed = [re.sub(r"<\w+>", "<GUID>", call) for call in answer.json["calls"]]
    assert {call.replace("/_simulator/", "") for call in listed} == set(calls)
    assert arena.state()["counts"] == before


@pytest.mark.parametrize(("method", "path"), [("GET", "settings"), ("POST", "nothing")])
def test_command__unknown(arena: Arena, method: str, path: str) -> None:
    """A mistyped command is 404 and never reaches Arena's side."""
    answer = arena.command(method, path)
    assert (answer.status_code, answer.json["field"]) == (404, "path")
    assert arena.state()["counts"]["total"] == 1
