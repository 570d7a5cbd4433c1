"""Services end with the process that started them, together with their children."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.local.processes import (
    DetachedProcess,
    Service,
    start_detached,
    start_guarded,
    stop_guarded,
)

pytestmark = pytest.mark.enable_socket  # real processes, which take real time

PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service that starts a child and writes the child's pid to a file."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "child")]
    return Service("test", command, dict(os.environ), tmp_path / "log")


def test_guarded_service__ends_with_all_that_it_started(service: Service) -> None:
    """Closing the pipe ends the service and its child, as the end of this process would."""
    process = start_guarded(service)
    child = _child_of(service)
    stop_guarded(process)
    assert _soon(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_detached_service__is_stopped_by_pid(service: Service) -> None:
    """The pid and the start time suffice to stop the service and its child later."""
    process = start_detached(service)
    child = _child_of(service)
    assert process.is_running()
    process.stop()
    assert not process.is_running()
    assert _soon(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_detached_process__is_not_taken_for_another_with_its_pid() -> None:
    """A process that has reused the pid is not stopped."""
    assert not DetachedProcess("other", os.getpid(), created_at=0.0).is_running()


def _child_of(service: Service) -> psutil.Process:
    pid_file = Path(service.command[-1])
    assert _soon(lambda: pid_file.is_file() and pid_file.read_text() != "")
    return psutil.Process(int(pid_file.read_text()))


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
