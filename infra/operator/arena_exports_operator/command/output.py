"""How answers are shown: JSON with stable keys, or text for people.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from rich.console import Console

from arena_exports.domain.model import camel_case
from arena_exports.domain.times import format_utc
from arena_exports_operator.answers.words import for_terminal, without_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PIPE_COLUMNS = 2_000  # nothing is wrapped or cut in a pipe


def console() -> Console:
    """Return a console for standard output; rich omits colour in a pipe and with NO_COLOR."""
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


def to_plain(value: Any) -> Any:  # noqa: ANN401 - any answer
    """Return an answer as JSON values: keys in camelCase, times in UTC, no e-mail address."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return without_addresses(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {camel_case(f.name): _field(f.name, getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(inner) for inner in value]
    return value


def _field(name: str, value: Any) -> Any:  # noqa: ANN401 - any field
    is_time = (name == "at" or name.endswith("_at")) and isinstance(value, int)
    return format_utc(value) if is_time else to_plain(value)


def print_json(value: Any) -> None:  # noqa: ANN401 - any answer
    """Write an answer to standard output as JSON."""
    print(json.dumps(to_plain(value), indent=2))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write aligned columns to standard output; nothing is cut off."""
    lines = [tuple(headers), *(tuple(map(for_terminal, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = console()
    for number, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        style = None if number else "bold"
        out.print("  ".join(cells).rstrip(), style=style, soft_wrap=True)


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Write labels and values to standard output, with the values aligned."""
    out = console()
    for label, text in lines:
        out.print(f"{label:<16}", style="bold", end="")
        out.print(for_terminal(text), soft_wrap=True)
