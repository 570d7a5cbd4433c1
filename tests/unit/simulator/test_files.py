"""The files of a run: metadata, content, and what fetching does."""

import io
import zipfile

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, ITEM_OF_19, RUN_SECONDS, RUNS, Arena, codes

DAY = 24 * 3600.0
OWN_RUNS = f"/v1/exports/{names.DEFINITION_EXPORT_GUID}/runs"


def ready(arena: Arena, *guids: str, runs: str = RUNS) -> tuple[str, list[str]]:
    """Return the address of a run that is ready and the addresses of its files."""
    run = arena.start(*guids, runs=runs)
    arena.clock.move(RUN_SECONDS)
    return run, [f"{run}/files/{file['guid']}" for file in arena.get(run).json["files"]]


def test_file__metadata(arena: Arena) -> None:
    """The metadata tell the true size, and reading them downloads nothing."""
    run, [file] = ready(arena)
    completed = arena.get(run).json["completionDateTime"]
    view = arena.get(file).json
    assert {name: value for name, value in view.items() if value is not None} == {
        "guid": file.rpartition("/")[2],
        "name": "export-1-1.zip",
        "size": view["size"],
        "mimeType": "application/zip",
        "creationDateTime": completed,
        "lastModifiedDateTime": completed,
        "locked": False,
        "storageMethodName": "FILE",
    }
    assert arena.status(run) == "COMPLETE"
    assert view["size"] == len(arena.get(f"{file}/content").data)


def test_file__content_is_a_zip_of_the_items(arena: Arena) -> None:
    """The content is a real zip with a table of the run's items."""
    _, [file] = ready(arena, ITEM, ITEM_OF_19)
    answer = arena.get(f"{file}/content")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["export-1-1.csv"]
        rows = archive.read("export-1-1.csv").decode().splitlines()
    assert [row.split(",")[0] for row in rows] == ["guid", ITEM, ITEM_OF_19]


def test_file__json_format(arena: Arena) -> None:
    """A definition with the format JSON has bare JSON files, with an object for each item."""
    arena.control("PUT", f"definitions/{names.DEFAULT_EXPORT_GUID}", {"format": "JSON"})
    _, [file] = ready(arena, ITEM, ITEM_OF_19)
    view, answer = arena.get(file).json, arena.get(f"{file}/content")
    assert (view["name"], view["mimeType"]) == ("export-1-1.json", "application/json")
    assert answer.mimetype == "application/json"
    assert [item["guid"] for item in answer.json] == [ITEM, ITEM_OF_19]


def test_file__fetching_makes_the_run_downloaded(arena: Arena) -> None:
    """Fetching turns COMPLETE into DOWNLOADED, keeps the completion time, and can be repeated."""
    run, [file] = ready(arena)
    completed = arena.get(run).json["completionDateTime"]
    arena.clock.move(60)
    first, second = (arena.get(f"{file}/content").data for _ in range(2))
    assert first == second
    view = arena.get(run).json
    assert (view["status"], view["completionDateTime"]) == ("DOWNLOADED", completed)
    assert f"{run}/files/{view['files'][0]['guid']}" == file


def test_file__several_share_the_items(arena: Arena) -> None:
    """Each of several files holds its share of the items."""
    arena.control("POST", "next-runs", {"files": 2})
    _, files = ready(arena, ITEM, ITEM_OF_19)
    lines = []
    for file in files:
        with zipfile.ZipFile(io.BytesIO(arena.get(f"{file}/content").data)) as archive:
            lines += archive.read(archive.namelist()[0]).decode().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == [ITEM, ITEM_OF_19]


@pytest.mark.parametrize("code", [3017, 4077])
def test_file__not_ready(arena: Arena, code: int) -> None:
    """While the run is in progress its files are not ready."""
    arena.control("PATCH", "settings", {"fileNotReadyCode": code})
    run = arena.start()
    assert codes(arena.get(f"{run}/files/{ITEM}")) == [(400, code)]
    assert codes(arena.get(f"{run}/files/{ITEM}/content")) == [(400, code)]


@pytest.mark.parametrize("code", [3028, 4078])
def test_file__empty(arena: Arena, code: int) -> None:
    """A file of a run that matched nothing is empty."""
    arena.control("PATCH", "settings", {"fileEmptyCode": code})
    arena.control("POST", "next-runs", {"files": 1, "criteriaResultsCount": 0})
    run, [file] = ready(arena)
    assert codes(arena.get(f"{file}/content")) == [(400, code)]
    assert arena.status(run) == "COMPLETE"


def test_file__unknown_or_of_a_failed_run(arena: Arena) -> None:
    """A file that is not the run's is code 3012."""
    run, _ = ready(arena)
    assert codes(arena.get(f"{run}/files/{ITEM}/content")) == [(400, 3012)]
    arena.control("PATCH", "settings", {"unknownFileCode": 3011})
    answer = arena.get(f"{run}/files/{ITEM}")
    assert codes(answer) == [(400, 3011)]
    assert ITEM in answer.json["errors"][0]["message"]
    arena.control("PATCH", "settings", {"unknownFileCode": 3012})
    arena.control("POST", "next-runs", {"status": "FAILED"})
    failed = arena.start()
    arena.clock.move(RUN_SECONDS)
    assert codes(arena.get(f"{failed}/files/{ITEM}")) == [(400, 3012)]


def test_file__gone_after_60_days(arena: Arena) -> None:
    """Files stay sixty days."""
    _, [file] = ready(arena)
    arena.clock.move(60 * DAY)
    arena.log_in()
    assert arena.get(file).status_code == 200
    arena.clock.move(1)
    assert codes(arena.get(file)) == [(400, 3012)]
    arena.control("PATCH", "settings", {"expiredFileCode": 404})
    assert codes(arena.get(f"{file}/content")) == [(404, 404)]


@pytest.mark.parametrize("content", ["", "/content"])
def test_file__of_another_user(arena: Arena, content: str) -> None:
    """Only the user who started a run can read its files, and a session is needed."""
    _, [file] = ready(arena)
    own = arena.session_id
    arena.log_in(email=names.FOREIGN_EMAIL)
    assert codes(arena.get(file + content)) == [(403, 3024)]
    arena.session_id = None
    assert codes(arena.get(file + content)) == [(401, 401)]
    arena.session_id = own
    assert arena.get(file + content).status_code == 200


def test_file__costs_one_request_each(arena: Arena) -> None:
    """Metadata and content cost a request each; the log names the file and what was read."""
    _, [file] = ready(arena)
    before = arena.state()["budget"]["used"]
    arena.get(file)
    arena.get(f"{file}/content")
    state = arena.state()
    assert state["budget"]["used"] == before + 2
    guid = file.rpartition("/")[2]
    logged = [(entry["purpose"], entry["fileGuid"]) for entry in state["requests"]]
    assert logged == [
        ("login", None),
        ("submit", None),
        ("poll", None),
        ("file", guid),
        ("download", guid),
    ]


ODD_TITLE = "first\nsecond \u202egnp.\u202c" + "x" * 10_000


def test_file__contents_of_a_planned_run(arena: Arena) -> None:
    """A plan describes the files one by one; what it leaves out is as usual."""
    plan = [
        {"kind": "csv", "size": 100, "title": ODD_TITLE, "name": "a\r\nb.csv"},
        {"kind": "json", "byteOrderMark": True, "contentType": "text/plain", "metadataSize": 5},
        {},
    ]
    arena.control("POST", "next-runs", {"contents": plan})
    arena.control("PATCH", "settings", {"fileNamesListed": True})
    run, files = ready(arena)
    listed = [(file["title"], file["name"]) for file in arena.get(run).json["files"]]
    usual = [(None, "export-1-2.json"), (None, "export-1-3.zip")]
    assert listed == [(ODD_TITLE, "a\r\nb.csv"), *usual]
    shown = [(view["size"], view["mimeType"]) for view in (arena.get(file).json for file in files)]
    assert shown[:2] == [(100, "text/csv"), (5, "text/plain")]
    first, second, third = (arena.get(f"{file}/content") for file in files)
    assert len(first.data) == 100
    assert first.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%0D%0Ab.csv"
    assert second.data.startswith(b"\xef\xbb\xbf[")
    assert second.mimetype == "text/plain"
    assert third.data.startswith(b"PK\x03\x04")


def test_file__another_generation_has_other_bytes(arena: Arena) -> None:
    """A command gives a file other bytes and another ETag; its size stays."""
    arena.control("POST", "next-runs", {"contents": [{"size": 5000}]})
    _, [file] = ready(arena)
    old = arena.get(f"{file}/content")
    arena.control("PATCH", f"files/{file.rpartition('/')[2]}", {"generation": 2})
    new = arena.get(f"{file}/content")
    assert len(new.data) == len(old.data) == 5000
    assert new.data != old.data
    assert new.headers["ETag"] != old.headers["ETag"]
    answer = arena.command("PATCH", f"files/{ITEM}", {"generation": 2})
    assert (answer.status_code, answer.json["field"]) == (404, "fileGuid")


def test_file__run_without_number_and_completion_time(arena: Arena) -> None:
    """Arena can leave these fields of a finished run null."""
    arena.control("POST", "next-runs", {"nullFields": ["number", "completionDateTime"]})
    run, [file] = ready(arena)
    view = arena.get(run).json
    assert (view["status"], view["number"], view["completionDateTime"]) == ("COMPLETE", None, None)
    assert arena.get(f"{file}/content").status_code == 200


def test_file__none_without_results(arena: Arena) -> None:
    """A run of a definition with its own criteria that matches nothing has no file."""
    arena.control("POST", "next-runs", {"criteriaResultsCount": 0})
    run = f"{OWN_RUNS}/{arena.call('POST', OWN_RUNS, {}).json['guid']}"
    arena.clock.move(RUN_SECONDS)
    view = arena.get(run).json
    assert (view["status"], view["criteriaResultsCount"], "files" in view) == ("COMPLETE", 0, False)
