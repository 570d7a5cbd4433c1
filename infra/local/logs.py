"""Collect the logs that tell what went wrong: the functions', the executions' and the services'."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from botocore.exceptions import ClientError

from infra.local.aws import Clients

LINES = 40
_ALL_IS_WELL = re.compile(
    r'^(START|END|REPORT|INIT_START) |^{"_aws"|"level":"(INFO|DEBUG)"| INFO |\[INFO]|^http://\S+$'
    r"|\[kms] cryptography package not installed|\[samtranslator\.metrics"
)
"""Lines of Lambda itself, metrics, the simulator's address, whatever was logged at INFO, and what
the emulator and SAM's translator say of themselves."""
_READY = "Running on http"
"""In the last line of the emulator's greeting."""


def recent(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Give the last lines of every log that say more than that all is well.

    As `whole` does, it leaves the whole of the logs in the files `*.log` of the folder.
    """
    return _shown(clients, resources, folder, _last_that_matter)


def whole(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Give every line of every log."""
    return _shown(clients, resources, folder, list)


def without_doubles(lines: Iterable[str], known: Iterable[str]) -> list[str]:
    """Leave out the lines that are known from another log."""
    elsewhere = set(known)
    return [line for line in lines if line not in elsewhere]


def function_lines(clients: Clients, group: str) -> list[str]:
    """Read a function's log group, oldest line first; empty while there is none."""
    pages = clients.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    try:
        events = [event for page in pages for event in page["events"]]
    except ClientError:
        return []
    events.sort(key=lambda event: event.get("timestamp", 0))
    return [event.get("message", "").rstrip() for event in events]


def without_routine(lines: Iterable[str]) -> list[str]:
    """Leave out the lines that only say that all is well."""
    return [line for line in lines if line.strip() and not _ALL_IS_WELL.search(line)]


def _shown(
    clients: Clients,
    resources: Mapping[str, str],
    folder: Path,
    chosen: Callable[[list[str]], list[str]],
) -> str:
    of_functions = _write_function_logs(clients, resources, folder)
    sections = []
    for path in sorted(folder.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        if path.name not in of_functions:  # the emulator's has what the functions print, too
            lines = without_doubles(lines, chain.from_iterable(of_functions.values()))
        sections.append((path.name, "\n".join(chosen(lines))))
    sections += _execution_errors(clients, resources)
    return "\n".join(f"---- {title}\n{text}" for title, text in sections if text)


def _write_function_logs(
    clients: Clients, resources: Mapping[str, str], folder: Path
) -> dict[str, list[str]]:
    """Write each function's log to a file in the folder; return the lines by the file's name."""
    written = {}
    for logical_id, group in resources.items():
        if logical_id.endswith("LogGroup"):
            text = "\n".join(function_lines(clients, group))
            (folder / f"{logical_id}.log").write_text(text)
            written[f"{logical_id}.log"] = text.splitlines()
    return written


def _last_that_matter(lines: list[str]) -> list[str]:
    greeting = max((n for n, line in enumerate(lines, 1) if _READY in line), default=0)
    return without_routine(lines[greeting:])[-LINES:]


def _execution_errors(clients: Clients, resources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    machine = resources.get("ExportRunStateMachine")
    if machine is None:
        return
    listed = clients.stepfunctions.list_executions(
        stateMachineArn=machine, statusFilter="FAILED", maxResults=5
    )
    for execution in listed["executions"]:
        found = clients.stepfunctions.describe_execution(executionArn=execution["executionArn"])
        text = f"{found.get('error')}: {found.get('cause')}"
        yield f"failed execution {execution['name']}", text
