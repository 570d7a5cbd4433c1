"""What a simulated day did, compared with a model: each step must be a step of the model.

A `View` maps what the model describes of the day to the state of the model.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from arena_exports.ledger import keys, pages
from tests.simulation.models import delivery, lease

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from minicheck import Protocol

    from tests.simulation.simulation import Simulation
    from tests.support.fake_bucket import InMemoryBucket, StoredObject

    Item = Mapping[str, Any]
    States = Mapping[Hashable, Hashable]
    Steps = Mapping[tuple[Hashable, Hashable], str]
    Objects = Mapping[str, StoredObject]


MAX_SEARCHES = 2  # that the model counts


@dataclass(frozen=True, slots=True)
class View:
    """What a model and a day have in common.

    `of_day` and `of_state` return the same value for the same state of affairs; `of_day` does so
    for each thing that the model describes, by a name. What it does not name has not begun.
    """

    model: Protocol
    of_day: Callable[[Simulation], States]
    of_state: Callable[[Mapping[str, object]], Hashable]

    @property
    def initial(self) -> Hashable:
        """The state in which everything begins."""
        return self.of_state(self.model.d(self.model.initial))

    def steps(self) -> dict[tuple[Hashable, Hashable], str]:
        """Return every step of the model that can be seen, with the name of one that looks so."""
        known, todo = {self.model.initial}, [self.model.initial]
        steps: dict[tuple[Hashable, Hashable], str] = {}
        while todo:
            state = todo.pop()
            before = self.of_state(self.model.d(state))
            for label, after in self.model.transitions(state):
                seen = self.of_state(self.model.d(after))
                if seen != before:
                    steps.setdefault((before, seen), label)
                if after not in known:
                    known.add(after)
                    todo.append(after)
        return steps


@dataclass
class Replay:
    """Watches the ledger and the bucket of a day, and keeps the steps that it took."""

    view: View
    steps: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)
    _states: States = field(default_factory=dict)
    _written: tuple[int, ...] = ()

    def watch(self, simulation: Simulation) -> None:
        """Watch a day that has not begun, before and after each external call."""

        def look(perhaps_die: Callable[[], None]) -> None:
            self._look(simulation)
            perhaps_die()

        simulation.outside.intercept("perhaps_die", look)

    def _look(self, simulation: Simulation) -> None:
        stored = (bucket.versions for bucket in simulation.delivery.buckets.values())
        written = (simulation.memory.write_units, *stored)
        if written == self._written:
            return
        self._written = written
        states = self.view.of_day(simulation)
        for name, after in states.items():
            before = self._states.get(name, self.view.initial)
            if after != before:
                self.steps[before, after] = self.steps.get((before, after), 0) + 1
        self._states = states


# ---- the lease -----------------------------------------------------------------------------------


def _lease_of_day(simulation: Simulation) -> States:
    items = simulation.memory.items
    slot = items.get("SLOT", {}).get("-", {})
    attempt_id = slot.get("attemptId")
    state = str(slot.get("state", "idle"))
    if attempt_id is None:
        return {"": (state, "", 0, False)}
    months = (month for pk, month in items.items() if pk.startswith("RUN#"))
    attempt = next(month[attempt_id] for month in months if attempt_id in month)
    sending = attempt.get("state") == "sending"
    again = attempt.get("firstSentAt", 0) < attempt.get("sentAt", 0)
    searches = min(attempt.get("searches", 0), MAX_SEARCHES) if sending else 0
    return {"": (state, attempt.get("state", ""), searches, sending and again)}


def _lease_of_state(state: Mapping[str, object]) -> Hashable:
    sending = state["attempt"] == "sending"
    searches = state["searches"] if sending else 0
    return state["lease"], state["attempt"], searches, sending and state["again"]


def lease_view() -> View:
    """Return what the model of the lease and a day have in common."""
    return View(lease.lease_model(), _lease_of_day, _lease_of_state)


# ---- delivery ------------------------------------------------------------------------------------

NONE, THERE, OTHER, REFUSED, MISSING = "", "there", "other", "refused", "missing"


def _delivery_of_day(simulation: Simulation) -> States:
    """Return for each delivery of each run, each of its files and each bucket how it stands."""
    states: dict[Hashable, Hashable] = {}
    for bucket in simulation.delivery.buckets.values():
        folders = _folders(bucket)
        for attempt_id, run_guid, items in _settled(simulation):
            for number in range(1, _newest(simulation, attempt_id) + 1):
                phase = _phase(simulation, attempt_id, number, bucket.name)
                for guid in _files(items):
                    noted = items.get(f"#FILE#{number:04}#{_place(bucket)}#{guid}", {})
                    state = phase, *_of_file(guid, number, noted, folders[run_guid])
                    states[attempt_id, number, guid, bucket.name] = state
    return states


def _newest(simulation: Simulation, attempt_id: str) -> int:
    """Return the number of the newest delivery of a run."""
    pointer = _pointer(simulation, attempt_id)
    if pointer is not None:
        return int(pointer["number"])
    names = simulation.memory.items.get("DELIVERED", {})
    return max((int(sk[-4:]) for sk in names if sk.startswith(attempt_id)), default=1)


def _pointer(simulation: Simulation, attempt_id: str) -> Item | None:
    pointers = simulation.memory.items.get(keys.DELIVER, {}).values()
    return next((item for item in pointers if item["attemptId"] == attempt_id), None)


def _folders(bucket: InMemoryBucket) -> Mapping[str, Objects]:
    """Return the objects of each run, by the GUID in the name of its folder."""
    folders: dict[str, dict[str, StoredObject]] = defaultdict(dict)
    for key, stored in bucket.objects.items():
        folders[key.split("/")[-2].partition("-")[2]][key] = stored
    return folders


def _settled(simulation: Simulation) -> Iterator[tuple[str, str, Mapping[str, Item]]]:
    """Yield each settled attempt with a run, and its other items, by the rest of their names."""
    for pk, month in simulation.memory.items.items():
        if pk.startswith("RUN#"):
            others: dict[str, dict[str, Item]] = defaultdict(dict)
            for sk, item in month.items():
                attempt_id, mark, name = sk.partition("#")
                others[attempt_id][mark + name] = item
            for attempt_id, items in others.items():
                if items[""]["state"] == "settled" and items[""].get("runGuid"):
                    yield attempt_id, items[""]["runGuid"], items


def _files(items: Mapping[str, Item]) -> Iterator[str]:
    for name, item in items.items():
        if name.startswith("#FILES#"):
            yield from (row[0] for row in _unpacked(item["files"]))


_unpacked = lru_cache(pages.unpack)


@lru_cache
def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def _place(bucket: InMemoryBucket) -> str:
    return sha256(f"{bucket.name}/{bucket.prefix}".encode()).hexdigest()[:8]


def _phase(simulation: Simulation, attempt_id: str, number: int, bucket: str) -> str:
    pk, sk = keys.delivered(attempt_id, number)
    done = simulation.memory.items.get(pk, {}).get(sk)
    if done is not None:
        return delivery.DONE if done["bucket"] == bucket else delivery.ELSEWHERE
    if number < _newest(simulation, attempt_id):
        return delivery.ELSEWHERE
    return delivery.PENDING if _pointer(simulation, attempt_id) else delivery.OFF


def _of_file(guid: str, number: int, noted: Item, objects: Objects) -> tuple[str, bool, str]:
    """Return what is noted, whether it is stored, and what the manifest tells."""
    stored = any(f"/{guid}." in key for key in objects)
    outcome = NONE
    if noted.get("final"):
        outcome = _outcome(noted["stored"], objects) if noted["stored"] else REFUSED
    return outcome, stored, _told(guid, number, objects)


def _outcome(told: Item, objects: Objects) -> str:
    there = objects.get(told["key"])
    same = there is not None and told["sha256"] == _digest(there.body)
    return THERE if same else OTHER


def _told(guid: str, number: int, objects: Objects) -> str:
    """Return what the manifest of a delivery tells of a file."""
    name = "/manifest.json" if number == 1 else f"/manifest-{number}.json"
    body = next((stored.body for key, stored in objects.items() if key.endswith(name)), None)
    if body is None:
        return NONE
    manifest = json.loads(body)
    for file in manifest["files"]:
        if file["guid"] == guid:
            return _outcome(file, objects)
    refused = any(file["guid"] == guid for file in manifest["undeliverable"])
    return REFUSED if refused else MISSING


def _delivery_of_state(state: Mapping[str, Any]) -> Hashable:
    """Return what a state says of the first file."""
    stored, manifest = state["stored"][0], state["manifest"]
    told = NONE if manifest is None else _content(manifest[0], stored) or MISSING
    return state["phase"], _content(state["noted"][0], stored), bool(stored), told


def _content(content: int, stored: int) -> str:
    if content in (0, delivery.REFUSED):
        return REFUSED if content else NONE
    return THERE if content == stored else OTHER


def delivery_view() -> View:
    """Return what the model of delivery and a day have in common: one file in one bucket."""
    model = delivery.delivery_model(delivery.Variant(another_bucket=True))
    return View(model, _delivery_of_day, _delivery_of_state)


VIEWS: Mapping[str, Callable[[], View]] = {"the lease": lease_view, "delivery": delivery_view}
