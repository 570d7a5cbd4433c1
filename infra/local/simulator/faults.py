"""One-shot faults: what shall go wrong with the next requests that match."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request whose method and path match.

    The request waits `delay_before_seconds`, does its work if `work` says so, and waits
    `delay_after_seconds`. The answer is then the work's own, cut short by `truncate`, or the
    one described by `status`, `code`, `message` and `body`; `drop` closes the connection
    without any. `late_seconds` lets a POST of a run create it that much later.
    """

    method: str = "*"
    path: str = "*"
    work: bool = True
    drop: bool = False
    truncate: bool = False
    status: int | None = None
    code: int | None = None
    message: str | None = None
    body: str | None = None
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()
    delay_before_seconds: float = 0.0
    delay_after_seconds: float = 0.0
    late_seconds: float = 0.0

    @property
    def answers(self) -> bool:
        """Tell whether the fault brings an answer of its own."""
        return not (self.status is None and self.code is None and self.body is None)

    def matches(self, method: str, path: str) -> bool:
        """Tell whether the fault is for this request; `*` in a path stands for anything."""
        return self.method in {"*", method} and fnmatchcase(path, self.path)


@dataclass(slots=True)
class Queued:
    """A fault that waits for its request: first `skip` matches pass, then it acts `times`."""

    fault: Fault
    skip: int = 0
    times: int = 1


@dataclass(slots=True)
class FaultQueue:
    """The faults that are still to come, the oldest first."""

    queued: list[Queued] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault for this request and count it off."""
        for queued in self.queued:
            if not queued.fault.matches(method, path):
                continue
            if queued.skip > 0:
                queued.skip -= 1
                continue
            self._count_off(queued)
            return queued.fault
        return None

    def _count_off(self, queued: Queued) -> None:
        queued.times -= 1
        if queued.times <= 0:
            self.queued.remove(queued)
