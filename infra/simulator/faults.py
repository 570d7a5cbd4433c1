"""Faults that hit matching requests once, for a while, or always."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from infra.simulator.delivery import DownloadFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.simulator.gateway import Request


@dataclass(frozen=True, slots=True)
class Fault:
    """The requests that a fault hits, and what happens to them.

    A request matches by method and path and, where they are given: if its query has one of
    `parameters` (`*`: any), if its body names one of `item_guids`, if its body is longer than
    `body_above_bytes`, if the run that it reads, or the youngest run that it lists, was created
    less than `runs_younger_than_seconds` ago.

    The request waits `delay_before_seconds`, does its work if `work` is true, and waits
    `delay_after_seconds`. The answer is the work's own, changed by `truncate`, `leave_out` and
    `headers`, or the one that `status`, `code`, `message` and `body` describe; `drop` closes the
    connection without an answer. `late_seconds` makes a POST of a run create it that much later.
    `download` changes how the content of a file is sent.
    """

    method: str = "*"
    path: str = "*"
    parameters: tuple[str, ...] = ()
    item_guids: tuple[str, ...] = ()
    body_above_bytes: int | None = None
    runs_younger_than_seconds: float | None = None
    work: bool = True
    counts: bool = True
    drop: bool = False
    truncate: bool = False
    leave_out: bool = False
    status: int | None = None
    code: int | None = None
    message: str | None = None
    body: str | None = None
    content_type: str = "text/html"
    arena_headers: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    retry_after_seconds: float | None = None
    retry_after_form: str = "seconds"
    delay_before_seconds: float = 0.0
    delay_after_seconds: float = 0.0
    late_seconds: float = 0.0
    download: DownloadFault = field(default_factory=DownloadFault)

    @property
    def answers(self) -> bool:
        """Return whether the fault replaces the answer."""
        return not (self.status is None and self.code is None and self.body is None)

    def matches(self, request: Request, age_of: Callable[[Request], float | None]) -> bool:
        """Return whether the fault hits this request.

        `age_of` returns the age in seconds of the youngest run that a request reads, or None.
        """
        return (
            self.method in {"*", request.method}
            and fnmatchcase(request.path, self.path)
            and self._matches_query(request)
            and self._matches_body(request)
            and self._matches_age(request, age_of)
        )

    def _matches_query(self, request: Request) -> bool:
        if "*" in self.parameters:
            return bool(request.query)
        return not self.parameters or not request.query.keys().isdisjoint(self.parameters)

    def _matches_body(self, request: Request) -> bool:
        named = not self.item_guids or any(
            f'"{guid}"'.encode() in request.body for guid in self.item_guids
        )
        return named and len(request.body) > (
            -1 if self.body_above_bytes is None else self.body_above_bytes
        )

    def _matches_age(self, request: Request, age_of: Callable[[Request], float | None]) -> bool:
        if self.runs_younger_than_seconds is None:
            return True
        age = age_of(request)
        return age is not None and age < self.runs_younger_than_seconds


@dataclass(slots=True)
class Queued:
    """A queued fault: `skip` matches pass, then it acts `times`.

    `times` is None for a fault that acts on every match; `ends_at` (epoch seconds) is None for
    one without an end time.
    """

    fault: Fault
    skip: int = 0
    times: int | None = 1
    ends_at: float | None = None


@dataclass(slots=True)
class FaultQueue:
    """The active and future faults, the oldest first."""

    queued: list[Queued] = field(default_factory=list)

    def take(
        self, request: Request, now: float, age_of: Callable[[Request], float | None]
    ) -> Fault | None:
        """Return the first fault for this request and count it off."""
        for queued in list(self.queued):
            if queued.ends_at is not None and queued.ends_at <= now:
                self.queued.remove(queued)
                continue
            if not queued.fault.matches(request, age_of):
                continue
            if queued.skip > 0:
                queued.skip -= 1
                continue
            self._count_off(queued)
            return queued.fault
        return None

    def _count_off(self, queued: Queued) -> None:
        if queued.times is None:
            return
        queued.times -= 1
        if queued.times <= 0:
            self.queued.remove(queued)
