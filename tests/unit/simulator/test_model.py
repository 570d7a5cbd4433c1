"""The model on its own, as a simulation on virtual time uses it."""

import ast
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from infra import simulator
from infra.simulator import names
from infra.simulator.clock import format_utc, next_pacific_midnight, parse_utc
from infra.simulator.gateway import Gateway, Request
from infra.simulator.workspace import Workspace
from tests.unit.simulator.driver import ITEM, NOON

SERVING = {"__main__", "app", "control_routes", "server"}
"""The modules that may know the web application."""
WORLDLY = {"flask", "threading", "socket", "waitress", "signal", "subprocess", "asyncio"}
MODULES = sorted(Path(simulator.__file__).parent.glob("*.py"))


def imported(module: Path) -> set[str]:
    """Return what a module imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_model__knows_nothing_of_the_world(module: Path) -> None:
    """Only the serving part imports Flask, waitress, threads, sockets, or signals."""
    if module.stem not in SERVING:
        assert not imported(module) & WORLDLY


def history(seed: int) -> list[object]:
    """Return the answers of a short scenario."""
    at = [NOON]
    gateway = Gateway(Workspace(lambda: at[0], Random(seed)))
    ask = asker(gateway)
    login = ask("POST", "/v1/login", None, b'{"email": "%s", "password": "%s"}')
    run = ask("POST", f"/v1/exports/{names.DEFINITION_EXPORT_GUID}/runs", login, b"{}")
    at[0] += 60
    runs = ask("GET", f"/v1/exports/{names.DEFINITION_EXPORT_GUID}/runs", login, b"")
    return [login, run, runs]


def asker(gateway: Gateway) -> Callable[[str, str, object, bytes], object]:
    """Return a function that sends requests with the session of a login."""

    def ask(method: str, path: str, login: object, body: bytes) -> object:
        headers = {"content-type": "application/json"}
        if isinstance(login, dict):
            headers["arena_session_id"] = login["arenaSessionId"]
        if b"%s" in body:
            body %= (names.MACHINE_EMAIL.encode(), names.PASSWORD.encode())
        return gateway.answer(Request(method, path, headers, {}, body)).payload

    return ask


def test_model__same_seed_same_history() -> None:
    """Time and randomness are injected: equal seeds give equal answers, other seeds do not."""
    assert history(1) == history(1)
    assert history(1) != history(2)


def test_model__run_ends_without_being_looked_at() -> None:
    """The effects of time are visible at the next call."""
    *_, runs = history(3)
    assert isinstance(runs, dict)
    assert [run["status"] for run in runs["results"]] == ["COMPLETE"]


@pytest.mark.parametrize(
    ("began", "midnight"),
    [
        ("2024-03-10T08:00:00Z", "2024-03-11T07:00:00Z"),
        ("2024-11-03T07:00:00Z", "2024-11-04T08:00:00Z"),
    ],
    ids=["spring", "autumn"],
)
def test_budget__days_of_23_and_25_hours(began: str, midnight: str) -> None:
    """The Pacific day has 23 or 25 hours twice a year."""
    assert format_utc(next_pacific_midnight(parse_utc(began))) == midnight


def test_model__item_of_the_documentation_is_well_formed() -> None:
    """The vendor's sample GUIDs pass, the one with 19 characters too."""
    workspace = Workspace(lambda: NOON, Random(1))
    criterion = {"attribute": "guid", "operator": "IS_IN", "value": [ITEM, "M407LIMOZGZQ5TUP27F"]}
    body = {"criteria": [[criterion]]}
    user = workspace.accounts.machine
    run = workspace.submit_run(user, names.DEFAULT_EXPORT_GUID, body)
    assert run["criteriaResultsCount"] == 2
