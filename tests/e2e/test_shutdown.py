"""The local stack leaves no process behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.local.paths import LOCAL, ROOT

pytestmark = pytest.mark.e2e

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_that_is_ended__leaves_no_process(number: signal.Signals) -> None:
    """The story's services end with it: interrupted, terminated, or killed outright."""
    folders = set(LOCAL.glob("run-*"))
    story = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "run"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        folder = _wait_for_folder(folders)
        assert _wait_for_processes(folder, at_least=1)
        os.kill(story.pid, number)
        story.wait(STOP_SECONDS)
        assert _wait_for_no_process(folder)
    finally:
        story.kill()
        story.wait()


def _wait_for_folder(known: set[Path]) -> Path:
    """Wait until the story has made its folder, and return it."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if new := set(LOCAL.glob("run-*")) - known:
            return new.pop()
        time.sleep(0.1)
    pytest.fail("the story did not start")


def _wait_for_processes(folder: Path, at_least: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while len(_processes_of(folder)) < at_least and time.monotonic() < deadline:
        time.sleep(0.1)
    return len(_processes_of(folder)) >= at_least


def _wait_for_no_process(folder: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while _processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not _processes_of(folder)


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Find the processes that keep their files in that folder."""
    return [process for process in psutil.process_iter() if _belongs_to(process, folder)]


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and any(str(folder) in value for value in process.environ().values())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
