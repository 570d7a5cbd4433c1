"""Keep account of what was sent and what came out, so that nothing is lost unnoticed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.local.stack import DeadLetter
from infra.local.story.samples import Sample
from infra.local.subscriber import ReceivedEvent

COMPLETED = "arena.export.run.completed"
REJECTED = "arena.export.request.rejected"


@dataclass(slots=True)
class CompletedRun:
    """What the events of one completed run say; large runs come in several parts."""

    export_guid: str
    item_guids: set[str] = field(default_factory=set)
    request_ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """The requests by message id, and the runs that completed.

    A GUID of a request is accounted for when one completed run names the request *and* the GUID:
    a run that exported the GUID for an earlier request alone does not count.
    """

    requests: dict[str, frozenset[str]] = field(default_factory=dict)
    runs: dict[str, CompletedRun] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def sent(self, message_ids: Iterable[str], samples: Iterable[Sample]) -> None:
        """Note messages that went to the intake queue."""
        for message_id, sample in zip(message_ids, samples, strict=True):
            self.requests[message_id] = frozenset(sample.item_guids)

    def received(self, events: Iterable[ReceivedEvent]) -> None:
        """Take into account what came out of the topic."""
        for event in events:
            if event.type == COMPLETED:
                self._completed(event)
            elif event.type == REJECTED:
                self.rejected.add(event.data["requestId"])
            else:
                self.problems.append(f"{event.type} for run {event.data.get('runGuid')}")

    def sent_guids(self) -> set[str]:
        """Gather the distinct GUIDs of all requests."""
        return set().union(*self.requests.values())

    def exported_guids(self) -> set[str]:
        """Gather the distinct GUIDs of all completed runs."""
        return set().union(*(run.item_guids for run in self.runs.values()))

    def asked_for(self) -> int:
        """Count the GUIDs of all requests, each as often as it is asked for."""
        return sum(len(item_guids) for item_guids in self.requests.values())

    def carried(self) -> int:
        """Count the GUIDs of all completed runs, each as often as a run carried it."""
        return sum(len(run.item_guids) for run in self.runs.values())

    def unaccounted(self) -> dict[str, set[str]]:
        """Give the GUIDs still open, by the request that asked for them."""
        still_open = {request: set(item_guids) for request, item_guids in self.requests.items()}
        for run in self.runs.values():
            for request in run.request_ids & still_open.keys():
                still_open[request] -= run.item_guids
        return {request: item_guids for request, item_guids in still_open.items() if item_guids}

    def definition_runs(self) -> list[str]:
        """Give the export definition of each completed run that had no GUIDs."""
        return [run.export_guid for run in self.runs.values() if not run.item_guids]

    def check_rejection(self, message_id: str, body: str, letters: Iterable[DeadLetter]) -> None:
        """Note a problem unless this message alone came out as event and as DLQ entry."""
        if self.rejected != {message_id}:
            self.problems.append(f"rejected: {sorted(self.rejected)}, expected {message_id} alone")
        found = [(letter.attributes.get("requestId"), letter.body) for letter in letters]
        if found != [(message_id, body)]:
            self.problems.append(f"dead-letter queue: {found}, expected {message_id} alone")

    def _completed(self, event: ReceivedEvent) -> None:
        data = event.data
        run = self.runs.setdefault(data["runGuid"], CompletedRun(data["exportGuid"]))
        run.item_guids |= set(data["itemGuids"])
        run.request_ids |= {request["requestId"] for request in data["requests"]}
