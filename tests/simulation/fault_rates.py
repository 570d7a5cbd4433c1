"""How often each fault occurs: drawn from the seed, and the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

NEVER = 0.0


def _nobody(_name: str) -> None:
    return


@dataclass
class FaultRates:
    """The probability of each fault, from 0 to 1 for each occasion."""

    random: Random
    kill: float = NEVER  # an invocation dies, before or after any single external call
    throttle: float = NEVER  # a ledger call is refused and has no effect
    lost_answer: float = NEVER  # a ledger write takes effect, but reports a failure
    secrets_down: float = NEVER
    delivery: float = NEVER  # an event or a dead letter is not accepted
    delivery_doubled: float = NEVER  # an event or a dead letter is accepted, but reports a failure
    arena_drop: float = NEVER  # an Arena request may take effect, but its answer is lost
    arena_garbage: float = NEVER
    arena_late: float = NEVER  # a POST's run appears up to a minute later
    lambda_throttle: float = NEVER
    redeliver: float = NEVER  # an acknowledged message is delivered again
    start_execution: float = NEVER  # an execution is not started
    stall: float = NEVER  # a call hangs, sometimes until the function times out
    task_twice: float = NEVER  # a state machine's task runs twice at once
    batch_twice: float = NEVER  # two functions get the same batch at once
    download: float = NEVER  # a download is cut off, stalled, changed on the way, or refused
    bucket_refused: float = NEVER  # S3 refuses a call, which has no effect
    bucket_conflict: float = NEVER  # S3 answers a write with 409 or 412, or has lost an upload
    bucket_lost: float = NEVER  # an answer of S3 is lost; the call may have had its effect
    deliver_lost: float = NEVER  # deliver is not started, or its invocation is lost
    deliver_twice: float = NEVER  # deliver runs twice at once
    occurred: set[str] = field(default_factory=set)  # the faults that occurred
    witness: Callable[[str], object] = _nobody  # is told of each fault that occurs

    def stop(self) -> None:
        """End all faults."""
        for name in CHANCES:
            setattr(self, name, NEVER)

    def occurs(self, name: str) -> bool:
        """Draw whether a fault occurs now."""
        chance: float = getattr(self, name)
        if chance > 0 and self.random.random() < chance:
            self.note(name)
            return True
        return False

    def note(self, name: str) -> None:
        """Note that a fault occurs now."""
        self.occurred.add(name)
        self.witness(name)

    def latency(self) -> float:
        """Draw how many seconds a call takes: usually few, sometimes many."""
        if self.occurs("stall"):
            return self.random.uniform(10.0, 130.0)
        draw = self.random.random()
        return self.random.uniform(0.5, 8.0) if draw < 0.02 else draw / 20


CHANCES = tuple(
    name
    for name in FaultRates.__dataclass_fields__
    if name not in ("random", "occurred", "witness")
)

FAULTS_OF_DELIVERY = (
    "download",
    "bucket_refused",
    "bucket_conflict",
    "bucket_lost",
    "deliver_lost",
    "deliver_twice",
)

# These can occur once for each message, run or login, rather than at each call.
_SELDOM = (
    "arena_late",
    "batch_twice",
    "bucket_conflict",
    "bucket_lost",
    "deliver_lost",
    "deliver_twice",
    "delivery",
    "delivery_doubled",
    "download",
    "lambda_throttle",
    "redeliver",
    "secrets_down",
    "start_execution",
    "task_twice",
)


def draw_fault_rates(random: Random) -> FaultRates:
    """Draw the rates: each fault is absent in half of the seeds, otherwise rare or frequent.

    Those of delivery stay 0 (`draw_faults_of_delivery`).
    """
    fault_rates = FaultRates(random)
    _draw(fault_rates, random, [name for name in CHANCES if name not in FAULTS_OF_DELIVERY])
    return fault_rates


def draw_faults_of_delivery(fault_rates: FaultRates, random: Random) -> None:
    """Draw the rates of the faults that only days with delivery have."""
    _draw(fault_rates, random, FAULTS_OF_DELIVERY)


def _draw(fault_rates: FaultRates, random: Random, names: Iterable[str]) -> None:
    for name in names:
        if random.random() < 0.5:
            often = [0.05, 0.2, 0.5] if name in _SELDOM else [0.002, 0.01, 0.05]
            chance = random.choice(often)
            # Every call can stall twice, and a single stall ends most functions.
            setattr(fault_rates, name, chance / 10 if name == "stall" else chance)
