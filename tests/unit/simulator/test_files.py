"""The files of a run: metadata, content, and what fetching does."""

import io
import zipfile

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, ITEM_OF_19, RUN_SECONDS, RUNS, Arena, codes

DAY = 24 * 3600.0


def ready(arena: Arena, *guids: str, runs: str = RUNS) -> tuple[str, list[str]]:
    """Return the address of a run that is ready and the addresses of its files."""
    run = arena.start(*guids, runs=runs)
    arena.clock.move(RUN_SECONDS)
    return run, [f"{run}/files/{file['guid']}" for file in arena.get(run).json["files"]]


def test_file__metadata(arena: Arena) -> None:
    """The metadata tell the true size, and reading them downloads nothing."""
    run, [file] = ready(arena)
    view = arena.get(file).json
    assert view["mimeType"] == "application/zip"
    assert view["name"] == "export-1-1.zip"
    assert view["guid"] == file.rpartition("/")[2]
    assert arena.status(run) == "COMPLETE"
    assert view["size"] == len(arena.get(f"{file}/content").data)


def test_file__content_is_a_zip_of_the_items(arena: Arena) -> None:
    """The content is a real zip with a table of the run's items for each view."""
    runs = f"/v1/exports/{names.FILES_EXPORT_GUID}/runs"
    _, [file] = ready(arena, ITEM, ITEM_OF_19, runs=runs)
    answer = arena.get(f"{file}/content")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["SPECS.csv", "FILES.csv"]
        rows = archive.read("SPECS.csv").decode().splitlines()
    assert [row.split(",")[0] for row in rows] == ["guid", ITEM, ITEM_OF_19]


def test_file__json_format(arena: Arena) -> None:
    """A definition with the format JSON has JSON in its zips."""
    arena.control("PUT", f"definitions/{names.DEFAULT_EXPORT_GUID}", {"format": "JSON"})
    _, [file] = ready(arena)
    with zipfile.ZipFile(io.BytesIO(arena.get(f"{file}/content").data)) as archive:
        assert archive.namelist() == ["SPECS.json"]


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
            lines += archive.read("SPECS.csv").decode().splitlines()[1:]
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
