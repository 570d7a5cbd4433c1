"""Collect the logs that tell what went wrong: the functions', the executions' and the services'."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from botocore.exceptions import ClientError

from infra.local.aws import Clients

LINES = 40


def recent(clients: Clients, resources: Mapping[str, str], folder: Path) -> str:
    """Give the last lines of each function's log group and of each service's log file."""
    sections = [*_function_logs(clients, resources), *_execution_errors(clients, resources)]
    sections += [(path.name, _tail(path)) for path in sorted(folder.glob("*.log"))]
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


def _function_logs(clients: Clients, resources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for logical_id, physical_id in resources.items():
        if logical_id.endswith("LogGroup"):
            lines = function_lines(clients, physical_id)
            yield logical_id, "\n".join(lines[-LINES:])


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


def _tail(path: Path) -> str:
    """Give the last lines of a log file, but for what only says that all is well."""
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join([line for line in lines if " INFO " not in line][-LINES:])
