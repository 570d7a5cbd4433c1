"""Observes the stack from outside: what is waiting, what is running, what it has cost."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.local.arena import ArenaState
from infra.local.demo.tally import COMPLETED, REJECTED, Tally, contents, plural
from infra.local.stack import Stack
from infra.local.subscriber import ReceivedEvent, Subscriber

ENDED = {"COMPLETE", "DOWNLOADED", "FAILED", "ABORTED"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stack at one moment.

    `seconds` starts with the first message; `sent` and `exported` count distinct GUIDs.
    """

    seconds: float
    queue_depth: int
    sent: int
    exported: int
    arena: ArenaState

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

    def observe(self) -> tuple[Snapshot, list[str]]:
        """Return the current state of the stack, and a line for each change."""
        arrived = self.subscriber.receive()
        self.tally.received(arrived)
        sent = self.tally.sent_guids()
        snapshot = Snapshot(
            seconds=time.monotonic() - self.started,
            queue_depth=self.stack.queue_depth(),
            sent=len(sent),
            exported=len(sent & self.tally.exported_guids()),
            arena=self.stack.arena.state(),
        )
        return snapshot, [*self._arena_news(snapshot.arena), *map(event_line, arrived)]

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


def event_line(received: ReceivedEvent) -> str:
    """Describe an event in one line."""
    data = received.data
    if received.type == COMPLETED:
        run = f"run {data['runNumber']} of {data['exportGuid']}"
        return f"Topic    {received.type}: {run}, {contents(data)}"
    if received.type == REJECTED:
        return f"Topic    {received.type}: {data['error']['message']}"
    return f"Topic    {received.type}: {data.get('error')}"
