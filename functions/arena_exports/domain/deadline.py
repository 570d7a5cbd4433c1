"""How long a function may still work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.ports import Clock


class Deadline:
    """How long a function may still work."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.now() + seconds

    def allows(self, seconds: float) -> bool:
        """Say whether so many seconds are left."""
        return self._clock.now() + seconds <= self._at
