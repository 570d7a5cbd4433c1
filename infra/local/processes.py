"""Starts and stops the processes of the local stack, so that none is left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.paths import ROOT

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A program of the local stack: its command, its environment, and its log file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True, slots=True)
class DetachedProcess:
    """A process that keeps running after the command that started it.

    `created_at` (seconds since the epoch) distinguishes it from a later process with its `pid`.
    """

    name: str
    pid: int
    created_at: float

    def is_running(self) -> bool:
        """Return whether the process is still running."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and abs(process.create_time() - self.created_at) < 1
        except psutil.NoSuchProcess:
            return False

    def stop(self) -> None:
        """Terminate the process and its group, and kill them if that takes too long."""
        if not self.is_running():
            return
        _signal_group(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        _signal_group(self.pid, signal.SIGKILL)


def start_guarded(service: Service) -> subprocess.Popen[bytes]:
    """Start a service that stops when this process ends for any reason."""
    guard = [sys.executable, "-m", "infra.local.guard", *service.command]
    return _start(service, guard, stdin=subprocess.PIPE)


def stop_guarded(process: subprocess.Popen[bytes]) -> None:
    """Stop a guarded service by closing its pipe."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def start_detached(service: Service) -> DetachedProcess:
    """Start a service that keeps running when this process ends."""
    process = _start(service, service.command, stdin=subprocess.DEVNULL)
    process.returncode = 0  # prevents a warning of Popen: nobody waits for the process
    return DetachedProcess(service.name, process.pid, psutil.Process(process.pid).create_time())


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(service: Service, command: Sequence[str], *, stdin: int) -> subprocess.Popen[bytes]:
    with service.log.open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(service.environment),
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
