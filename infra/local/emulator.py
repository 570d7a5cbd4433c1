"""MiniStack, the embedded AWS: its start, and the settings that tests change."""

import os
import time
from pathlib import Path

import requests

from infra.local.paths import executable
from infra.local.processes import Service

READY_SECONDS = 20.0


class NotReadyError(Exception):
    """A service of the local stack does not answer."""


def service(port: int, folder: Path) -> Service:
    """Return MiniStack on `port` of the loopback interface, with its files below `folder`."""
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    ministack = Path(executable("stack", "ministack"))
    environment = {
        # Not the caller's environment, because the functions inherit these variables.
        "PATH": f"{ministack.parent}:{os.defpath}",
        "HOME": str(folder),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
    }
    return Service("aws", [str(ministack)], environment, folder / "aws.log")


def scale_waits(endpoint: str, factor: float) -> None:
    """Multiply the duration of Wait states by `factor`."""
    name = "stepfunctions._SFN_WAIT_SCALE"
    reply = requests.post(f"{endpoint}/_ministack/config", json={name: factor}, timeout=10)
    reply.raise_for_status()


def wait_until_answers(url: str, log: Path) -> None:
    """Wait until a service answers with 200.

    Raises:
        NotReadyError: it does not answer in time; the message ends with the service's log.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _answers(url):
            return
        time.sleep(0.05)
    message = f"{url} does not answer. The end of its log {log}:\n{log.read_text()[-4000:]}"
    raise NotReadyError(message)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
