"""Faults: what goes wrong once, for the requests that match."""

import json

import pytest

from tests.unit.simulator.driver import NOON, RUN_SECONDS, RUNS, Arena, codes


def test_fault__answers_any_status_and_code(arena: Arena) -> None:
    """A fault gives its answer instead of doing the work."""
    arena.fault(method="POST", path="/v1/exports/*/runs", status=500, code=3000, message="Again")
    answer = arena.post()
    assert codes(answer) == [(500, 3000)]
    assert answer.json["errors"][0]["message"] == "Again"
    assert "X-Arena-Requests-Remaining" in answer.headers
    assert arena.state()["runs"] == []
    assert arena.post().status_code == 201


def test_fault__answers_html(arena: Arena) -> None:
    """A body of its own is HTML without Arena's headers, as a proxy sends it."""
    arena.fault(status=502, body="<h1>Bad gateway</h1>")
    answer = arena.get(RUNS)
    assert (answer.status_code, answer.mimetype) == (502, "text/html")
    assert answer.text == "<h1>Bad gateway</h1>"
    assert "X-Arena-Requests-Remaining" not in answer.headers


def test_fault__answers_garbage_as_json(arena: Arena) -> None:
    """A body can claim to be JSON and not be it."""
    arena.fault(body="{]", contentType="application/json")
    answer = arena.get(RUNS)
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "application/json", "{]")


def test_fault__redirects(arena: Arena) -> None:
    """A fault can carry headers, such as a redirect's."""
    arena.fault(status=302, headers={"Location": "https://elsewhere.example.com/v1/login"})
    answer = arena.get(RUNS)
    assert answer.status_code == 302
    assert answer.location == "https://elsewhere.example.com/v1/login"


def test_fault__truncates_the_true_answer(arena: Arena) -> None:
    """A truncated answer is the work's own, cut in the middle; the work is done."""
    arena.fault(method="POST", truncate=True)
    answer = arena.post()
    assert answer.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.data)
    assert len(arena.state()["runs"]) == 1


@pytest.mark.parametrize(("work", "runs"), [(False, 0), (True, 1)])
def test_fault__drops_the_connection(arena: Arena, work: bool, runs: int) -> None:  # noqa: FBT001 - a case
    """A connection drops before the work is done, or after it."""
    arena.fault(method="POST", path=RUNS, drop=True, work=work)
    with pytest.raises(ConnectionAbortedError):
        arena.post()
    state = arena.state()
    assert len(state["runs"]) == runs
    assert state["requests"][-1]["dropped"]
    assert state["requests"][-1]["status"] == (201 if work else 0)


def test_fault__does_the_work_and_answers_wrongly(arena: Arena) -> None:
    """The run exists though the answer says otherwise."""
    arena.fault(method="POST", work=True, status=504, body="")
    assert arena.post().status_code == 504
    assert [run["number"] for run in arena.state()["runs"]] == [1]


def test_fault__creates_the_run_late(arena: Arena) -> None:
    """The connection drops, and the run is created later."""
    arena.fault(method="POST", path=RUNS, drop=True, lateSeconds=45)
    with pytest.raises(ConnectionAbortedError):
        arena.post()
    arena.clock.move(44.9)
    assert arena.get(RUNS).json["count"] == 0
    arena.clock.move(RUN_SECONDS + 1)
    [run] = arena.get(RUNS).json["results"]
    assert run["creationDateTime"] == "2024-03-01T12:00:45Z"
    assert run["status"] == "COMPLETE"


def test_fault__late_run_finds_the_slot_taken(arena: Arena) -> None:
    """A late run is not created while another one is in progress."""
    arena.fault(method="POST", path=RUNS, drop=True, lateSeconds=5)
    with pytest.raises(ConnectionAbortedError):
        arena.post()
    arena.start()
    arena.clock.move(60)
    assert arena.get(RUNS).json["count"] == 1


def test_fault__late_run_is_refused_at_once(arena: Arena) -> None:
    """A refused POST never creates a late run."""
    arena.fault(method="POST", path=RUNS, drop=True, lateSeconds=5)
    with pytest.raises(ConnectionAbortedError):
        arena.post("bad")
    arena.clock.move(60)
    assert arena.get(RUNS).json["count"] == 0


@pytest.mark.parametrize(
    ("field", "created_at"), [("delayBeforeSeconds", NOON + 7), ("delayAfterSeconds", NOON)]
)
def test_fault__delays_before_or_after_the_work(
    arena: Arena, field: str, created_at: float
) -> None:
    """A delay comes before the work or after it."""
    arena.fault(method="POST", path=RUNS, **{field: 7})
    assert arena.post().status_code == 201
    assert arena.clock.at == NOON + 7
    assert [run["createdAt"] for run in arena.state()["runs"]] == [created_at]


def test_fault__acts_after_skip_and_as_often_as_told(arena: Arena) -> None:
    """A fault lets `skip` matches pass and then acts `times`."""
    arena.fault(method="GET", path=RUNS, code=503, skip=1, times=2)
    seen = [arena.get(RUNS).status_code for _ in range(4)]
    assert seen == [200, 503, 503, 200]


def test_fault__queue_is_in_order(arena: Arena) -> None:
    """Faults for the same request act one after the other, and leave others alone."""
    arena.control("POST", "faults", [{"path": RUNS, "code": code} for code in (503, 4087)])
    assert arena.get("/v1/nothing").status_code == 404
    assert [arena.get(RUNS).status_code for _ in range(3)] == [503, 500, 200]


def test_fault__is_forgotten(arena: Arena) -> None:
    """The control interface removes queued faults."""
    arena.fault(code=503)
    assert len(arena.state()["faults"]) == 1
    arena.control("DELETE", "faults")
    assert arena.get(RUNS).status_code == 200


def test_fault__counts_against_the_budget(arena: Arena) -> None:
    """A request that meets a fault costs as much as any other; a login costs nothing."""
    arena.fault(path=RUNS, code=503, times=2)
    arena.fault(path="/v1/login", code=503)
    arena.get(RUNS)
    arena.get(RUNS)
    arena.try_login()
    assert arena.state()["budget"]["used"] == 2


def test_fault__meets_logins_and_files(arena: Arena) -> None:
    """Faults are for any address of Arena, never for the control interface."""
    arena.fault(path="*", code=4085)
    assert arena.state()["faults"] != []
    assert codes(arena.try_login()) == [(400, 4085)]
