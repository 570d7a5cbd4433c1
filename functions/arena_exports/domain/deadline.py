"""How long a function may still run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a function must be done, in epoch seconds."""

    at: float

    def allows(self, seconds: float, now: float) -> bool:
        """Return whether that many seconds are left."""
        return now + seconds <= self.at
