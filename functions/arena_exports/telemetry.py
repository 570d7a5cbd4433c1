"""Log lines and metrics, with Powertools. No domain module imports this; `wiring` hands it in."""

from __future__ import annotations

import logging
import warnings

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

logger = Logger()
metrics = Metrics()

# A function that had nothing to count is no reason for a line in the log.
warnings.filterwarnings("ignore", message="No application metrics to publish")

# At DEBUG, botocore prints secrets and urllib3 addresses, whatever our own logger's level (R9).
for name in ("botocore", "boto3", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)

_CALLER = 3  # the log line's location is where the domain said it


class PowertoolsTelemetry:
    """Fulfils `ports.Telemetry`."""

    def event(self, message: str, **fields: object) -> None:
        """Log one event of a request's or a run's life."""
        logger.info(message, stacklevel=_CALLER, extra=fields)

    def warn(self, message: str, **fields: object) -> None:
        """Log something that an operator should know."""
        logger.warning(message, stacklevel=_CALLER, extra=fields)

    def count(self, metric: str, value: float = 1) -> None:
        """Add to a metric."""
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)
