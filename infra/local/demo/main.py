"""Runs the demo of `make run`: starts a stack, sends messages, and checks the events."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console

from infra.local.demo import bucket, samples, tables
from infra.local.demo.bucket import StoredObject
from infra.local.demo.display import Display
from infra.local.demo.samples import MALFORMED, Sample
from infra.local.demo.tally import Tally
from infra.local.demo.watch import Snapshot, Watcher
from infra.local.launch import temporary_stack
from infra.local.stack import Stack, StackTimeoutError
from infra.simulator.names import DEFINITION_EXPORT_GUID

SEED = 20230308  # the date of the vendor's sample run; every demo sends the same messages
FIRST_WAVE = 150
SECOND_WAVE = 50
LIMIT_SECONDS = 150.0
"""The scheduled definition may wait a minute for its first POST, and then for a reconcile."""
SECONDS_BETWEEN_NEW_DEFINITIONS = 61.0
MAX_SHOWN = 10
SUCCESS = "Every GUID is accounted for, and every file is in the bucket."
RUN_SECONDS = 2.0
"""How long a run stays RUNNING in the simulator."""
SCHEDULE_DELAY = timedelta(seconds=12)
"""From the start of the deployment to the scheduled run; the deployment takes half of it."""

WAITING = "Clock    waiting for the scheduled run: new definitions share one POST a minute"


class DemoError(Exception):
    """The demo failed; the message has the logs, and at its end the problems."""

    def __init__(self, stack: Stack, problems: list[str]) -> None:
        """Collect the relevant logs."""
        what = "\n".join(f"FAILED: {problem}" for problem in problems)
        super().__init__(f"{stack.recent_logs()}\n\n{what}\nAll logs: {stack.folder}")


@dataclass(slots=True)
class Demo:
    """The demo on a deployed stack. `play` runs it, and `tally` has the results."""

    stack: Stack
    display: Display
    watcher: Watcher
    first_wave: list[Sample] = field(init=False)
    second_wave: list[Sample] = field(init=False)
    last: Snapshot | None = None
    _first_run_at: float = 0.0

    def __post_init__(self) -> None:
        """Create the messages; a tenth of the second wave requests items of the first one again."""
        rng = random.Random(SEED)  # noqa: S311 - sample data
        again = SECOND_WAVE // 10
        self.first_wave = [samples.documented(), *samples.of_every_form(rng, FIRST_WAVE - 1)]
        fresh = samples.of_every_form(rng, SECOND_WAVE - again)
        self.second_wave = [*self.first_wave[1 : 1 + again], *fresh]

    @property
    def tally(self) -> Tally:
        """What was sent, and what came out."""
        return self.watcher.tally

    def play(self) -> None:
        """Send two waves and a malformed message, and wait for all results.

        Raises:
            StackTimeoutError: something does not happen in time.
        """
        self._send("first wave", self.first_wave)
        malformed_id = self.stack.send(MALFORMED)[0]
        self.stack.send({"action": "reconcile"})
        self._show(
            "Queue    2 more messages: one malformed, one to reconcile; the schedule sends another"
        )
        self._watch_until("the first run to start", self._run_in_progress)
        self._first_run_at = self.last.seconds if self.last else 0.0
        self._send("second wave", self.second_wave)
        self._watch_until("every GUID to be accounted for", lambda _: not self.tally.unaccounted())
        if DEFINITION_EXPORT_GUID not in self.tally.definition_runs():
            self._show(WAITING)
            self._watch_until("a minute since the first run", self._minute_is_over)
            self.stack.send({"action": "reconcile"})
        self._watch_until("every request to be accounted for", self._all_accounted_for)
        self._watch_until("the files of every run", lambda _: not self.tally.undelivered())
        self.tally.check_rejection(malformed_id, MALFORMED, self.stack.dead_letters())

    def _minute_is_over(self, snapshot: Snapshot) -> bool:
        return snapshot.seconds >= self._first_run_at + SECONDS_BETWEEN_NEW_DEFINITIONS

    def problems(self) -> list[str]:
        """Return what is wrong; empty if every GUID is accounted for."""
        lost = self.tally.unaccounted()
        lines = [f"request {request}, not exported: {sorted(lost[request])}" for request in lost]
        more = [f"and {len(lines) - MAX_SHOWN} more requests"] if len(lines) > MAX_SHOWN else []
        return [*self.tally.problems, *lines[:MAX_SHOWN], *more]

    def bucket_problems(self, objects: Mapping[str, StoredObject]) -> list[str]:
        """Return where the objects and the delivered events differ."""
        deliveries = [delivery.data for delivery in self.tally.deliveries.values()]
        return list(bucket.problems(objects, deliveries))

    def manifest(self, objects: Mapping[str, StoredObject]) -> StoredObject:
        """Return the manifest of the run that was delivered first."""
        first = next(iter(self.tally.deliveries.values()))
        return objects[first.data["manifestKey"]]

    def _send(self, name: str, messages: list[Sample]) -> None:
        known = self.tally.sent_guids()
        message_ids = self.stack.send(*(message.body for message in messages))
        self.tally.sent(message_ids, messages)
        guids = samples.distinct_guids(messages)
        repeated = f", {len(guids - known)} of them new" if known else ""
        count = f"{len(messages)} messages with {len(guids)} distinct GUIDs"
        self._show(f"Queue    {name}: {count}{repeated}")

    def _show(self, line: str) -> None:
        self.display.show(line, time.monotonic() - self.watcher.started)

    def _watch_until(self, what: str, condition: Callable[[Snapshot], bool]) -> None:
        """Show the progress until `condition` holds."""

        def is_met() -> bool:
            self.last, news = self.watcher.observe()
            self.display.update(self.last, news)
            return condition(self.last)

        self.stack.wait_until(what, is_met, LIMIT_SECONDS)

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


def run_demo(console: Console) -> None:
    """Run the demo on a stack of its own.

    Raises:
        DemoError: a GUID is unaccounted for, or another check failed.
    """
    began = time.monotonic()
    console.print("[bold]arena-exports: a demo on this machine, from the queue to the topic[/]\n")
    with temporary_stack(schedule_soon, lambda step: console.print(f"{step} …")) as stack:
        stack.arena.set(runningSeconds=RUN_SECONDS)
        console.print(f"Ready after {time.monotonic() - began:.0f} s.\n")
        demo, objects = _play(console, stack)
        events = demo.watcher.subscriber.events
        console.print(tables.event_table(events))
        console.print()
        console.print(tables.object_table(objects.values()))
        if not console.record:  # the picture has no room for 100 lines of JSON
            console.print("\n[bold]One of these events[/]")
            console.print(tables.example_event(events), markup=False, soft_wrap=True)
            console.print("\n[bold]One of these manifests[/]")
            manifest = tables.example_manifest(demo.manifest(objects))
            console.print(manifest, markup=False, soft_wrap=True)
    total = time.monotonic() - began
    assert demo.last is not None  # noqa: S101 - the demo was played
    console.print()
    console.print(tables.summary_table(demo.tally, demo.last, total))
    console.print(f"\n[bold green]{SUCCESS}[/] Everything is stopped again.")


def _play(console: Console, stack: Stack) -> tuple[Demo, dict[str, StoredObject]]:
    with Display(console) as display:
        demo = Demo(stack, display, Watcher(stack, stack.subscribe(), Tally()))
        console.print(tables.sample_table([*demo.first_wave, *demo.second_wave]))
        console.print()
        try:
            demo.play()
        except StackTimeoutError as error:
            first_line = str(error).partition("\n")[0]
            raise DemoError(stack, [*demo.problems(), first_line]) from error
    objects = bucket.read_all(stack)
    if problems := [*demo.problems(), *demo.bucket_problems(objects)]:
        raise DemoError(stack, problems)
    console.print()
    return demo, objects


def schedule_soon() -> dict[str, str]:
    """Return the parameters of a schedule that starts one run soon after the deployment."""
    moment = datetime.now(UTC) + SCHEDULE_DELAY
    return {
        "ScheduledExportGuid": DEFINITION_EXPORT_GUID,
        "ScheduledExportExpression": f"at({moment:%Y-%m-%dT%H:%M:%S})",
    }
