"""Log lines and metrics, with Powertools."""

from __future__ import annotations

import json
import logging
import os
import warnings
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics, MetricUnit

_CALLER = 3  # the log line's location is the caller's
# The log group shows these.
_SAME_IN_EVERY_LINE = ("cold_start", "function_arn", "function_memory_size", "service")
# Routine lines are many, and each byte costs.
_WHERE_IN_THE_CODE = ("location", "function_name", "function_request_id")
# Lambda sets it for each invocation, even if tracing is off.
_TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
# Lambda treats unknown level names as INFO, and its filter drops such lines.
_LEVELS_OF_LAMBDA = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_REDACTED = "[redacted]"
_redacted_always: set[str] = set()


def redact_always(secret: str) -> None:
    """Redact a secret in every log line of this process from now on (R9).

    No line should contain one; this is a safety net.
    """
    if not secret:
        return
    for spelling in (secret, repr(secret)[1:-1]):  # exceptions quote values with repr
        as_json = json.dumps(spelling)[1:-1]
        as_unicode_json = json.dumps(spelling, ensure_ascii=False)[1:-1]
        _redacted_always.update((spelling, as_json, as_unicode_json))


def redacted(text: str) -> str:
    """Return a text without the secrets that are always redacted."""
    for secret in _redacted_always:
        text = text.replace(secret, _REDACTED)
    return text


class LineFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON lines, shorter and redacted.

    From WARNING on, they also name the place in the code and the invocation. `timestamp` (RFC 3339,
    UTC) and `level` have the form that Lambda's log-level filter expects.
    """

    def __init__(self) -> None:
        super().__init__(utc=True, use_rfc3339=True)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the time of a record, `2026-11-23T20:00:00.123Z`."""
        return super().formatTime(record, datefmt).replace("+00:00", "Z")

    def serialize(self, log: Any) -> str:  # noqa: ANN401 - Powertools' dict
        """Return the line."""
        routine = logging.getLevelNamesMapping()[log["level"]] <= logging.INFO
        for key in (*_SAME_IN_EVERY_LINE, *(_WHERE_IN_THE_CODE if routine else ())):
            log.pop(key, None)
        if routine and "Sampled=1" not in os.environ.get(_TRACE_VARIABLE, ""):
            log.pop("xray_trace_id", None)  # leads to no trace
        log["level"] = _LEVELS_OF_LAMBDA.get(log["level"], log["level"])
        return redacted(super().serialize(log))


class RedactingFormatter(logging.Formatter):
    """Redacts the lines of another formatter, for other packages' loggers."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return redacted(self._inner.format(record))


logger = Logger(logger_formatter=LineFormatter())
metrics = Metrics()

# An invocation without metrics needs no log line.
warnings.filterwarnings("ignore", message="No application metrics to publish")

# At DEBUG, botocore logs secrets and urllib3 logs addresses, whatever our logger's level (R9).
for name in ("botocore", "boto3", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)
for handler in logging.getLogger().handlers:
    handler.setFormatter(RedactingFormatter(handler.formatter))


class PowertoolsTelemetry:
    """Implements `ports.Telemetry`."""

    def debug(self, message: str, **fields: object) -> None:
        """Log what only debugging needs, at level DEBUG."""
        logger.debug(message, stacklevel=_CALLER, extra=fields)

    def info(self, message: str, **fields: object) -> None:
        """Log one event of a request's or a run's life."""
        logger.info(message, stacklevel=_CALLER, extra=fields)

    def warn(self, message: str, **fields: object) -> None:
        """Log something that an operator should know."""
        logger.warning(message, stacklevel=_CALLER, extra=fields)

    def count(self, metric: str, value: float = 1) -> None:
        """Add to a metric."""
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)

    def seconds(self, metric: str, value: float) -> None:
        """Add a duration to a metric."""
        metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=value)
