"""Each fault in the list is claimed by a test, and tests/README.md says by which."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
FAULTS = (*range(1, 73), *range(83, 95))
_NAME = re.compile(r"test_fault((?:_\d\d)+)__")
_DOCSTRING = re.compile(r"FAULT (\d+(?:, \d+)*):")
_ROW = re.compile(r"^\| (\d+) \| [^|]+ \| (.+) \|$", re.MULTILINE)


def claimed(function: ast.FunctionDef) -> set[int]:
    """Return the faults that a test claims by its name or in its docstring."""
    named = _NAME.match(function.name)
    said = _DOCSTRING.search(ast.get_docstring(function) or "")
    texts = (named[1].strip("_").split("_") if named else []) + (
        said[1].split(", ") if said else []
    )
    return set(map(int, texts))


def claims() -> dict[int, set[str]]:
    """Return the files with tests that claim each fault."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for fault in claimed(node):
                    found[fault].add(path.relative_to(TESTS).as_posix())
    return found


def test_faults__are_each_claimed_by_a_test() -> None:
    """The tests claim each fault of the list, and no other."""
    assert sorted(claims()) == list(FAULTS)


def test_faults__are_in_the_table_with_their_tests() -> None:
    """The table names exactly the files that claim each fault."""
    section = (TESTS / "README.md").read_text().split("\n## Which test covers which fault\n")[1]
    rows = _ROW.findall(section.split("\n## ")[0])
    table = {int(fault): set(re.findall(r"`([^`]+\.py)`", files)) for fault, files in rows}
    assert table == claims()
