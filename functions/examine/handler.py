"""The entry of examine: invoked by the command `arena-exports doctor --arena`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.telemetry import logger, metrics
from arena_exports.wiring.examine import ExamineFunction
from arena_exports.wiring.settings import in_lambda

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

deployed = cache(ExamineFunction.from_environment)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Ask Arena about the export definition `exportGuid`; `sentBy` is the operator, for the log.

    Returns:
        `{"answers": [{"call", "status", "headers", "body"}], "problem": ""}`: Arena's answers,
            redacted, and why there are no more of them.
    """
    return examine(event, deployed())


def examine(event: dict[str, Any], function: ExamineFunction) -> dict[str, Any]:
    """Do what `handler` does, with the given function."""
    export_guid, sent_by = str(event.get("exportGuid", "")), str(event.get("sentBy", ""))
    return function.examination.examine(export_guid, sent_by).to_json()


if in_lambda():
    deployed()  # a function has a whole processor while it starts
