"""The log lines that are shown after a failure."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.local import logs
from infra.local.aws import Clients

INFO = '{"level":"INFO","message":"request recorded"}'
WARNING = '{"level":"WARNING","message":"request rejected"}'
GREETING = "[INFO] Running on http://127.0.0.1:1 (CTRL + C to quit)"
OWN = "2026-11-23 20:00:00 WARNING [sns] queue policy denies delivery"
AWS_LOG = f"art\n{GREETING}\n{INFO}\n{WARNING}\n{OWN}\n"


class FakeLogs:
    """A client of CloudWatch Logs with the same lines in each log group."""

    def get_paginator(self, _name: str) -> "FakeLogs":
        """Return itself."""
        return self

    def paginate(self, **_group: str) -> list[dict[str, Any]]:
        """Return one page."""
        return [{"events": [{"message": INFO}, {"message": WARNING}]}]


@pytest.fixture
def clients() -> Clients:
    """The clients, with only CloudWatch Logs."""
    return cast("Clients", SimpleNamespace(logs=FakeLogs()))


def test_recent__shows_each_warning_once(clients: Clients, tmp_path: Path) -> None:
    """A function's line that the emulator's log repeats is shown once, as the function's."""
    (tmp_path / "aws.log").write_text(AWS_LOG)
    (tmp_path / "arena.log").write_text("http://127.0.0.1:2\n")
    shown = logs.recent(clients, {"SubmitLogGroup": "group"}, tmp_path)
    assert shown == f"---- SubmitLogGroup.log\n{WARNING}\n---- aws.log\n{OWN}"
    assert (tmp_path / "SubmitLogGroup.log").read_text() == f"{INFO}\n{WARNING}"


def test_complete__shows_every_line_once(clients: Clients, tmp_path: Path) -> None:
    """Routine lines are shown as well."""
    (tmp_path / "aws.log").write_text(AWS_LOG)
    shown = logs.complete(clients, {"SubmitLogGroup": "group"}, tmp_path).splitlines()
    assert shown == ["---- SubmitLogGroup.log", INFO, WARNING, "---- aws.log", "art", GREETING, OWN]


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: 1 Version: $LATEST",
        "END RequestId: 1",
        "REPORT RequestId: 1 Duration: 3 ms",
        '{"_aws":{"Timestamp":1}}',
        '{"level":"INFO","message":"request recorded"}',
        "2026-11-23 20:00:00 INFO [sqs] SQS queue created",
        "2026-11-23 20:00:00 WARNING [kms] cryptography package not installed; …",
        "2026-11-23 20:00:00 WARNING [samtranslator.metrics.metrics] There are unpublished …",
        "",
    ],
)
def test_routine_lines__are_left_out(line: str) -> None:
    """Routine lines do not hide the others."""
    assert logs.without_routine([line]) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"WARNING","message":"arena is busy"}',
        "2026-11-23 20:00:00 ERROR [states] execution failed",
        "Traceback (most recent call last):",
        "KeyError: 'guid'",
    ],
)
def test_other_lines__are_shown(line: str) -> None:
    """Whatever is not routine is shown."""
    assert logs.without_routine([line]) == [line]
