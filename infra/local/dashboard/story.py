"""What the picture tells: the main job, then some of a bad day's troubles, one after the other."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.arena import Arena
from infra.local.stack import Stack
from infra.local.story import samples
from infra.local.story.display import Display
from infra.local.story.main import Story
from infra.local.story.samples import Sample
from infra.local.story.tally import Tally
from infra.local.story.watch import Watcher
from infra.simulator.names import DEFAULT_EXPORT_GUID

SEED = 20230309  # other items than the main job's
LIMIT_SECONDS = 300.0
WAVE_SECONDS = 10.0
"""From one wave of messages to the next. As often all is reconciled: a picture of some minutes
would have few points by the schedule's minute."""
_RUNS = f"/v1/exports/{DEFAULT_EXPORT_GUID}/runs"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens while messages come in.

    `strike` is given the items of the messages.
    """

    name: str
    waves: int
    messages: int
    run_seconds: float
    strike: Callable[[Arena, list[str]], None]


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


TROUBLES = (
    Trouble("a run fails", 1, 40, 5, _fail),
    Trouble("somebody else logs in as our user", 2, 40, 8, _log_in),
    Trouble("a person's export is in progress", 3, 40, 12, _take_the_slot),
    Trouble("Arena does not know some of the items", 1, 30, 4, _forget_items),
    Trouble("the answer to a POST is lost", 15, 10, 6, _lose_an_answer),
)


def play(stack: Stack, display: Display) -> None:
    """Play all of it.

    Raises:
        StackTimeoutError: something does not happen in time.
    """
    story = Story(stack, display, Watcher(stack, stack.subscribe(), Tally()))
    story.play()
    rng = random.Random(SEED)  # noqa: S311 - sample data
    for trouble in TROUBLES:
        messages = samples.of_every_form(rng, trouble.waves * trouble.messages)
        _play_trouble(story, trouble, messages)


def _play_trouble(story: Story, trouble: Trouble, messages: list[Sample]) -> None:
    stack = story.stack
    story.display.say(f"Clock    {trouble.name}", time.monotonic() - story.watcher.started)
    stack.arena.set(runningSeconds=trouble.run_seconds)
    trouble.strike(stack.arena, sorted(samples.distinct_guids(messages)))
    stack.send(samples.MALFORMED)
    for start in range(0, len(messages), trouble.messages):
        wave = messages[start : start + trouble.messages]
        story.tally.sent(stack.send(*(message.body for message in wave)), wave)
        _all_exported_soon(story)
    stack.wait_until("every item exported", lambda: _all_exported_soon(story), LIMIT_SECONDS)


def _all_exported_soon(story: Story) -> bool:
    """Reconcile, and show what happens until everything is exported or the next wave is due."""
    story.stack.reconcile()
    due_at = time.monotonic() + WAVE_SECONDS

    def is_over() -> bool:
        story.display.update(*story.watcher.look())
        return _all_exported(story) or time.monotonic() >= due_at

    story.stack.wait_until("the next wave due", is_over, LIMIT_SECONDS)
    return _all_exported(story)


def _all_exported(story: Story) -> bool:
    return not story.tally.unaccounted() and story.stack.lease_state() == "idle"
