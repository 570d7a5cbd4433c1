"""The scenario of the picture: the demo, then some disruptions, one after the other."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.arena import Arena
from infra.local.demo import samples
from infra.local.demo.display import Display
from infra.local.demo.main import Demo
from infra.local.demo.samples import Sample
from infra.local.demo.tally import Tally
from infra.local.demo.watch import Watcher
from infra.local.stack import Stack
from infra.simulator.names import DEFAULT_EXPORT_GUID

SEED = 20230309  # other items than the demo's
LIMIT_SECONDS = 300.0
WAVE_SECONDS = 10.0
"""From one wave of messages to the next. Reconcile runs as often, because the schedule's minute
would give a picture of some minutes too few points."""
_RUNS = f"/v1/exports/{DEFAULT_EXPORT_GUID}/runs"


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that happens while messages arrive.

    `apply` receives the items of the messages.
    """

    name: str
    waves: int
    messages: int
    run_seconds: float
    apply: Callable[[Arena, list[str]], None]


def _fail(arena: Arena, _items: list[str]) -> None:
    arena.plan(status="FAILED")


def _log_in(arena: Arena, _items: list[str]) -> None:
    arena.kill_sessions()


def _take_the_slot(arena: Arena, _items: list[str]) -> None:
    arena.fault(method="POST", path=_RUNS, code=3144)


def _forget_items(arena: Arena, items: list[str]) -> None:
    arena.set_guids(unknown=items[:5])


def _lose_an_answer(arena: Arena, _items: list[str]) -> None:
    arena.fault(method="POST", path=_RUNS, drop=True, work=True)


DISRUPTIONS = (
    Disruption("a run fails", 1, 40, 5, _fail),
    Disruption("somebody else logs in as our user", 2, 40, 8, _log_in),
    Disruption("a person's export is in progress", 3, 40, 12, _take_the_slot),
    Disruption("Arena does not know some of the items", 1, 30, 4, _forget_items),
    Disruption("the answer to a POST is lost", 15, 10, 6, _lose_an_answer),
)


def play(stack: Stack, display: Display) -> None:
    """Run the demo and all disruptions.

    Raises:
        StackTimeoutError: a step did not finish in time.
    """
    demo = Demo(stack, display, Watcher(stack, stack.subscribe(), Tally()))
    demo.play()
    rng = random.Random(SEED)  # noqa: S311 - sample data
    for disruption in DISRUPTIONS:
        messages = samples.of_every_form(rng, disruption.waves * disruption.messages)
        _play_disruption(demo, disruption, messages)


def _play_disruption(demo: Demo, disruption: Disruption, messages: list[Sample]) -> None:
    stack = demo.stack
    demo.display.show(f"Clock    {disruption.name}", time.monotonic() - demo.watcher.started)
    stack.arena.set(runningSeconds=disruption.run_seconds)
    disruption.apply(stack.arena, sorted(samples.distinct_guids(messages)))
    stack.send(samples.MALFORMED)
    for start in range(0, len(messages), disruption.messages):
        wave = messages[start : start + disruption.messages]
        demo.tally.sent(stack.send(*(message.body for message in wave)), wave)
        _all_exported_soon(demo)
    stack.wait_until("every item to be exported", lambda: _all_exported_soon(demo), LIMIT_SECONDS)


def _all_exported_soon(demo: Demo) -> bool:
    """Reconcile, and show the progress until everything is exported or the next wave is due."""
    demo.stack.reconcile()
    due_at = time.monotonic() + WAVE_SECONDS

    def is_over() -> bool:
        demo.display.update(*demo.watcher.observe())
        return _all_exported(demo) or time.monotonic() >= due_at

    demo.stack.wait_until("the next wave", is_over, LIMIT_SECONDS)
    return _all_exported(demo)


def _all_exported(demo: Demo) -> bool:
    return not demo.tally.unaccounted() and demo.stack.lease_state() == "idle"
