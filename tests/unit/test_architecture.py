"""The import arrow: handlers -> domain <- adapters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
PURE = {
    "arena/protocol",
    "arena/refusals",
    "domain/budget",
    "domain/events",
    "domain/messages",
    "domain/model",
    "domain/polling",
    "domain/runs",
    "ledger/pages",
}
OUTSIDE = {"boto3", "botocore", "requests", "aws_lambda_powertools"}
ENDS = {"arena_exports.wiring", "arena_exports.adapters.telemetry", "arena_exports.adapters"}


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports at run time or for its types."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def within(names: set[str], packages: set[str]) -> set[str]:
    """Return the names that lie in one of the packages."""
    return {n for n in names for p in packages if n == p or n.startswith(p + ".")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_imports__run_one_way(path: Path) -> None:
    """The domain knows no adapter and no SDK, adapters only ports and values, handlers wiring."""
    place = path.relative_to(FUNCTIONS).parts
    names = imports(path)
    if place[0] != "arena_exports":
        names -= {"arena_exports.adapters.telemetry"}
        assert not within(names, {"boto3", "botocore", "requests", "arena_exports.adapters"})
    elif place[1] == "adapters":
        assert not within(names, {"arena_exports.wiring", "arena_exports.ledger"})
    elif place[1] != "wiring":
        assert not within(names, OUTSIDE | ENDS)


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules__have_no_time_and_no_chance(name: str) -> None:
    """A pure module reads no clock, no environment, no file, and rolls no dice."""
    assert not within(
        imports(FUNCTIONS / "arena_exports" / f"{name}.py"),
        {"os", "time", "random", "uuid", "pathlib"},
    )
