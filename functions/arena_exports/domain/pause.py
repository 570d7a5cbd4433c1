"""A pause that an operator asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no new run starts, by whose order (an ARN), and until when.

    `until` is epoch seconds; 0 means until somebody resumes.
    """

    reason: str
    by: str
    until: int = 0

    def holds(self, now: float) -> bool:
        """Report whether the pause is in force."""
        return not self.until or now < self.until
