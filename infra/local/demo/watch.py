"""Observes the stack from outside: what is waiting, what is running, what it has cost."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra.local.arena import ArenaState
from infra.local.demo import bucket
from infra.local.demo.tally import COMPLETED, DELIVERED, REJECTED, Tally, contents, files, plural
from infra.local.stack import Stack
from infra.local.subscriber import ReceivedEvent, Subscriber

PREFIX = "arena.export."
ENDED = {"COMPLETE", "DOWNLOADED", "FAILED", "ABORTED"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stack at one moment.

    `seconds` starts with the first message; `sent` and `exported` count distinct GUIDs; `objects`
    has the sizes of the bucket's objects by key.
    """

    seconds: float
    queue_depth: int
    sent: int
    exported: int
    arena: ArenaState
    objects: Mapping[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """The number of GUIDs that are not exported yet."""
        return self.sent - self.exported


@dataclass(slots=True)
class Watcher:
    """Takes snapshots, and describes what has changed since the last one."""

    stack: Stack
    subscriber: Subscriber
    tally: Tally
    started: float = field(default_factory=time.monotonic)
    _run_statuses: dict[str, str] = field(default_factory=dict)
    _logins: int = 0
    _objects: set[str] = field(default_factory=set)

    def observe(self) -> tuple[Snapshot, list[str]]:
        """Return the current state of the stack, and a line for each change."""
        arrived = self.subscriber.receive()
        seconds = time.monotonic() - self.started
        self.tally.received(arrived, seconds)
        sent = self.tally.sent_guids()
        snapshot = Snapshot(
            seconds=seconds,
            queue_depth=self.stack.queue_depth(),
            sent=len(sent),
            exported=len(sent & self.tally.exported_guids()),
            arena=self.stack.arena.state(),
            objects=bucket.sizes(self.stack),
        )
        news = [*self._arena_news(snapshot.arena), *self._bucket_news(snapshot.objects)]
        return snapshot, [*news, *map(event_line, arrived)]

    def _arena_news(self, arena: ArenaState) -> Iterator[str]:
        logins = arena.requests.get("login", 0)
        if logins > self._logins:
            yield "Arena    the machine user logged in"
        self._logins = logins
        for run in arena.runs:
            known = self._run_statuses.get(run.guid)
            if run.status == known:
                continue
            what = plural(run.items, "GUID") if run.items else "the definition's own criteria"
            started = f"started with {what}" if known is None else f"is {run.status}"
            yield f"Arena    run {run.number} of {run.export_guid} {started}"
            self._run_statuses[run.guid] = run.status

    def _bucket_news(self, objects: Mapping[str, int]) -> Iterator[str]:
        for key in sorted(objects.keys() - self._objects):
            yield f"Bucket   {bucket.short(key)}, {objects[key]:,} bytes"
        self._objects |= objects.keys()


def event_line(received: ReceivedEvent) -> str:
    """Describe an event in one line."""
    data, name = received.data, received.type.removeprefix(PREFIX)
    if received.type in {COMPLETED, DELIVERED}:
        run = f"run {data['runNumber']} of {data['exportGuid']}"
        what = contents(data) if received.type == COMPLETED else files(data)
        return f"Topic    {name}: {run}, {what}"
    if received.type == REJECTED:
        return f"Topic    {name}: {data['error']['message']}"
    return f"Topic    {name}: {data.get('error')}"
