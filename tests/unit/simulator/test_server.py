"""The simulator as a separate process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from infra.simulator import names
from tests.unit.simulator.driver import ITEM, RUNS

ROOT = Path(__file__).parents[3]
JSON = {"Content-Type": "application/json"}
pytestmark = pytest.mark.enable_socket


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Start a simulator on a free port, and stop it after the test."""
    command = [sys.executable, "-W", "error", "-m", "infra.simulator", "--port", "0"]
    with subprocess.Popen(
        [*command, "--created-seconds", "0", "--run-seconds", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """Return the address that the process prints when it is ready."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def log_in(address: str) -> dict[str, str]:
    """Return the headers of a session."""
    body = {"email": names.MACHINE_EMAIL, "password": names.PASSWORD}
    answer = requests.post(f"{address}/v1/login", json=body, timeout=10)
    return JSON | {"arena_session_id": answer.json()["arenaSessionId"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server__serves_and_stops(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """It prints its address, exports over HTTP, drops connections, and stops at a signal."""
    address = address_of(process)
    assert address.startswith("http://127.0.0.1:")
    headers = log_in(address)
    criterion = {"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}
    body = {"criteria": [[criterion]]}
    run = requests.post(f"{address}{RUNS}", json=body, headers=headers, timeout=10)
    assert run.status_code == 201
    assert run.headers["Server"] == "ArenaSolutions"
    view = requests.get(f"{address}{RUNS}/{run.json()['guid']}", headers=headers, timeout=10)
    assert view.json()["status"] == "COMPLETE"
    requests.post(f"{address}/_simulator/faults", json={"drop": True}, timeout=10)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}{RUNS}", headers=headers, timeout=10)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_server__header_spelt_with_hyphens(process: subprocess.Popen[str]) -> None:
    """Only `arena_session_id` is the session header; one with hyphens is ignored."""
    address = address_of(process)
    headers = log_in(address)
    session_id = headers.pop("arena_session_id")
    hyphens = headers | {"arena-session-id": session_id}
    assert requests.get(f"{address}{RUNS}", headers=hyphens, timeout=10).status_code == 401
    underscores = headers | {"arena_session_id": session_id}
    assert requests.get(f"{address}{RUNS}", headers=underscores, timeout=10).status_code == 200
