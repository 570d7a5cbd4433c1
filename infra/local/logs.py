"""Collects the logs of the functions, the executions, and the services."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from botocore.exceptions import ClientError

from infra.local.aws import Clients

LINES = 40
_ROUTINE = re.compile(
    r'^(START|END|REPORT|INIT_START) |^{"_aws"|"level":"(INFO|DEBUG)"| INFO |\[INFO]|^http://\S+$'
    r"|\[kms] cryptography package not installed|\[samtranslator\.metrics"
)
"""Lambda's own lines, metrics, the simulator's address, lines of level INFO or DEBUG, and what the
emulator and SAM's translator print about themselves."""
_READY = "Running on http"
"""Marks the last line that the emulator prints at its start."""


def recent(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Return the last warnings and errors of every log.

    Like `complete`, it also writes the complete logs to the files `*.log` in the folder.
    """
    return _shown(clients, resources, folder, _relevant)


def complete(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Return every line of every log."""
    return _shown(clients, resources, folder, list)


def without_duplicates(lines: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the lines that are not in another log."""
    duplicates = set(known)
    return [line for line in lines if line not in duplicates]


def function_lines(clients: Clients, group: str) -> list[str]:
    """Return the lines of a function's log group, oldest first; empty if it does not exist."""
    pages = clients.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    try:
        events = [event for page in pages for event in page["events"]]
    except ClientError:
        return []
    events.sort(key=lambda event: event.get("timestamp", 0))
    return [event.get("message", "").rstrip() for event in events]


def without_routine(lines: Iterable[str]) -> list[str]:
    """Return the lines that are not routine."""
    return [line for line in lines if line.strip() and not _ROUTINE.search(line)]


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
        if path.name not in of_functions:  # the emulator's log repeats those of the functions
            lines = without_duplicates(lines, chain.from_iterable(of_functions.values()))
        sections.append((path.name, "\n".join(chosen(lines))))
    sections += _execution_errors(clients, resources)
    return "\n".join(f"---- {title}\n{text}" for title, text in sections if text)


def _write_function_logs(
    clients: Clients, resources: Mapping[str, str], folder: Path
) -> dict[str, list[str]]:
    """Write each function's log to a file in the folder, and return the lines by file name."""
    written = {}
    for logical_id, group in resources.items():
        if logical_id.endswith("LogGroup"):
            text = "\n".join(function_lines(clients, group))
            (folder / f"{logical_id}.log").write_text(text)
            written[f"{logical_id}.log"] = text.splitlines()
    return written


def _relevant(lines: list[str]) -> list[str]:
    start = max((n for n, line in enumerate(lines, 1) if _READY in line), default=0)
    return without_routine(lines[start:])[-LINES:]


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
