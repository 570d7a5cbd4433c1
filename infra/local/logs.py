"""Collect the logs that tell what went wrong: the functions', the executions' and the services'."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from botocore.exceptions import ClientError

from infra.local.aws import Clients

LINES = 40
_ALL_IS_WELL = re.compile(
    r'^(START|END|REPORT|INIT_START) |^{"_aws"|"level":"(INFO|DEBUG)"| INFO |\[INFO]'
)
"""Lines of Lambda itself, metrics, and whatever was logged at INFO."""
_READY = "Running on http"
"""The end of the emulator's greeting."""


def recent(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Give the last lines that matter of every log; the whole of them go to files in `folder`."""
    sections = []
    for logical_id, group in resources.items():
        if logical_id.endswith("LogGroup"):
            lines = function_lines(clients, group)
            (folder / f"{logical_id}.log").write_text("\n".join(lines))
    sections += [(path.name, _that_matter(path)) for path in sorted(folder.glob("*.log"))]
    sections += _execution_errors(clients, resources)
    return "\n".join(f"---- {title}\n{text}" for title, text in sections if text)


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


def _that_matter(path: Path) -> str:
    text = path.read_text(errors="replace")
    after_banner = text.rpartition(_READY)[2]
    return "\n".join(without_routine(after_banner.splitlines())[-LINES:])


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
