"""AWS and Arena as the functions see them: calls take time, may fail, and may be the last one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from arena_exports.domain.errors import (
    LedgerUnavailableError,
    MessagingError,
    RequestNotCompletedError,
    RetryLaterError,
)
from arena_exports.ports import HttpAnswer, HttpRequest
from infra.simulator import control
from tests.simulation.scheduler import Killed
from tests.simulation.unknown_posts import Exchange
from tests.support.fakes import (
    FakeClock,
    FakeExecutions,
    FakeSecret,
    InMemoryTable,
    Interceptable,
    SimulatedTransport,
    check_event,
    check_letter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from arena_exports.ports import DeadLetter, Event, Item, Key, Secret, Write
    from tests.simulation.fault_rates import FaultRates
    from tests.simulation.scheduler import Scheduler
    from tests.simulation.simulation import Simulation

T = TypeVar("T")

MAX_SLEEP_SECONDS = 10.0
REFUSAL = b'"code": 4081'  # of credentials


class Outside(Interceptable):
    """Every external call goes through here, and yields before and after its effect."""

    def __init__(self, scheduler: Scheduler, fault_rates: FaultRates) -> None:
        self.scheduler = scheduler
        self.fault_rates = fault_rates
        self.calls = 0

    def call(self, effect: Callable[[], T]) -> T:
        """Run an effect; before and after it, other tasks may run or the process may die."""
        self.calls += 1
        self.scheduler.pause(self.fault_rates.latency())
        try:
            self.perhaps_die()
            result = effect()
            self.perhaps_die()
        except Killed:
            self.scheduler.current.killed = True
            raise
        self.scheduler.pause(self.fault_rates.latency())
        return result

    def perhaps_die(self) -> None:
        """Die, if the fault rates say so."""
        if self.fault_rates.occurs("kill"):
            raise Killed


class SimClock(FakeClock):
    """The scheduler's time; other tasks run during a sleep."""

    def __init__(self, scheduler: Scheduler, seed: int) -> None:
        super().__init__(seed=seed)
        self._scheduler = scheduler

    def now(self) -> float:
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        assert seconds <= MAX_SLEEP_SECONDS, f"R10: a sleep of {seconds} s"
        self._scheduler.pause(seconds)


class SimTable:
    """The ledger's table, with throttling and lost answers."""

    def __init__(self, inner: InMemoryTable, outside: Outside) -> None:
        self._inner = inner
        self._outside = outside

    def _do(self, effect: Callable[[], T], *, writes: bool = False) -> T:
        def guarded() -> T:
            if self._outside.fault_rates.occurs("throttle"):
                raise LedgerUnavailableError("ThrottlingException")
            result = effect()
            if writes and self._outside.fault_rates.occurs("lost_answer"):
                raise LedgerUnavailableError("ReadTimeoutError")
            return result

        return self._outside.call(guarded)

    def get(self, key: Key) -> Item | None:
        return self._do(lambda: self._inner.get(key))

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        return self._do(lambda: self._inner.get_many(wanted))

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        return self._do(lambda: self._inner.query(pk, first, last, limit=limit))

    def write(self, *writes: Write) -> None:
        self._do(lambda: self._inner.write(*writes), writes=True)


class SimSecret:
    """A secret behind a service that may be down."""

    def __init__(self, inner: FakeSecret, outside: Outside) -> None:
        self._inner = inner
        self._outside = outside

    def _do(self, effect: Callable[[], T]) -> T:
        def guarded() -> T:
            if self._outside.fault_rates.occurs("secrets_down"):
                raise RetryLaterError("secret could not be read", 30)
            return effect()

        return self._outside.call(guarded)

    def read(self, version: str | None = None) -> Secret | None:
        return self._do(lambda: self._inner.read(version))

    def write(self, value: Mapping[str, Any], version: str) -> None:
        self._do(lambda: self._inner.write(value, version))


class SimSink:
    """The topic and the dead-letter queue: what they accepted, and when."""

    def __init__(
        self, outside: Outside, accepted: Callable[[Any], object] = lambda _message: None
    ) -> None:
        self._outside = outside
        self._accepted = accepted
        self.kept: list[tuple[float, Any]] = []

    def _deliver(self, message: Any) -> None:
        def guarded() -> None:
            if self._outside.fault_rates.occurs("delivery"):
                raise MessagingError("not accepted")
            self.kept.append((self._outside.scheduler.now, message))
            self._accepted(message)
            if self._outside.fault_rates.occurs("delivery_doubled"):
                raise MessagingError("accepted, but the answer was lost")

        self._outside.call(guarded)

    def publish(self, events: Sequence[Event]) -> None:
        for event in events:
            check_event(event)
            self._deliver(event)

    def send(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            check_letter(letter)
            self._deliver(letter)


class SimTransport:
    """The transport to Arena: requests and answers are lost, garbled or delayed."""

    def __init__(self, simulation: Simulation, outside: Outside) -> None:
        self._inner = SimulatedTransport(simulation.arena, simulation.clock)
        self._simulation = simulation
        self._outside = outside

    def send(self, request: HttpRequest) -> HttpAnswer:
        began, answer = self._simulation.scheduler.now, None
        try:
            answer = self._send(request)
        finally:
            if request.path.partition("?")[0].endswith("/runs"):
                ended = self._simulation.scheduler.now
                exchange = Exchange(began, ended, id(self), request, answer)
                self._simulation.exchanges.append(exchange)
        return answer

    def _send(self, request: HttpRequest) -> HttpAnswer:
        fault_rates, simulation = self._outside.fault_rates, self._simulation
        if request.path == "/login" and simulation.credentials.current in simulation.refused:
            simulation.tried_again.append(request.call)
        if request.call == "start an export run" and fault_rates.occurs("arena_late"):
            self._queue_late_run()
        answer = self._outside.call(lambda: self._exchange(request))
        if fault_rates.occurs("arena_garbage"):
            return HttpAnswer(answer.status, answer.headers, b"<html>" + answer.body[:40])
        if request.path == "/login" and REFUSAL in answer.body:
            simulation.shown_refusals[simulation.scheduler.current] = simulation.credentials.current
        return answer

    def _exchange(self, request: HttpRequest) -> HttpAnswer:
        fault_rates = self._outside.fault_rates
        if fault_rates.occurs("arena_drop"):
            self._perhaps_make_a_twin(request)
            raise RequestNotCompletedError("dropped before")
        if request.path == "/login" and self._simulation.has_live_session():
            self._simulation.needless_logins.append(self._simulation.scheduler.now)
        answer = self._inner.send(request)
        if fault_rates.occurs("arena_drop"):
            raise RequestNotCompletedError("dropped after")
        return answer

    def _perhaps_make_a_twin(self, request: HttpRequest) -> None:
        """Let somebody else start the same run as the one whose request was lost."""
        if self._simulation.plan.twins and request.call == "start an export run":
            body = json.loads(request.body)
            named = {"itemGuids": body["criteria"][0][0]["value"]} if body else {}
            export_guid = request.path.split("/")[2]
            if export_guid in self._simulation.arena.exports.definitions:
                run = {"exportGuid": export_guid, **named}
                if self._simulation.disruptions.start_foreign_run(run):
                    self._outside.fault_rates.note("foreign run")

    def _queue_late_run(self) -> None:
        seconds = self._outside.fault_rates.random.uniform(1, 55)
        control.add_faults(
            self._simulation.arena,
            {"method": "POST", "path": "*/runs", "drop": True, "lateSeconds": seconds},
        )


class SimExecutions(FakeExecutions):
    """Step Functions, which sometimes does not start an execution."""

    def __init__(self, outside: Outside, started: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__()
        self._outside = outside
        self._announce = started

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        def guarded() -> None:
            if self._outside.fault_rates.occurs("start_execution"):
                raise ConnectionError("StartExecution")
            if name not in self.started:
                FakeExecutions.start(self, name, state)
                self._announce(name, dict(state))

        self._outside.call(guarded)

    def status(self, name: str) -> str | None:
        return self._outside.call(lambda: self.statuses.get(name))
