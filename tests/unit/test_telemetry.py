"""What a log line contains, and what it never shows."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.adapters.telemetry import (
    PowertoolsTelemetry,
    RedactingFormatter,
    logger,
    redact_always,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = 'correct "horse" bättery\\staple'
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CONTEXT = SimpleNamespace(
    function_name="submit",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:submit",
    aws_request_id="4a6d2c3e",
)


@pytest.fixture
def text() -> Iterator[io.StringIO]:
    """Return what the functions' logger writes, with a password that it must redact."""
    redact_always(PASSWORD)
    redact_always("")
    written = io.StringIO()
    stream = logger.registered_handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    logger.registered_handler.setStream(stream)  # type: ignore[attr-defined]


def test_line__has_its_fields_and_little_else(text: io.StringIO) -> None:
    """Lines from WARNING on also name the source line and the invocation."""

    @logger.inject_lambda_context(clear_state=True)
    def handler(_event: object, _context: Any) -> None:
        PowertoolsTelemetry().debug("not written at INFO", reason="r")
        PowertoolsTelemetry().info("request recorded", requestId="m-1", items=2)
        PowertoolsTelemetry().warn("run failed", runGuid="R-1")

    handler({}, CONTEXT)
    routine, warning = map(json.loads, text.getvalue().splitlines())
    assert routine.keys() == {"level", "message", "timestamp", "requestId", "items"}
    assert (routine["requestId"], routine["items"]) == ("m-1", 2)
    where = {"location", "function_name", "function_request_id"}
    assert warning.keys() == {"level", "message", "timestamp", "runGuid"} | where
    assert warning["function_request_id"] == CONTEXT.aws_request_id
    assert warning["location"].startswith("handler:")


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", "DEBUG"), ("info", "INFO"), ("warning", "WARN"), ("error", "ERROR")],
)
def test_line__can_be_read_by_lambda_s_filter(
    text: io.StringIO, monkeypatch: pytest.MonkeyPatch, level: str, shown: str
) -> None:
    """Timestamps follow RFC 3339, and levels are Lambda's, because others count as INFO."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    before = logger.log_level
    logger.setLevel("DEBUG")
    try:
        getattr(logger, level)("x")
    finally:
        logger.setLevel(before)
        monkeypatch.undo()
        time.tzset()
    line = json.loads(text.getvalue())
    assert RFC_3339.fullmatch(line["timestamp"])
    age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
    assert timedelta(0) <= age + timedelta(milliseconds=1) < timedelta(minutes=5)
    assert line["level"] == shown


@pytest.mark.parametrize("sampled", [0, 1])
def test_line__names_the_trace_if_one_is_kept(
    text: io.StringIO, monkeypatch: pytest.MonkeyPatch, sampled: int
) -> None:
    """Every invocation has a trace id; routine lines show it only if the trace is kept."""
    root = "1-5759e988-bd862e3fe1be46a994272793"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent=53995c3f42cd8ad8;Sampled={sampled}")
    PowertoolsTelemetry().info("request recorded")
    PowertoolsTelemetry().warn("run failed")
    routine, warning = map(json.loads, text.getvalue().splitlines())
    assert routine.get("xray_trace_id") == (root if sampled else None)
    assert warning["xray_trace_id"] == root


def test_line__shows_no_secret(text: io.StringIO) -> None:
    """A secret is hidden in messages, fields and exceptions, also in JSON's spelling."""
    logger.warning("login with %s", PASSWORD, extra={"detail": {"password": PASSWORD}})
    try:
        int(PASSWORD)
    except ValueError:
        logger.exception("failed")
    lines = [json.loads(line) for line in text.getvalue().splitlines()]
    assert lines[0]["message"] == "login with [redacted]"
    assert lines[0]["detail"] == {"password": "[redacted]"}
    assert "[redacted]" in lines[1]["exception"]
    assert "horse" not in text.getvalue()


def test_other_loggers__show_no_secret() -> None:
    """The runtime's own handler, which writes what libraries log, hides secrets too."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(RedactingFormatter(logging.Formatter("%(name)s: %(message)s")))
    redact_always(PASSWORD)
    library = logging.getLogger("library")
    library.addHandler(handler)
    library.error("sent %s", PASSWORD)
    library.removeHandler(handler)
    assert written.getvalue() == "library: sent [redacted]\n"


@pytest.mark.parametrize("name", ["botocore", "boto3", "urllib3"])
def test_libraries__do_not_log_below_warning(name: str) -> None:
    """Their DEBUG lines show secrets, whatever the functions' level (R9)."""
    assert logging.getLogger(name).level == logging.WARNING
