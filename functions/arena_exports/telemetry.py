"""Log lines and metrics, with Powertools. No domain module imports this; `wiring` hands it in."""

from __future__ import annotations

import logging

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

logger = Logger()
metrics = Metrics()

# At DEBUG, botocore prints secrets and urllib3 prints addresses, whatever the level of our own logger (R9).
for name in ("botocore", "boto3", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)


class PowertoolsTelemetry:
    """Fulfils `ports.Telemetry`."""

    def event(self, message: str, **fields: object) -> None:
        """Log one event of a request's or a run's life."""
        logger.info(message, extra=fields)

    def warn(self, message: str, **fields: object) -> None:
        """Log something that an operator should know."""
        logger.warning(message, extra=fields)

    def count(self, metric: str, value: float = 1) -> None:
        """Add to a metric."""
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)
