"""One deployed stack for all end-to-end tests, and an Arena without faults for each test."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from infra.local import emulator
from infra.local.arena import ArenaRun
from infra.local.demo.samples import guids
from infra.local.demo.tally import OUTCOMES
from infra.local.launch import temporary_stack
from infra.local.stack import Stack
from infra.local.subscriber import ReceivedEvent, Subscriber
from tests.support.fault_scenario import FaultScenario, run_fault_scenario
from tests.support.schemas import validate_event

WAIT_SCALE = 0.2
"""Wait states last a fifth of what they say: the simulator's runs are short, too."""
CALM = {"createdSeconds": 0.2, "runningSeconds": 1.0}
MAX_ITEMS_PER_RUN = 20_000
PARTNER = "111122223333"
"""Another AWS account, which may send to the intake queue and subscribe to the outcome topic."""


@dataclass(slots=True)
class Case:
    """What one test sees: the stack, and the events and runs since the test began."""

    stack: Stack
    subscriber: Subscriber
    events_before: int
    runs_before: int

    @property
    def events(self) -> list[ReceivedEvent]:
        """The events that came out since the test began."""
        return self.subscriber.events[self.events_before :]

    @property
    def runs(self) -> list[ArenaRun]:
        """The export runs that Arena has had since the test began."""
        return list(self.stack.arena.state().runs)[self.runs_before :]

    def receive(self) -> None:
        """Receive what has arrived; fail for an event that `infra/schemas` does not describe."""
        for received in self.subscriber.receive():
            validate_event(received.event, received.attributes)

    def wait_for(
        self, what: str, enough: Callable[[list[ReceivedEvent]], bool], seconds: float = 60
    ) -> list[ReceivedEvent]:
        """Wait until the events since the test began are enough, and return them."""

        def happened() -> bool:
            self.receive()
            return enough(self.events)

        self.stack.wait_until(what, happened, seconds)
        return self.events

    def wait_for_events(self, count: int, seconds: float = 60) -> list[ReceivedEvent]:
        """Wait for so many events, and for none beyond them until the stack is idle."""
        self.wait_for(f"{count} events", lambda events: len(events) >= count, seconds)
        self.stack.wait_until_idle()
        self.receive()
        assert len(self.events) == count, [event.event for event in self.events]
        return self.events

    def wait_for_run(self, status: str) -> ArenaRun:
        """Wait until a run that was started since the test began has this status."""

        def find() -> ArenaRun | None:
            return next((run for run in self.runs if run.status == status), None)

        return self.stack.wait_until(f"a run that is {status}", find)


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The real template, deployed on the embedded AWS, with the Arena simulator."""
    parameters = {
        "MaxItemsPerRun": str(MAX_ITEMS_PER_RUN),
        "SenderAccountIds": PARTNER,
        "SubscriberAccountIds": PARTNER,
    }
    with temporary_stack(parameters, lambda _step: None) as stack:
        emulator.scale_waits(stack.endpoint, WAIT_SCALE)
        yield stack


@pytest.fixture(scope="package")
def subscriber(stack: Stack) -> Subscriber:
    """A queue that receives what becomes of requests and runs."""
    return stack.subscribe("subscriber", *OUTCOMES)


@pytest.fixture
def case(stack: Stack, subscriber: Subscriber) -> Iterator[Case]:
    """Return an idle stack with empty queues, and wait until it is idle again after the test."""
    stack.arena.settle()
    stack.arena.set(**CALM)
    stack.dead_letters()
    subscriber.receive()
    yield Case(stack, subscriber, len(subscriber.events), len(stack.arena.state().runs))
    stack.arena.set_guids(bad=[], unknown=[], poison=[])
    stack.wait_until_idle()


@pytest.fixture(scope="package")
def fault_scenario() -> Iterator[FaultScenario]:
    """A separate stack, at log level DEBUG, on which most faults have occurred."""
    with run_fault_scenario() as scenario:
        yield scenario


_seeds = itertools.count()


@pytest.fixture
def new_guids() -> Callable[[int], list[str]]:
    """Return a function that makes item GUIDs that no other test uses."""
    return lambda count: guids(random.Random(f"e2e {next(_seeds)}"), count)
