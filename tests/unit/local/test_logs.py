"""Which log lines matter when something failed."""

import pytest

from infra.local import logs


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: 1 Version: $LATEST",
        "END RequestId: 1",
        "REPORT RequestId: 1 Duration: 3 ms",
        '{"_aws":{"Timestamp":1}}',
        '{"level":"INFO","message":"request recorded"}',
        "2026-11-23 20:00:00 INFO [sqs] SQS queue created",
        "",
    ],
)
def test_routine_lines__are_left_out(line: str) -> None:
    """Lines that only say that all is well do not hide the others."""
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
