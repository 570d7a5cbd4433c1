"""Compares what was sent with what came out, so that no loss goes unnoticed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.local.demo.samples import Sample
from infra.local.stack import DeadLetter
from infra.local.subscriber import ReceivedEvent

COMPLETED = "arena.export.run.completed"
FAILED = "arena.export.run.failed"
DELIVERED = "arena.export.run.delivered"
REJECTED = "arena.export.request.rejected"
OUTCOMES = (COMPLETED, FAILED, REJECTED)
"""What becomes of requests and runs, without the deliveries of files."""


@dataclass(slots=True)
class CompletedRun:
    """The contents of the events of one completed run; large runs have several parts.

    `seconds` is when the first one arrived.
    """

    export_guid: str
    seconds: float = 0.0
    item_guids: set[str] = field(default_factory=set)
    request_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The data of the event of a run whose files are in the bucket, and when it arrived."""

    data: Mapping[str, Any]
    seconds: float


@dataclass(slots=True)
class Tally:
    """The requests by message id, the runs that completed, and their deliveries by run.

    A GUID of a request is accounted for when one completed run names the request *and* the GUID:
    a run that exported the GUID only for an earlier request does not count.
    """

    requests: dict[str, frozenset[str]] = field(default_factory=dict)
    runs: dict[str, CompletedRun] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def sent(self, message_ids: Iterable[str], samples: Iterable[Sample]) -> None:
        """Record messages that were sent to the intake queue."""
        for message_id, sample in zip(message_ids, samples, strict=True):
            self.requests[message_id] = frozenset(sample.item_guids)

    def received(self, events: Iterable[ReceivedEvent], seconds: float = 0.0) -> None:
        """Record events that came out of the topic, and when."""
        for event in events:
            if event.type == COMPLETED:
                self._completed(event, seconds)
            elif event.type == DELIVERED:
                self.deliveries[event.data["runGuid"]] = Delivery(event.data, seconds)
            elif event.type == REJECTED:
                self.rejected.add(event.data["requestId"])
            else:
                self.problems.append(f"{event.type} for run {event.data.get('runGuid')}")

    def sent_guids(self) -> set[str]:
        """Return the distinct GUIDs of all requests."""
        return set().union(*self.requests.values())

    def exported_guids(self) -> set[str]:
        """Return the distinct GUIDs of all completed runs."""
        return set().union(*(run.item_guids for run in self.runs.values()))

    def requested_count(self) -> int:
        """Count the GUIDs of all requests, with repetitions."""
        return sum(len(item_guids) for item_guids in self.requests.values())

    def exported_count(self) -> int:
        """Count the GUIDs of all completed runs, with repetitions."""
        return sum(len(run.item_guids) for run in self.runs.values())

    def unaccounted(self) -> dict[str, set[str]]:
        """Return the GUIDs that are still open, by request."""
        still_open = {request: set(item_guids) for request, item_guids in self.requests.items()}
        for run in self.runs.values():
            for request in run.request_ids & still_open.keys():
                still_open[request] -= run.item_guids
        return {request: item_guids for request, item_guids in still_open.items() if item_guids}

    def definition_runs(self) -> list[str]:
        """Return the export definitions of the completed runs without GUIDs."""
        return [run.export_guid for run in self.runs.values() if not run.item_guids]

    def undelivered(self) -> set[str]:
        """Return the completed runs whose files are not in the bucket yet."""
        return self.runs.keys() - self.deliveries.keys()

    def delivery_seconds(self) -> dict[str, float]:
        """Return for each run how long after its `run.completed` it was delivered."""
        return {
            run: delivery.seconds - self.runs[run].seconds
            for run, delivery in self.deliveries.items()
            if run in self.runs
        }

    def check_rejection(self, message_id: str, body: str, letters: Iterable[DeadLetter]) -> None:
        """Record a problem unless exactly this message was rejected, by event and dead letter."""
        if self.rejected != {message_id}:
            self.problems.append(f"rejected: {sorted(self.rejected)}, expected only {message_id}")
        found = [(letter.attributes.get("requestId"), letter.body) for letter in letters]
        if found != [(message_id, body)]:
            self.problems.append(f"dead-letter queue: {found}, expected only {message_id}")

    def _completed(self, event: ReceivedEvent, seconds: float) -> None:
        data = event.data
        run = self.runs.setdefault(data["runGuid"], CompletedRun(data["exportGuid"], seconds))
        run.item_guids |= set(data["itemGuids"])
        run.request_ids |= {request["requestId"] for request in data["requests"]}


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 request, 2 requests."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def contents(data: Mapping[str, Any]) -> str:
    """Return what a run exported, and for how many requests, from the data of its event."""
    count = len(data["itemGuids"])
    what = plural(count, "GUID") if count else "its own criteria"
    return f"{what} for {plural(len(data['requests']), 'request')}"


def files(data: Mapping[str, Any]) -> str:
    """Return how many files were delivered, and their size, from the data of the event."""
    size = sum(file["size"] for file in data["files"])
    return f"{plural(len(data['files']), 'file')} of {size:,} bytes"
