"""What goes wrong, how often: drawn from the seed, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

CALM = 0.0


@dataclass
class Weather:
    """Chances of each fault, from 0 to 1 for each occasion; a `calm` weather has none."""

    random: Random
    kill: float = CALM  # of an invocation, before or after each single call to the outside
    throttle: float = CALM  # of a ledger call: nothing is done
    lost_answer: float = (
        CALM  # of a ledger write: it is done, and the caller is told that it is not
    )
    secrets_down: float = CALM
    delivery: float = CALM  # of an event or a dead-letter entry: it is not accepted
    delivery_doubled: float = CALM  # it is accepted, and the caller is told that it is not
    arena_drop: float = CALM  # of a request to Arena: the answer is lost, the work may be done
    arena_garbage: float = CALM
    arena_late: float = CALM  # of a POST: the run comes to exist up to a minute after it
    lambda_throttle: float = CALM
    redeliver: float = CALM  # of a message that was acknowledged
    start_execution: float = CALM  # it is not started
    stall: float = CALM  # of a call: the process hangs, at times until its time-out
    task_twice: float = CALM  # of a state machine's call: an older copy runs beside it
    batch_twice: float = CALM  # of a batch: two functions get it at once
    struck: set[str] = field(default_factory=set)  # what did happen

    def calm(self) -> None:
        """End all faults."""
        for name in CHANCES:
            setattr(self, name, CALM)

    def strikes(self, name: str) -> bool:
        """Draw whether a fault happens now."""
        chance: float = getattr(self, name)
        if chance > 0 and self.random.random() < chance:
            self.struck.add(name)
            return True
        return False

    def latency(self) -> float:
        """Draw how long a call takes, in seconds: mostly short, at times long."""
        if self.strikes("stall"):
            return self.random.uniform(10.0, 130.0)
        draw = self.random.random()
        return self.random.uniform(0.5, 8.0) if draw < 0.02 else draw / 20


CHANCES = tuple(name for name in Weather.__dataclass_fields__ if name not in ("random", "struck"))


# These have an occasion once in a message, a run or a login, and not at each call.
_SELDOM = (
    "arena_late",
    "batch_twice",
    "delivery",
    "delivery_doubled",
    "lambda_throttle",
    "redeliver",
    "secrets_down",
    "start_execution",
    "task_twice",
)


def draw_weather(random: Random) -> Weather:
    """Draw a weather: each fault is absent in half of the seeds, and else rare or frequent."""
    weather = Weather(random)
    for name in CHANCES:
        if random.random() < 0.5:
            often = [0.05, 0.2, 0.5] if name in _SELDOM else [0.002, 0.01, 0.05]
            chance = random.choice(often)
            # Every call may stall twice, and one stall is the end of most functions.
            setattr(weather, name, chance / 10 if name == "stall" else chance)
    return weather
