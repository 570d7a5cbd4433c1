"""Every error code that an adapter names is one of AWS's, because a misspelled one never occurs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from botocore.session import get_session

ADAPTERS = Path(__file__).parents[2] / "functions" / "arena_exports" / "adapters"
SERVICES = {
    "bucket.py": ["s3"],
    "session_function.py": ["lambda"],
    "dynamodb.py": ["dynamodb"],
    "executions.py": ["stepfunctions"],
    "messaging.py": ["sns", "sqs"],
    "secrets.py": ["secretsmanager"],
}
NAMES_A_CODE = re.compile(
    r"[A-Z]\w+(Exception|Failure|Error|Exceeded|Failed|Conflict|Timeout|Throttled)|Throttling"
)
# By botocore, whatever the service's model says.
THROTTLED: Any = ThrottledRetryableChecker
TRANSIENT: Any = TransientRetryableChecker
RETRIED = {*THROTTLED._THROTTLED_ERROR_CODES, *TRANSIENT._TRANSIENT_ERROR_CODES}


def named(path: Path) -> set[str]:
    """Return the codes that a file names, as text or as an exception of a client."""
    tree = ast.parse(path.read_text())
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    exceptions = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "exceptions"
    }
    return exceptions | {text for text in texts if NAMES_A_CODE.fullmatch(text)}


def modelled(service: str) -> set[str]:
    """Return the names in a service's model: errors, reasons for cancelling, and parameters."""
    model: Any = get_session().get_service_model(service)
    shapes = map(model.shape_for, model.shape_names)
    parameters = {name for shape in shapes for name in getattr(shape, "members", ())}
    errors = {shape.error_code or shape.name for shape in model.error_shapes}
    texts = " ".join(shape.documentation for shape in model.error_shapes)
    return errors | parameters | set(re.findall(r"Code: <code>(\w+)</code>", texts))


@pytest.mark.parametrize("path", sorted(ADAPTERS.glob("*.py")), ids=lambda path: path.name)
def test_codes__that_an_adapter_names_are_awss(path: Path) -> None:
    """Each code is in the model of its service, or botocore retries it for all services."""
    known = RETRIED.union(*map(modelled, SERVICES.get(path.name, [])))
    assert named(path) - known == set()


def test_codes__are_found() -> None:
    """The search finds each way of naming a code."""
    assert named(ADAPTERS / "executions.py") == {"ExecutionAlreadyExists", "ExecutionDoesNotExist"}
    assert named(ADAPTERS / "secrets.py") == {"ResourceNotFoundException"}
    assert named(ADAPTERS / "dynamodb.py") >= {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionCanceledException",
        "TransactionConflict",
        "TransactionConflictException",
    }
    assert len(named(ADAPTERS / "aws_errors.py")) == 7
