"""The workspace's daily budget of requests, from midnight to midnight US Pacific time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from infra.simulator import clock
from infra.simulator.errors import ArenaError

Headers = tuple[tuple[str, str], ...]

RESET_FORMS: Mapping[str, Callable[[float], str] | None] = MappingProxyType(
    {
        "documented": clock.documented_date,
        "rfc": clock.http_date,
        "zulu": clock.format_utc,
        "zone": clock.zoned_date,
        "joined": clock.joined_date,
        "garbage": lambda _at: "soon, surely",
        "none": None,
    }
)
"""The forms of the reset header; `Budget` adds `past`."""
PAST_SECONDS = 3600.0
REMAINING_FORMS: Mapping[str, Callable[[int], str] | None] = MappingProxyType(
    {
        "number": str,
        "joined": lambda remaining: f"{remaining}, {remaining}",
        "decimals": lambda remaining: f"{remaining}.0",
        "negative": lambda remaining: str(remaining or -1),
        "garbage": lambda _remaining: "many",
        "none": None,
    }
)
"""The forms of the remaining number; `negative` shows -1 instead of 0."""


@dataclass(slots=True)
class Budget:
    """The day's remaining requests, and the form in which answers report them."""

    limit: int
    resets_at: float
    used: int = 0
    reset_form: str = "documented"
    remaining_form: str = "number"

    @property
    def remaining(self) -> int:
        """How many requests are left until the reset."""
        return max(self.limit - self.used, 0)

    def refresh(self, now: float) -> None:
        """Restore the full budget if the reset has passed."""
        if now >= self.resets_at:
            self.used = 0
            self.resets_at = clock.next_pacific_midnight(now)

    def spend(self, now: float) -> None:
        """Count one request; raise code 4084 when none is left."""
        self.refresh(now)
        if self.remaining == 0:
            reset = clock.documented_date(self.resets_at)
            message = f"The limit of {self.limit} requests has been reached. It resets at {reset}."
            raise ArenaError(4084, message)
        self.used += 1

    def headers(self, now: float, skew_seconds: float) -> Headers:
        """Return the two headers of every answer, in the configured form."""
        write = REMAINING_FORMS[self.remaining_form]
        pairs = (
            ("X-Arena-Requests-Remaining", None if write is None else write(self.remaining)),
            ("X-Arena-Next-Request-Limit-Reset", self._reset_text(now, skew_seconds)),
        )
        return tuple((name, text) for name, text in pairs if text is not None)

    def _reset_text(self, now: float, skew_seconds: float) -> str | None:
        if self.reset_form == "past":
            return clock.documented_date(now + skew_seconds - PAST_SECONDS)
        write = RESET_FORMS[self.reset_form]
        return None if write is None else write(self.resets_at + skew_seconds)
