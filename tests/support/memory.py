"""The memory that a function of the local stack has needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_bytes(function_name: str) -> int:
    """Return the most that a process of the function has held; 0 where the system does not say."""
    return max(_peaks(function_name), default=0)


def _peaks(function_name: str) -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME")
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (psutil.Error, OSError):
            continue
        if name == function_name and (found := _PEAK.search(status)):
            yield int(found[1]) * 1024
