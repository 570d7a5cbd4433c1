"""The version of this tool."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CHECKOUT = Path(__file__).parents[3]


def own_version() -> str:
    """Return the version of the installed tool, or of the checkout that it runs in."""
    try:
        return version("arena-exports")
    except PackageNotFoundError:
        project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())["project"]
        return str(project["version"])


def major(text: str) -> int:
    """Return the first number of a version."""
    return int(text.partition(".")[0])
