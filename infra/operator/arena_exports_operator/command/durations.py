"""Durations as people write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM = re.compile(r"([1-9][0-9]{0,5})([smhd])")


class Duration(click.ParamType[int]):
    """Such as `90s`, `15m`, `2h` or `3d`, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> int:  # noqa: ANN401 - click's
        """Return the seconds."""
        if isinstance(value, int):
            return value
        match = _FORM.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 2h or 3d", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


DURATION = Duration()
