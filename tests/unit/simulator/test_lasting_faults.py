"""Faults that last or are for some requests only; odd sessions, headers and file entries."""

import json

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, ITEM_OF_19, NOON, RUN_SECONDS, RUNS, Arena, codes

EVERY_POST = {"method": "POST", "path": "*/runs", "times": None}
EVERY_GET = {"method": "GET", "times": None}
PAGE = "<html><h1>403 Forbidden</h1></html>"
FILES_RUNS = f"/v1/exports/{names.FILES_EXPORT_GUID}/runs"
REMAINING = "X-Arena-Requests-Remaining"


@pytest.mark.parametrize("code", [3000, 3146, 4085])
@pytest.mark.parametrize(("work", "runs"), [(False, 0), (True, 1)])
def test_fault__without_end_answers_every_post_of_a_definition(
    arena: Arena,
    code: int,
    work: bool,  # noqa: FBT001 - a case
    runs: int,
) -> None:
    """`times: null` breaks a definition until the fault is removed, with or without a run."""
    arena.fault(**EVERY_POST | {"path": FILES_RUNS}, code=code, work=work)
    for _ in range(3):
        arena.clock.move(60)
        assert arena.post(runs=FILES_RUNS).json["errors"][0]["code"] == code
    assert min(len(arena.state()["runs"]), 1) == runs
    arena.clock.move(60)
    assert arena.post().status_code == 201
    arena.control("DELETE", "faults")
    arena.clock.move(60)
    assert arena.post(runs=FILES_RUNS).status_code == 201


@pytest.mark.parametrize(
    ("status", "headers"), [(400, {}), (403, {}), (302, {"Location": "https://sso.example.com"})]
)
def test_fault__without_end_answers_with_a_page(
    arena: Arena, status: int, headers: dict[str, str]
) -> None:
    """A firewall's page answers every POST, and no run is created."""
    arena.fault(**EVERY_POST, status=status, body=PAGE, headers=headers)
    answers = [arena.post() for _ in range(2)]
    assert [(a.status_code, a.mimetype, a.text) for a in answers] == [
        (status, "text/html", PAGE)
    ] * 2
    assert arena.state()["runs"] == []


def test_fault__for_a_while(arena: Arena) -> None:
    """`lastsSeconds` counts from when the fault is queued, and no match uses the fault up."""
    arena.fault(path=RUNS, code=503, lastsSeconds=30)
    assert arena.state()["faults"][0]["endsAt"] == NOON + 30
    seen = []
    for _ in range(4):
        seen.append(arena.get(RUNS).status_code)
        arena.clock.move(14)
    assert seen == [503, 503, 503, 200]
    assert arena.state()["faults"] == []


def test_fault__for_a_while_and_some_times(arena: Arena) -> None:
    """With `times` as well, the fault ends at the first of both limits."""
    arena.fault(path=RUNS, code=503, lastsSeconds=30, times=1)
    assert [arena.get(RUNS).status_code for _ in range(2)] == [503, 200]


def test_fault__for_bodies_that_name_an_item(arena: Arena) -> None:
    """An item breaks each POST that carries it, and no other."""
    arena.fault(**EVERY_POST, itemGuids=[ITEM], code=4085)
    seen = [arena.post(*guids).status_code for guids in ([ITEM_OF_19, ITEM], [ITEM], [ITEM_OF_19])]
    assert seen == [400, 400, 201]


def test_fault__for_large_bodies(arena: Arena) -> None:
    """A firewall lets bodies of a size pass and refuses what is one byte longer."""
    criterion = {"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}
    body = json.dumps({"criteria": [[criterion]]}).encode()
    arena.fault(**EVERY_POST, bodyAboveBytes=len(body), status=403, body=PAGE)
    seen = [arena.call("POST", RUNS, data=data).status_code for data in (body + b" ", body)]
    assert seen == [403, 201]


@pytest.mark.parametrize(("code", "status"), [(404, 404), (3012, 400), (3011, 400)])
def test_fault__run_is_not_found_while_it_is_young(arena: Arena, code: int, status: int) -> None:
    """A lagging replica does not know a young run; 3011 and 3012 name it."""
    arena.fault(**EVERY_GET, path="*/runs/*", runsYoungerThanSeconds=20, code=code)
    run = arena.start()
    answer = arena.get(run)
    assert codes(answer) == [(status, code)]
    assert (run.rpartition("/")[2] in answer.text) == (code != 404)
    arena.clock.move(20)
    assert arena.get(run).status_code == 200


def test_fault__list_is_refused_while_a_run_is_young(arena: Arena) -> None:
    """A list counts as young with its youngest run; that of another definition does not."""
    arena.fault(**EVERY_GET, path="*/runs", runsYoungerThanSeconds=20, code=3012)
    assert arena.get(RUNS).json["count"] == 0
    arena.start()
    arena.clock.move(RUN_SECONDS + 10)
    arena.start()
    refused = arena.get(RUNS)
    assert codes(refused) == [(400, 3012)]
    assert names.DEFAULT_EXPORT_GUID in refused.text
    assert arena.get(FILES_RUNS).json["count"] == 0
    arena.clock.move(20)
    assert arena.get(RUNS).json["count"] == 2


def test_fault__list_leaves_out_young_runs(arena: Arena) -> None:
    """A lagging list has all runs except the youngest."""
    arena.fault(**EVERY_GET, path="*/runs", runsYoungerThanSeconds=20, leaveOut=True)
    first = arena.start()
    arena.clock.move(RUN_SECONDS + 10)
    second = arena.start()
    listed = arena.get(RUNS).json
    assert [run["guid"] for run in listed["results"]] == [first.rpartition("/")[2]]
    assert listed["count"] == 1
    assert arena.get(second).status_code == 200
    arena.clock.move(20)
    assert arena.get(RUNS).json["count"] == 2


def test_fault__list_leaves_out_every_run(arena: Arena) -> None:
    """Without an age, every run is left out; other answers are unchanged."""
    arena.fault(**EVERY_GET, path="*", leaveOut=True)
    run = arena.start()
    assert arena.get(RUNS).json == {"count": 0, "results": []}
    assert arena.get(run).json["guid"] == run.rpartition("/")[2]
    assert codes(arena.get(f"{RUNS}?number=x")) == [(400, 3011)]


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [(["status"], [True, False, False]), (["*"], [True, True, False])],
    ids=["status", "all"],
)
def test_fault__for_lists_with_a_filter(
    arena: Arena, parameters: list[str], refused: list[bool]
) -> None:
    """Some filters, or all, are refused; the list without them can be read."""
    arena.fault(**EVERY_GET, path="*/runs", parameters=parameters, code=400)
    queries = ["?status=RUNNING", "?completionDateTimeFrom=2024-03-01T00:00:00Z", ""]
    assert [arena.get(RUNS + query).status_code == 400 for query in queries] == refused


@pytest.mark.parametrize(
    ("form", "text"), [("seconds", "5"), ("date", "Fri, 01 Mar 2024 12:00:05 GMT")]
)
def test_fault__is_a_burst_limit(arena: Arena, form: str, text: str) -> None:
    """A gateway's 429 has Retry-After and no code, and does not count against the budget."""
    arena.fault(
        path=RUNS,
        status=429,
        body="<h1>Slow down</h1>",
        counts=False,
        arenaHeaders=True,
        retryAfterSeconds=5,
        retryAfterForm=form,
    )
    answer = arena.get(RUNS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, text)
    assert answer.headers[REMAINING] == "10000"
    assert "Date" in answer.headers
    assert arena.get(RUNS).headers[REMAINING] == "9999"


def test_fault__changes_headers_of_the_true_answer(arena: Arena) -> None:
    """Headers alone replace those of the true answer, whatever their case."""
    arena.fault(path=RUNS, headers={REMAINING.lower(): "9000, 9000"})
    answer = arena.get(RUNS)
    assert answer.status_code == 200
    assert answer.headers.getlist(REMAINING) == ["9000, 9000"]
    assert "X-Arena-Next-Request-Limit-Reset" in answer.headers


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("times", 0),
        ("lastsSeconds", -1),
        ("parameters", "status"),
        ("itemGuids", ITEM),
        ("bodyAboveBytes", -1),
        ("runsYoungerThanSeconds", "1"),
        ("leaveOut", 1),
        ("counts", 0),
        ("arenaHeaders", "yes"),
        ("retryAfterSeconds", "5"),
        ("retryAfterForm", "zulu"),
    ],
)
def test_fault__that_cannot_be_followed(arena: Arena, field: str, value: object) -> None:
    """Each field is checked, and nothing is queued."""
    answer = arena.command("POST", "faults", {field: value})
    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert arena.state()["faults"] == []


@pytest.mark.parametrize("code", [3011, 3012])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_definition__is_named(arena: Arena, code: int, method: str) -> None:
    """An export definition that does not exist is refused with its own GUID in the message."""
    arena.control("PATCH", "settings", {"unknownDefinitionCode": code})
    body = {"criteria": [[{"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}]]}
    unknown = "EXPUNKNOWN0000000001"
    answer = arena.call(method, f"/v1/exports/{unknown}/runs", body if method == "POST" else None)
    assert codes(answer) == [(400, code)]
    assert unknown in answer.json["errors"][0]["message"]


@pytest.mark.parametrize(("form", "status"), [("redirect", 302), ("page", 200)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dead_session__shows_as_a_login_page(
    arena: Arena, form: str, status: int, method: str
) -> None:
    """Until the next login, a gateway answers without Arena's headers, and nothing is processed."""
    arena.control("PATCH", "settings", {"deadSessionForm": form})
    arena.control("DELETE", "sessions")
    for _ in range(2):
        answer = arena.post() if method == "POST" else arena.get(RUNS)
        assert (answer.status_code, answer.mimetype) == (status, "text/html")
        assert ("Location" in answer.headers) == (status == 302)
        assert REMAINING not in answer.headers
    assert arena.state()["counts"]["byCode"] == {"401": 2}
    arena.log_in()
    assert arena.get(RUNS).json["count"] == 0


@pytest.mark.parametrize(
    ("form", "left", "text"),
    [
        ("joined", 9000, "8999, 8999"),
        ("decimals", 9000, "8999.0"),
        ("negative", 9000, "8999"),
        ("negative", 1, "-1"),
    ],
)
def test_remaining__in_altered_forms(arena: Arena, form: str, left: int, text: str) -> None:
    """The remaining number can have the unusual forms of proxies and old gateways."""
    arena.control("PATCH", "budget", {"remaining": left, "remainingForm": form})
    assert arena.get(RUNS).headers[REMAINING] == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("zone", "Fri, 01 Mar 2024 13:01:00 CET"),
        ("joined", "Fri, 01 Mar 2024 12:01:00 GMT, Fri, 01 Mar 2024 12:01:00 GMT"),
    ],
)
def test_reset__in_altered_forms(arena: Arena, form: str, text: str) -> None:
    """The reset time can have these forms as well."""
    arena.control("PATCH", "budget", {"resetSeconds": 60, "resetForm": form})
    assert arena.get(RUNS).headers["X-Arena-Next-Request-Limit-Reset"] == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("rfc", "Fri, 01 Mar 2024 12:00:00 GMT"),
        ("zone", "Fri, 01 Mar 2024 13:00:00 CET"),
        ("joined", "Fri, 01 Mar 2024 12:00:00 GMT, Fri, 01 Mar 2024 12:00:00 GMT"),
        ("none", None),
    ],
)
def test_date__in_altered_forms(arena: Arena, form: str, text: str | None) -> None:
    """The Date header can have these forms as well."""
    arena.control("PATCH", "settings", {"dateForm": form})
    assert arena.get(RUNS).headers.get("Date") == text


@pytest.mark.parametrize("form", ["withoutGuid", "twice", "whole"])
@pytest.mark.parametrize("seconds", [30, None])
def test_file_entries__for_a_while_or_for_ever(
    arena: Arena, form: str, seconds: int | None
) -> None:
    """A run lists a file without a GUID, or one twice, for a while or always."""
    plan = {"files": 2, "fileEntries": form, "fileEntriesSeconds": seconds}
    arena.control("POST", "next-runs", plan)
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    [first, second] = arena.state()["runs"][0]["fileGuids"]
    odd = {"withoutGuid": [first, None], "twice": [first, second, first]}.get(form, [first, second])
    assert _listed(arena, run) == odd
    arena.clock.move(29)
    assert _listed(arena, run) == odd
    arena.clock.move(1)
    assert _listed(arena, run) == (odd if seconds is None else [first, second])


def test_file_entries__of_a_run_without_files(arena: Arena) -> None:
    """Without files, the list has no such entries."""
    arena.control("POST", "next-runs", {"files": 0, "fileEntries": "withoutGuid"})
    run = arena.start()
    arena.clock.move(RUN_SECONDS)
    assert "files" not in arena.get(run).json


def _listed(arena: Arena, run: str) -> list[str | None]:
    return [entry["guid"] for entry in arena.get(run).json["files"]]
