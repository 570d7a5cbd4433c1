"""Your code: what to do with each file."""

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

    Read the pieces one after the other, never all into memory: a file can have gigabytes. If the
    file is not the one that the manifest names, `HashMismatchError` follows the last piece, so
    commit nothing before the pieces end. After an exception, the event is delivered again later.

    Args:
        manifest: the manifest of the run (infra/schemas/manifest.schema.json).
        file: the manifest's entry for this file, with `key`, `size`, `sha256` and `contentType`.
        pieces: the content of the file.

    Returns:
        what to log.
    """
    size = lines = 0
    for piece in pieces:
        size += len(piece)
        lines += piece.count(b"\n")
    return {"bytes": size, "lines": lines}
