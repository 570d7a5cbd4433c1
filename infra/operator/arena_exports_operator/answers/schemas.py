"""The JSON schemas of messages, events and the manifest, from the wheel or the checkout."""

from __future__ import annotations

from pathlib import Path

from arena_exports_operator.errors import NotFoundError

_IN_THE_WHEEL = Path(__file__).parents[1] / "schemas"
_IN_THE_CHECKOUT = Path(__file__).parents[3] / "schemas"
_ENDINGS = (".schema.json", ".json", ".yaml")


def names() -> list[str]:
    """Return the names of the schemas."""
    return sorted(_files())


def read(name: str) -> str:
    """Return the text of a schema.

    Raises:
        NotFoundError: there is no schema with that name.
    """
    files = _files()
    if name not in files:
        raise NotFoundError(f"there is no schema {name}; there are {', '.join(sorted(files))}")
    return files[name].read_text(encoding="utf-8")


def _files() -> dict[str, Path]:
    folder = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_CHECKOUT
    return {_name(path): path for path in folder.glob("*.*") if path.name.endswith(_ENDINGS)}


def _name(path: Path) -> str:
    return next(path.name.removesuffix(end) for end in _ENDINGS if path.name.endswith(end))
