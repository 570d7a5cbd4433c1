"""Work in the background, in one thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

_thread = ThreadPoolExecutor(1)


def in_background(work: Callable[[], R], /) -> Callable[[], R]:
    """Implement `ports.InBackground`."""
    return _thread.submit(work).result
