"""The local stack leaves no process behind, whatever ends it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.local.paths import LOCAL, ROOT

pytestmark = pytest.mark.e2e

START_SECONDS = 60.0
STOP_SECONDS = 10.0
SERVICES = 4
"""The embedded AWS, the simulator, and a guard for each."""
SERVICES_AND_FUNCTIONS = 6


@pytest.mark.parametrize(
    ("number", "processes"),
    [
        (signal.SIGINT, SERVICES),
        (signal.SIGTERM, SERVICES),
        (signal.SIGKILL, SERVICES),
        (signal.SIGKILL, SERVICES_AND_FUNCTIONS),
    ],
)
def test_interrupted_run__leaves_no_process(
    number: signal.Signals, processes: int, tmp_path: Path
) -> None:
    """The services stop when the demo is interrupted, terminated or killed."""
    known = set(LOCAL.glob("run-*"))
    output = tmp_path / "output"
    with output.open("w") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "run"],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        assert _soon(START_SECONDS, lambda: _folders(known)), output.read_text()
        (folder,) = _folders(known)
        started = _soon(START_SECONDS, lambda: len(_processes_of(folder)) >= processes)
        assert started, output.read_text()
        os.kill(demo.pid, number)
        demo.wait(STOP_SECONDS)
        assert _soon(STOP_SECONDS, lambda: not _processes_of(folder)), output.read_text()
    finally:
        demo.kill()
        demo.wait()
        for folder in _folders(known):  # a demo that was killed leaves its folder
            shutil.rmtree(folder, ignore_errors=True)


def _folders(known: set[Path]) -> set[Path]:
    """Return the folders of demos that are not in `known`."""
    return set(LOCAL.glob("run-*")) - known


def _soon(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes whose environment names the folder."""
    return [process for process in psutil.process_iter() if _belongs_to(process, folder)]


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and any(str(folder) in value for value in process.environ().values())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
