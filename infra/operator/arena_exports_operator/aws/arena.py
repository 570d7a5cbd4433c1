"""Ask Arena through the stack's function examine, so that no session id leaves AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena_exports_operator.aws.calls import explained
from arena_exports_operator.aws.stack import resource
from arena_exports_operator.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports_operator.aws.calls import Aws
    from arena_exports_operator.aws.stack import Stack

_FUNCTION_SECONDS = 190  # longer than the function's timeout: a second call would ask Arena again


@dataclass(frozen=True, slots=True)
class Examined:
    """Arena's answers about a definition, redacted, and why some are missing."""

    answers: tuple[Mapping[str, Any], ...]
    problem: str


def examine(aws: Aws, stack: Stack, export_guid: str, caller: str) -> Examined:
    """Ask Arena, through the function, about a definition and then about its runs.

    Raises:
        NoAccessError: AWS does not permit it.
        OperatorError: the function failed.
    """
    name = resource(aws, stack, "ExamineFunction")
    client = aws.client("lambda", read_timeout=_FUNCTION_SECONDS, attempts=1)
    with explained():
        answer = client.invoke(
            FunctionName=name,
            Payload=json.dumps({"exportGuid": export_guid, "sentBy": caller}).encode(),
        )
        content = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise OperatorError(
            f"the function examine failed ({content.get('errorType')}): see its log"
        )
    return Examined(tuple(content["answers"]), content["problem"])
