"""Your code: what is done with each file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def use_file(
    manifest: dict[str, Any],  # noqa: ARG001 - for your code
    file: dict[str, Any],  # noqa: ARG001 - for your code
    pieces: Iterator[bytes],
) -> dict[str, int]:
    """YOUR CODE HERE: use one file of a run. This example counts its bytes and line ends.

    Read the pieces one after the other, and never all into memory: a file can have gigabytes.
    The last one is followed by `HashMismatchError` if the file is not the one that the manifest
    names, so make nothing final before the pieces end. An exception brings the event back later.

    Args:
        manifest: the manifest of the run (infra/schemas/manifest.schema.json).
        file: its entry of this file, with `key`, `size`, `sha256` and `contentType`.
        pieces: the content of the file.

    Returns:
        what is logged.
    """
    size = lines = 0
    for piece in pieces:
        size += len(piece)
        lines += piece.count(b"\n")
    return {"bytes": size, "lines": lines}
