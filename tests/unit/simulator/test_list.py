"""The list of a definition's runs and its filters."""

from urllib.parse import urlencode

import pytest

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, RUN_SECONDS, RUNS, Arena, codes


@pytest.fixture
def history(arena: Arena) -> Arena:
    """Return a simulator with four runs: COMPLETE, FAILED, DOWNLOADED, CREATED."""
    for status in ("COMPLETE", "FAILED", "DOWNLOADED"):
        arena.control("POST", "next-runs", {"status": status})
        arena.start()
        arena.clock.move(RUN_SECONDS + 8)
    arena.start()
    return arena


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [4, 3, 2, 1]),
        ({"status": "COMPLETE"}, [1]),
        ({"status": "CREATED"}, [4]),
        ({"status": "ABORTED"}, []),
        ({"number": "2"}, [2]),
        ({"number": "9"}, []),
        ({"latestCompleted": "true"}, [3]),
        ({"latestCompleted": "false"}, [4, 3, 2, 1]),
        ({"status": "COMPLETE", "latestCompleted": "true"}, [1]),
        ({"status": "FAILED", "latestCompleted": "true"}, []),
        ({"completionDateTimeFrom": "2024-03-01T12:00:32Z"}, [3, 2]),
        ({"completionDateTimeFrom": "2024-03-01T12:00:33Z"}, [3]),
        ({"completionDateTimeTo": "2024-03-01T12:00:32Z"}, [2, 1]),
        ({"completionDateTimeTo": "2024-03-01T12:00:31Z"}, [1]),
        (
            {
                "completionDateTimeFrom": "2024-03-01T12:00:13Z",
                "completionDateTimeTo": "2024-03-01T12:00:51Z",
            },
            [2],
        ),
        ({"offset": "7"}, [4, 3, 2, 1]),
    ],
)
def test_list__filters(history: Arena, query: dict[str, str], numbers: list[int]) -> None:
    """Filters narrow the list, all that are given together; the newest run comes first."""
    answer = history.get(f"{RUNS}?{urlencode(query)}").json
    assert [run["number"] for run in answer["results"]] == numbers
    assert answer["count"] == len(numbers)


@pytest.mark.parametrize(
    "query",
    [
        {"status": "DONE"},
        {"number": "x"},
        {"latestCompleted": "yes"},
        {"completionDateTimeFrom": "yesterday"},
        {"completionDateTimeTo": "2024-03-01"},
    ],
)
def test_list__filter_with_a_wrong_value(arena: Arena, query: dict[str, str]) -> None:
    """A value that a filter does not allow is code 3011, which names no GUID."""
    answer = arena.get(f"{RUNS}?{urlencode(query)}")
    assert codes(answer) == [(400, 3011)]
    assert "guid" not in answer.text


def test_list__settings(history: Arena) -> None:
    """Order and length of the list are settings."""
    history.control("PATCH", "settings", {"listOrder": "oldest", "listLimit": 2})
    listed = history.get(RUNS).json
    assert [run["number"] for run in listed["results"]] == [1, 2]
    assert listed["count"] > 2


@pytest.mark.parametrize(("shown", "numbers"), [(True, [1]), (False, [])])
def test_list__others_runs(arena: Arena, shown: bool, numbers: list[int]) -> None:  # noqa: FBT001 - a case
    """Whether the list shows other users' runs is a setting."""
    arena.control("PATCH", "settings", {"listShowsOthers": shown})
    body = {"exportGuid": names.DEFAULT_EXPORT_GUID, "itemGuids": [ITEM]}
    arena.control("POST", "foreign-runs", body)
    assert [run["number"] for run in arena.get(RUNS).json["results"]] == numbers


def test_list__of_another_definition(history: Arena) -> None:
    """A definition lists its own runs only."""
    answer = history.get(f"/v1/exports/{names.FILES_EXPORT_GUID}/runs")
    assert answer.json == {"count": 0, "results": []}


def test_list__compressed_only_when_asked(arena: Arena) -> None:
    """Answers come compressed when the request allows it, or always if set so."""

    def encoding(asked: str) -> str | None:
        return arena.call("GET", RUNS, headers={"Accept-Encoding": asked}).content_encoding

    assert (encoding("gzip"), encoding("identity")) == ("gzip", None)
    arena.control("PATCH", "settings", {"gzip": "always"})
    assert encoding("identity") == "gzip"
    arena.control("PATCH", "settings", {"gzip": "never"})
    assert encoding("gzip") is None
