"""The entry of status: called by a CloudWatch dashboard, for its first widget.

It only reads, and sends nothing to Arena. Whoever may call it can see the widget.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports_operator.aws.calls import Aws
from arena_exports_operator.aws.stack import Stack
from arena_exports_operator.page.source import source_of
from arena_exports_operator.page.surface import FIELD, Widget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from arena_exports_operator.page.source import Source

    class Context(Protocol):
        """The part of Lambda's context that is used."""

        invoked_function_arn: str


DOCUMENTATION = """## Status of arena-exports
Shows whether exports work, and why not: one word, the run in progress, what is pending, the day's
Arena requests, the last runs, deliveries and dead letters. The search box finds a message id, a
correlation id, or the GUID of an item, run or file.

The widget needs no parameters.
"""
_OUTPUTS = {
    "IntakeQueueUrl": "INTAKE_QUEUE_URL",
    "DeadLetterQueueUrl": "DEAD_LETTER_QUEUE_URL",
    "LedgerTableName": "LEDGER_TABLE_NAME",
}
_PARAMETERS = {
    "BatchingWindowSeconds": "BATCHING_WINDOW_SECONDS",
    "ExportsPaused": "EXPORTS_PAUSED",
    "MaxItemsPerRun": "MAX_ITEMS_PER_RUN",
    "RequestBudgetReserve": "REQUEST_BUDGET_RESERVE",
    "RunTimeoutSeconds": "RUN_TIMEOUT_SECONDS",
}
"""The template passes these on, so that no call needs CloudFormation."""


@cache
def deployed() -> Source:
    """Return the source of the function's own stack."""
    outputs, parameters = _values(_OUTPUTS), _values(_PARAMETERS)
    return source_of(Aws(), Stack(os.environ["POWERTOOLS_SERVICE_NAME"], outputs, parameters, ""))


def _values(names: Mapping[str, str]) -> dict[str, str]:
    return {name: os.environ[variable] for name, variable in names.items()}


def handler(event: dict[str, Any], context: Context) -> str:
    """Return the widget's HTML, or its documentation in Markdown for `{"describe": true}`.

    CloudWatch's event has the widget's parameters, and in `widgetContext` the theme and the fields
    of the forms (AWS: Details about custom widgets in CloudWatch).
    """
    return DOCUMENTATION if "describe" in event else show(event, context, deployed())


def show(event: Mapping[str, Any], context: Context, source: Source) -> str:
    """Do what `handler` does for a widget, with the given source."""
    shown = event.get("widgetContext", {})
    text = event[FIELD] if FIELD in event else shown.get("forms", {}).get("all", {}).get(FIELD, "")
    theme = "dark" if shown.get("theme") == "dark" else "light"
    return source.view(str(text), Widget(context.invoked_function_arn, theme)).body


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    deployed()  # a function has a whole processor while it starts
