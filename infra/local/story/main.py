"""Tell the story of `make run`: a stack starts, messages go in, events come out, all is counted."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console

from infra.local.launch import temporary_stack
from infra.local.stack import Stack, StackTimeoutError
from infra.local.story import samples, tables
from infra.local.story.display import Display
from infra.local.story.samples import MALFORMED, Sample
from infra.local.story.tally import Tally
from infra.local.story.watch import Snapshot, Watcher
from infra.simulator.names import DEFINITION_EXPORT_GUID

SEED = 20230308  # the day of the vendor's sample run; the same messages in every story
FIRST_WAVE = 150
SECOND_WAVE = 50
LIMIT_SECONDS = 90.0
MOST_SHOWN = 10
RUN_SECONDS = 2.0
"""How long the simulator lets a run be RUNNING."""
SCHEDULE_DELAY = timedelta(seconds=12)
"""From the deployment to the scheduled run; the deployment itself takes half of it."""

WAITING = (
    "Clock    every GUID is exported; waiting for the scheduled run (definitions without a "
    "successful run share one submission a minute)"
)


class StoryError(Exception):
    """The story did not end well; the text has the logs, and at its end what is wrong."""

    def __init__(self, stack: Stack, problems: list[str]) -> None:
        """Gather the logs that matter."""
        what = "\n".join(f"FAILED: {problem}" for problem in problems)
        super().__init__(f"{stack.recent_logs()}\n\n{what}\nAll of the logs: {stack.folder}")


@dataclass(slots=True)
class Story:
    """The main job on a deployed stack: `play` it, and find in `tally` what came of it."""

    stack: Stack
    display: Display
    watcher: Watcher
    first_wave: list[Sample] = field(init=False)
    second_wave: list[Sample] = field(init=False)
    last: Snapshot | None = None

    def __post_init__(self) -> None:
        """Write the messages; a tenth of the second wave asks for items of the first again."""
        rng = random.Random(SEED)  # noqa: S311 - sample data
        again = SECOND_WAVE // 10
        self.first_wave = [samples.documented(), *samples.of_every_form(rng, FIRST_WAVE - 1)]
        fresh = samples.of_every_form(rng, SECOND_WAVE - again)
        self.second_wave = [*self.first_wave[1 : 1 + again], *fresh]

    @property
    def tally(self) -> Tally:
        """What was sent and what came out."""
        return self.watcher.tally

    def play(self) -> None:
        """Send two waves, one malformed message among them, and wait for everything.

        Raises:
            StackTimeoutError: something does not happen in time.
        """
        self._send("first wave", self.first_wave)
        malformed_id = self.stack.send(MALFORMED)[0]
        self.stack.send({"action": "reconcile"})
        self._say(
            "Queue    2 messages more, one malformed, one to reconcile; the schedule sends 1, too"
        )
        self._watch_until("the first run in progress", self._run_in_progress)
        self._send("second wave, some of the first once more", self.second_wave)
        self._watch_until("every GUID accounted for", lambda _: not self.tally.unaccounted())
        if DEFINITION_EXPORT_GUID not in self.tally.definition_runs():
            self._say(WAITING)
        self._watch_until("every request accounted for", self._all_accounted_for)
        self.tally.check_rejection(malformed_id, MALFORMED, self.stack.dead_letters())

    def problems(self) -> list[str]:
        """List what is wrong; empty when every GUID is accounted for."""
        lost = self.tally.unaccounted()
        lines = [f"request {request}, not exported: {sorted(lost[request])}" for request in lost]
        more = [f"and {len(lines) - MOST_SHOWN} more requests"] if len(lines) > MOST_SHOWN else []
        return [*self.tally.problems, *lines[:MOST_SHOWN], *more]

    def _send(self, name: str, messages: list[Sample]) -> None:
        known = self.tally.sent_guids()
        message_ids = self.stack.send(*(message.body for message in messages))
        self.tally.sent(message_ids, messages)
        guids = samples.distinct_guids(messages)
        repeated = f", {len(guids - known)} of them new" if known else ""
        count = f"{len(messages)} messages with {len(guids)} distinct GUIDs"
        self._say(f"Queue    {name}: {count}{repeated}")

    def _say(self, line: str) -> None:
        self.display.say(line, time.monotonic() - self.watcher.started)

    def _watch_until(self, what: str, condition: Callable[[Snapshot], bool]) -> None:
        """Show what happens until `condition` holds."""

        def looked_and_holds() -> bool:
            self.last, news = self.watcher.look()
            self.display.update(self.last, news)
            return condition(self.last)

        self.stack.wait_until(what, looked_and_holds, LIMIT_SECONDS)

    def _run_in_progress(self, snapshot: Snapshot) -> bool:
        return any(run.status == "RUNNING" for run in snapshot.arena.runs)

    def _all_accounted_for(self, snapshot: Snapshot) -> bool:
        return (
            snapshot.queue_depth == 0
            and not self.tally.unaccounted()
            and DEFINITION_EXPORT_GUID in self.tally.definition_runs()
            and bool(self.tally.rejected)
            and self.stack.lease_state() == "idle"
        )


def tell(console: Console) -> None:
    """Play the story on a stack of its own.

    Raises:
        StoryError: a GUID is unaccounted for, or something else is not as it must be.
    """
    began = time.monotonic()
    console.print("[bold]Arena exports: the main job, whole, on this machine[/]\n")
    with temporary_stack(schedule_soon, lambda step: console.print(f"{step} …")) as stack:
        stack.arena.set(runningSeconds=RUN_SECONDS)
        console.print(f"Ready after {time.monotonic() - began:.0f} s.\n")
        story = _play(console, stack)
        events = story.watcher.subscriber.events
        console.print(tables.events(events))
        console.print("\n[bold]One of them[/]")
        console.print(tables.example(events), markup=False, soft_wrap=True)
    total = time.monotonic() - began
    assert story.last is not None  # noqa: S101 - the story was played
    console.print()
    console.print(tables.closing(story.tally, story.last, total))
    console.print("\n[bold green]Every GUID is accounted for.[/] Everything is stopped again.")


def _play(console: Console, stack: Stack) -> Story:
    with Display(console) as display:
        story = Story(stack, display, Watcher(stack, stack.subscribe(), Tally()))
        console.print(tables.of_samples([*story.first_wave, *story.second_wave]))
        console.print()
        try:
            story.play()
        except StackTimeoutError as error:
            first_line = str(error).partition("\n")[0]
            raise StoryError(stack, [*story.problems(), first_line]) from error
    if problems := story.problems():
        raise StoryError(stack, problems)
    console.print()
    return story


def schedule_soon() -> dict[str, str]:
    """Have the stack's own schedule fire once, soon after the deployment."""
    moment = datetime.now(UTC) + SCHEDULE_DELAY
    return {
        "ScheduledExportGuid": DEFINITION_EXPORT_GUID,
        "ScheduledExportExpression": f"at({moment:%Y-%m-%dT%H:%M:%S})",
    }
