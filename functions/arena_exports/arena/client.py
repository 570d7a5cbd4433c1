"""The Arena client: start, read and find runs, within the session and the request budget.

The budget is checked before each request and updated after each answer. A 401 leads to a new
session and one more try; so do three answers in a row that look like a login page.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from arena_exports.arena import protocol, refusals
from arena_exports.domain.budget import altered_headers, limited_budget, read_budget, spent_budget
from arena_exports.domain.errors import (
    ArenaAnswerError,
    BudgetSpentError,
    LedgerUnavailableError,
    RateLimitedError,
    RequestNotCompletedError,
    RetryLaterError,
    SessionInvalidError,
)
from arena_exports.domain.runs import Run, parse_run, parse_runs
from arena_exports.domain.times import parse_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arena_exports.arena.sessions import SessionCache
    from arena_exports.domain.budget import Budget
    from arena_exports.domain.model import ExportGuid, ItemGuid, Kind, RunGuid
    from arena_exports.ledger.budget import BudgetStore
    from arena_exports.ports import Clock, HttpAnswer, HttpRequest, Telemetry, Transport

    Transmit = Callable[[HttpRequest], HttpAnswer]

_T = TypeVar("_T")

_GET_TRIES = 3
_RETRY_BASE_SECONDS = 1.0
# Even if the last try takes the whole HTTP timeout (30 s), it ends before poll's timeout (90 s).
_RETRY_WITHIN_SECONDS = 15
_DEAD_TWICE_SECONDS = 60
# If the secret was written by hand, that session and ours may both be dead.
_MAX_RENEWALS = 3
PAGES_OF_A_DEAD_SESSION = 3
# A page may also come from a gateway in maintenance: then a new session changes nothing.
SECONDS_BETWEEN_RENEWALS_FOR_PAGES = 3600
MAX_JITTER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Found:
    """Runs that a search found, and Arena's clock at that time (epoch seconds; None if unknown).

    `complete` is false if Arena counts more runs than it returns.
    """

    runs: tuple[Run, ...]
    arena_now: float | None
    complete: bool = True


@dataclass(slots=True, kw_only=True)
class Arena:
    """Calls Arena, for every function except session."""

    transport: Transport
    sessions: SessionCache
    budgets: BudgetStore
    reserve: int
    clock: Clock
    telemetry: Telemetry
    _pages: int = field(default=0, init=False)
    _renewed_for_pages_at: float = field(default=0.0, init=False)
    _altered: list[str] = field(default_factory=list, init=False)

    def budget(self) -> Budget:
        """Return the request budget last seen."""
        return self.budgets.read()

    def check_budget_for_run(self) -> None:
        """Make sure that more than the reserve is left, so that a new run may be started.

        Raises:
            RetryLaterError: it is not.
        """
        wait = self.budget_wait(self.reserve)
        if wait:
            raise RetryLaterError("request budget at its reserve", wait)

    def budget_wait(self, reserve: int) -> int:
        """Return how many seconds to hold a request that must leave `reserve` (0: send it now)."""
        wait = self.budgets.read().wait_seconds(self.clock.now(), reserve)
        return self._jittered(wait) if wait else 0

    def start_run(self, export_guid: ExportGuid, kind: Kind, item_guids: Sequence[ItemGuid]) -> Run:
        """POST a run: once, and a second time only after a definite 401.

        Raises:
            RequestNotCompletedError: whether a run exists is unknown.
            ArenaAnswerError: it was refused; no run exists.
            RetryLaterError: nothing was sent, or it was refused before any work was done.
        """
        request = protocol.start_run(export_guid, kind, item_guids)
        answer = self.send(request)
        try:
            return parse_run(protocol.answer_json(request, answer))
        except ArenaAnswerError as exc:
            raise refusals.start_run_error(exc, answer, export_guid, frozenset(item_guids)) from exc

    def read_run(self, export_guid: ExportGuid, run_guid: RunGuid) -> Run:
        """GET a run, with a few tries.

        Raises:
            RequestNotCompletedError: none of the tries got an answer.
            RunUnreadableError: this user can never read it.
            ArenaAnswerError: it was refused, which says nothing about the run.
            RetryLaterError: nothing was sent.
        """
        request = protocol.read_run(export_guid, run_guid)

        def read() -> Run:
            run = parse_run(protocol.answer_json(request, self.send(request)))
            if run.guid != run_guid:
                message = f"{request.call}: the answer is another run"
                raise RequestNotCompletedError(message)
            return run

        try:
            return self._with_retries(read)
        except ArenaAnswerError as exc:
            raise refusals.read_run_error(exc) from exc

    def find_runs(self, export_guid: ExportGuid, filters: Mapping[str, str]) -> Found:
        """GET a definition's runs, filtered (`{}`: all of them), with a few tries.

        Raises:
            RequestNotCompletedError, ArenaAnswerError, RetryLaterError: as for `read_run`.
        """
        request = protocol.list_runs(export_guid, filters)

        def search() -> Found:
            answer = self.send(request)
            runs, complete = parse_runs(protocol.answer_json(request, answer))
            return Found(tuple(runs), parse_date(answer.headers.get("date", "")), complete)

        return self._with_retries(search)

    def _with_retries(self, call: Callable[[], _T]) -> _T:
        """Retry an idempotent call, with full jitter, while it fails quickly without an answer."""
        began = self.clock.now()
        for retry in range(1, _GET_TRIES):
            try:
                return call()
            except RequestNotCompletedError as exc:
                self.telemetry.warn("arena did not answer", error=str(exc))
                if self.clock.now() - began > _RETRY_WITHIN_SECONDS:
                    raise
                self.clock.sleep(self.clock.jitter() * _RETRY_BASE_SECONDS * 2**retry)
        return call()

    def send(self, request: HttpRequest, transmit: Transmit | None = None) -> HttpAnswer:
        """Send a request in the session in force; if that is dead, again in a new one.

        `transmit` sends it once and returns the answer; the transport's own unless it is given.

        Raises:
            RequestNotCompletedError: no answer came.
            RetryLaterError: nothing was sent, or it was refused before any work was done.
        """
        transmit = transmit or self.transport.send
        known = self.budgets.read()
        wait = known.wait_seconds(self.clock.now(), 0)
        if wait:
            raise RetryLaterError("request budget spent", self._jittered(wait))
        session = self.sessions.current()
        answer = self._exchange(replace(request, session_id=session.session_id), known, transmit)
        pages = self._shows_pages(request, answer)
        for _ in range(_MAX_RENEWALS):
            if not (_session_is_dead(request, answer) or pages):
                break
            session = self.sessions.renew(session)
            if pages:
                self._renewed_for_pages_at = self.clock.now()
            answer = self._exchange(
                replace(request, session_id=session.session_id), known, transmit
            )
            pages = pages and protocol.is_page(answer)
            if session.fresh:
                break
        if _session_is_dead(request, answer):
            raise RetryLaterError("session died at once", _DEAD_TWICE_SECONDS)
        return answer

    def _shows_pages(self, request: HttpRequest, answer: HttpAnswer) -> bool:
        """Return whether login pages in a row show a dead session (at most once an hour)."""
        if request.method != "GET":
            return False
        if not protocol.is_page(answer):
            self._pages = 0
            return False
        self._pages += 1
        now = self.clock.now()
        lately = now - self._renewed_for_pages_at < SECONDS_BETWEEN_RENEWALS_FOR_PAGES
        if self._pages < PAGES_OF_A_DEAD_SESSION or lately:
            return False
        self.telemetry.count("SessionPages")
        self.telemetry.count("SessionDuel")  # shares its alarm
        self.telemetry.warn(
            "arena answers with pages, session is renewed",
            call=request.call,
            status=answer.status,
            pages=self._pages,
        )
        return True

    def _exchange(self, request: HttpRequest, known: Budget, transmit: Transmit) -> HttpAnswer:
        answer = transmit(request)
        failed = answer.status >= protocol.HTTP_ERROR
        error = protocol.answer_error(request, answer) if failed else None
        budget = self._budget_of(request, answer, error, known)
        self.telemetry.count(f"ArenaRequestsTo{request.purpose}")
        self.telemetry.info(
            "arena answered",
            call=request.call,
            status=answer.status,
            remaining=budget and budget.remaining,
        )
        wait = budget.wait_seconds(self.clock.now(), 0) if budget else 0
        if isinstance(error, BudgetSpentError):
            raise RetryLaterError("request budget spent", self._jittered(wait))
        if isinstance(error, RateLimitedError):
            raise RetryLaterError("too many requests at once", self._jittered(wait))
        return answer

    def _budget_of(
        self, request: HttpRequest, answer: HttpAnswer, error: Exception | None, known: Budget
    ) -> Budget | None:
        """Record and return the budget that an answer shows; None if it shows none."""
        altered = altered_headers(answer.headers)
        if altered != self._altered:
            self._altered = altered
            self.telemetry.warn("arena's headers were altered on the way", headers=altered)
        now = self.clock.now()
        if isinstance(error, BudgetSpentError):
            budget: Budget | None = spent_budget(answer.headers, now, known)
        elif isinstance(error, RateLimitedError):
            budget = limited_budget(answer.headers, now, known)
        else:
            budget = read_budget(answer.headers, now)
        if budget is not None:
            polled = request.purpose == "Poll"
            following = budget.following(known)
            self._note(following.polled() if polled else following, polled=polled)
        elif known.refusals and answer.status < protocol.HTTP_ERROR:
            self._write(replace(known, refusals=0, seen_at=int(now)))
        return budget

    def _write(self, budget: Budget, *, polled: bool = False) -> None:
        """Write the budget; if the ledger refuses, keep the answer, which has cost a request."""
        try:
            self.budgets.write(budget, polled=polled)
        except LedgerUnavailableError as exc:
            self.telemetry.warn("request budget not written", error=str(exc))

    def _note(self, budget: Budget, *, polled: bool) -> None:
        self._write(budget, polled=polled)
        if budget.remaining is not None:
            self.telemetry.count("RequestBudgetLeft", budget.remaining)
        hours = budget.hours_left()
        if hours is not None:
            self.telemetry.count("HoursOfBudgetLeft", hours)

    def _jittered(self, seconds: int) -> int:
        """Return seconds that spread callers over half a minute."""
        return seconds + 1 + int(self.clock.jitter() * (MAX_JITTER_SECONDS - 1))


def _session_is_dead(request: HttpRequest, answer: HttpAnswer) -> bool:
    """Return whether an answer is a definite 401; on a POST, only with Arena's code in it."""
    if answer.status < protocol.HTTP_ERROR:
        return False
    bare = answer.status == protocol.HTTP_UNAUTHORIZED and request.method == "GET"
    return bare or isinstance(protocol.answer_error(request, answer), SessionInvalidError)
