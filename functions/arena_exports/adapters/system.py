"""The clock and randomness."""

from __future__ import annotations

import random
import time
import uuid

_random = random.SystemRandom()


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def jitter(self) -> float:
        """Return a random number from 0 up to, not including, 1."""
        return _random.random()

    def new_token(self) -> str:
        """Return 32 random hex digits."""
        return uuid.uuid4().hex
