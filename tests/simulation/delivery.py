"""Delivery on a simulated day: when it is on, and what happens to files.

It is drawn from the seed, but separately from the rest of the day: a seed that draws none makes
the same day with and without this module.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any
from unittest import mock

from arena_exports.domain.budget import Budget
from arena_exports.domain.model import ExportGuid
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item
from arena_exports.ledger.definitions import DefinitionStore
from arena_exports.services import transfer
from infra.simulator import control
from tests.simulation.download_faults import PAGE, slow
from tests.simulation.fault_rates import draw_faults_of_delivery
from tests.simulation.plan import MAX_SKEW_SECONDS
from tests.support.fake_bucket import InMemoryBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arena_exports.ports import Event, HttpRequest
    from infra.simulator.files import RunFile
    from tests.simulation.scheduler import Task
    from tests.simulation.simulation import Simulation

PART_BYTES = 65_536
SWITCH_AFTER_SECONDS = 2700  # half of the fault phase
OFF_SECONDS = 1200  # where it is turned on again
SHARE_OF_ON_AGAIN = 0.5
# No function that began before a switch still runs so much later.
SECONDS_OF_A_SWITCH = 600
DELIVERED = ("arena.export.run.delivered", "arena.export.run.undelivered")
# So many requests can be sent between a look at the budget and the request that follows.
REQUESTS_ON_THEIR_WAY = 10


@contextmanager
def small_parts() -> Iterator[None]:
    """Upload in parts of 64 KiB, so that a simulated day can have files of many parts."""
    with mock.patch.object(transfer, "PART_BYTES", PART_BYTES):
        yield


@dataclass(frozen=True)
class DeliveryPlan:
    """When delivery is on, and what Arena does not document about files.

    `switches` says what happens `switch_after` seconds into the day: delivery is turned "on",
    "off", or "off and on" again, or gets another "bucket". `arena` has settings of the simulator,
    `runs` the contents of the first runs. `bad` is the chance, every two minutes, that some file
    cannot be had for a while, `second` that a second deliver is invoked. On a quiet day nothing
    keeps the next run from being submitted at once. With `regenerates`, no two downloads of a file
    bring the same bytes.
    """

    is_on: bool
    switches: str = ""
    switch_after: float = SWITCH_AFTER_SECONDS
    bad: float = 0.0
    second: float = 0.0
    is_quiet: bool = False
    regenerates: bool = False
    arena: Mapping[str, Any] = field(default_factory=dict)
    runs: tuple[Mapping[str, Any], ...] = ()


OFF = DeliveryPlan(is_on=False)
# The first run has two files, and one of them is uploaded in two parts.
TWO_FILES = DeliveryPlan(
    is_on=True,
    regenerates=True,
    runs=({"contents": [{"kind": "json", "size": PART_BYTES + 1000}, {"kind": "zip"}]},),
)


def draw_delivery(random: Random) -> DeliveryPlan:
    """Draw the plan of a day; on half of the days nothing is delivered."""
    mode = random.choice(["never", "never", "never", "never", "", "", "", "on", "off", "bucket"])
    if mode == "never":
        return OFF
    if mode == "off" and random.random() < SHARE_OF_ON_AGAIN:
        mode = "off and on"
    return draw_plan_of_delivery(random, mode)


def draw_plan_of_delivery(random: Random, switches: str = "") -> DeliveryPlan:
    """Draw the plan of a day on which files are delivered."""
    return DeliveryPlan(
        is_on=switches != "on",
        switches=switches,
        bad=random.choice([0.0, 0.1, 0.3]),
        second=random.choice([0.0, 0.3]),
        arena={
            "fileFraming": random.choice(["length", "chunked", "close"]),
            "fileRanges": random.choice(["checked", "unchecked", "none"]),
            "fileEtag": random.choice(["strong", "weak", "changed", "none"]),
            "downloadsLockSession": random.random() < 0.3,
            "gzip": random.choice(["never", "asked", "always"]),
        },
        runs=tuple(draw_run(random, (1, 1, 2, 4)) for _ in range(random.choice([3, 10]))),
    )


def draw_run(random: Random, file_counts: Sequence[int]) -> Mapping[str, Any]:
    """Draw the files of a run."""
    return {"contents": [_draw_file(random) for _ in range(random.choice(file_counts))]}


def _draw_file(random: Random) -> Mapping[str, Any]:
    size = random.choice([None, 1000, 60_000, PART_BYTES, 150_000])
    odd = random.random()
    return {
        "kind": random.choice(["zip", "zip", "json", "csv", "gz", "bin"]),
        **({"size": size} if size else {}),
        **({"title": "A\nfile \u202e'\"<" + "x" * 300} if odd < 0.1 else {}),
        **({"metadataSize": 12345} if 0.1 < odd < 0.15 else {}),
    }


class DeliveryDay:
    """Delivery on one day."""

    def __init__(self, simulation: Simulation, plan: DeliveryPlan | None) -> None:
        self._simulation = simulation
        self._arena = simulation.arena
        self.random = Random(f"delivery {simulation.seed}")
        self.plan = draw_delivery(self.random) if plan is None else plan
        if plan is None and self.plan is not OFF:
            draw_faults_of_delivery(simulation.fault_rates, self.random)
        self.is_on: bool = self.plan.is_on
        self._off_since = -math.inf
        self._times_off: list[tuple[float, float]] = []
        self.bucket = InMemoryBucket("bucket-1", min_part_bytes=PART_BYTES)
        self.buckets = {self.bucket.name: self.bucket}
        self.slow: set[str] = set()
        self.problems: list[str] = []
        self._downloading: set[Task] = set()
        self._completed: set[str] = set()
        self._bodies: dict[tuple[str, str, str], str] = {}

    @property
    def is_part_of_the_day(self) -> bool:
        """Whether delivery is ever on."""
        return self.plan.is_on or bool(self.plan.switches)

    def begin(self) -> None:
        """Set Arena up, and schedule the switch."""
        control.set_settings(self._arena, self.plan.arena)
        for run in self.plan.runs:
            control.plan_runs(self._arena, run)
        if self.plan.regenerates:
            other_bytes = {"path": "*/content", "download": {"regenerate": True}, "times": None}
            control.add_faults(self._arena, other_bytes)
        if self.plan.switches:
            self._simulation.scheduler.after(self.plan.switch_after, self._switch)

    def _switch(self) -> None:
        self.cause(SWITCHES[self.plan.switches])
        if self.plan.switches == "off and on":
            again = partial(self.cause, "delivery turned on")
            self._simulation.scheduler.after(OFF_SECONDS, again)

    def _turn_on(self) -> None:
        self._times_off.append((self._off_since, self._simulation.scheduler.now))
        self.is_on = True
        self._simulation.redeploy()

    def _turn_off(self) -> None:
        self._off_since = self._simulation.scheduler.now
        self.is_on = False
        self._simulation.redeploy()

    def _change_bucket(self) -> None:
        name = f"bucket-{len(self.buckets) + 1}"
        self.bucket = self.buckets[name] = InMemoryBucket(name, min_part_bytes=PART_BYTES)
        self._simulation.redeploy()

    def was_certainly_on(self, at: float) -> bool:
        """Return whether every function that ran at a time delivered files."""
        times_off = [*self._times_off, *([] if self.is_on else [(self._off_since, math.inf)])]
        spare = SECONDS_OF_A_SWITCH
        return not any(since - spare <= at <= until + spare for since, until in times_off)

    def is_due(self) -> bool:
        """Return whether files are to be delivered; where delivery is off, they wait."""
        return self.is_on and bool(self._simulation.memory.items.get(keys.DELIVER))

    def disrupt(self) -> None:
        """Cause some of what goes wrong with files for longer than one download."""
        if not self.is_part_of_the_day:
            return
        if self.random.random() < self.plan.second:
            self.cause("second deliver")
        if self.random.random() < self.plan.bad:
            self.cause(self.random.choice(["file spoiled", "file spoiled", "all files spoiled"]))

    def cause(self, kind: str) -> None:
        """Cause what happens to deliveries, if that is possible now."""
        is_possible, happen = KINDS[kind]
        if is_possible(self):
            self._simulation.fault_rates.note(kind)
            happen(self)

    def _has_files(self) -> bool:
        return any(run.files for run in self._arena.exports.runs)

    def _invoke_another(self) -> None:
        self._simulation.invoke("deliver", {"settledBefore": self._simulation.scheduler.now})

    def _spoil_a_file(self) -> None:
        file = self.random.choice([f for run in self._arena.exports.runs for f in run.files])
        draws: list[Callable[[], Mapping[str, Any]]] = [
            lambda: {"code": 3028},
            lambda: {"code": self.random.choice([404, 3011, 3012, 4078, 3017])},
            lambda: {"status": 302, "headers": {"Location": "https://example.com/"}},
            lambda: {"status": 403, "body": PAGE},
            lambda: self._slow(file),
        ]
        fault = {**self.random.choice(draws)(), "path": f"*/{file.guid}/content"}
        control.add_faults(self._arena, {**fault, "times": None})

    def _slow(self, file: RunFile) -> Mapping[str, Any]:
        self.slow.add(file.guid)
        return slow(file)

    def _spoil_all(self) -> None:
        """Let a gateway, or Arena, answer all downloads for up to an hour."""
        faults: list[Mapping[str, Any]] = [
            {"status": 404, "body": PAGE},
            {"status": 200, "body": PAGE},
            {"code": 3024},
        ]
        fault = self.random.choice(faults)
        seconds = self.random.uniform(60, 3700)
        control.add_faults(self._arena, {**fault, "path": "*/content", "lastsSeconds": seconds})

    # ---- what must never be ----------------------------------------------------------------------

    @contextmanager
    def downloading(self, request: HttpRequest, *, resumes: bool) -> Iterator[None]:
        """Check a download that begins, and know of it until it ends.

        Where functions go on after their time-outs, no fence can hold back a request.
        """
        task = self._simulation.scheduler.current
        *_, run_guid, _, file_guid, _ = request.path.split("/")
        if not self._simulation.overtime:
            self.problems += [f"{file_guid}: {text}" for text in self._checked(run_guid, file_guid)]
        if not resumes:
            self._check_budget(file_guid)
        self._downloading.add(task)
        try:
            yield
        finally:
            self._downloading.discard(task)

    def _checked(self, run_guid: str, file_guid: str) -> Iterator[str]:
        lease = self._simulation.memory.items.get("SLOT", {}).get("-", {})
        pointers = self._simulation.memory.items.get(keys.DELIVER, {}).values()
        pointer = next((item for item in pointers if item["runGuid"] == run_guid), None)
        if not self._downloading <= {self._simulation.scheduler.current}:
            yield "two downloads at once"
        if pointer is None:
            yield "nobody waits for it"
            return
        if lease.get("attemptId") == pointer["attemptId"]:
            yield "the lease is held during its download"
        bucket = self.buckets[self.bucket.name]
        if len(self.buckets) == 1 and any(f"/{file_guid}." in key for key in bucket.objects):
            yield "it is downloaded although it is in the bucket"
        if self.plan.is_quiet and self._comes_before_the_next_run(pointer["settledAt"]):
            yield "it is downloaded before the next run is submitted"

    def _comes_before_the_next_run(self, settled_at: float) -> bool:
        """Definitions that have never worked do not count: they take turns, a minute apart."""
        memory, runs = self._simulation.memory, self._arena.exports.runs
        definitions = DefinitionStore(memory)
        waiting = any(
            item["recordedAt"] < settled_at
            and definitions.read(ExportGuid(pointer.split("#")[1])).proven
            for pointer, item in memory.items.get("PENDING", {}).items()
        )
        return waiting and all(run.created_at < settled_at for run in runs)

    def _check_budget(self, file_guid: str) -> None:
        """Priorities: first tries stop at half of the reserve, retries at the reserve."""
        items = self._simulation.memory.items
        tried = any(
            item.get("tries") or item.get("long")
            for pk, partition in items.items()
            if pk.startswith("RUN#")
            for sk, item in partition.items()
            if "#FILE#" in sk and sk.endswith(file_guid)
        )
        reserve = self._simulation.plan.reserve
        budget = from_item(Budget, items.get("BUDGET", {}).get("-"))
        if budget.remaining is None:
            return
        known = replace(budget, remaining=budget.remaining + REQUESTS_ON_THEIR_WAY, spent_until=0)
        now = self._simulation.scheduler.now + MAX_SKEW_SECONDS
        if known.wait_seconds(now, reserve if tried else reserve // 2):
            self.problems.append(f"{file_guid}: downloaded with {budget.remaining} requests left")

    def check_event(self, event: Event) -> None:
        """Check an event against the bucket at the moment when it is published."""
        body = json.loads(event.body)
        data = body["data"]
        if body["type"] == "arena.export.run.completed":
            self._completed.add(data["runGuid"])
        if body["type"] in DELIVERED:
            self.problems += [f"{body['id']}: {text}" for text in self._wrong(event, body, data)]

    def _wrong(self, event: Event, body: Any, data: Any) -> Iterator[str]:
        # A delivery that was reported, but not closed, before the bucket was changed is made anew.
        key = body["source"], body["id"], data["bucket"]
        if self._bodies.setdefault(key, event.body) != event.body:
            yield "two copies differ"
        if data["runGuid"] not in self._completed:
            yield "published before run.completed"
        objects = self.buckets[data["bucket"]].objects
        manifest = objects.get(data["manifestKey"])
        if manifest is None or sha256(manifest.body) != data["manifestSha256"]:
            yield "its manifest is not in the bucket"
        for file in data["files"]:
            stored = objects.get(file["key"])
            if stored is None or sha256(stored.body) != file["sha256"]:
                yield f"{file['key']} is not in the bucket"


KINDS: Mapping[str, tuple[Callable[[DeliveryDay], bool], Callable[[DeliveryDay], None]]] = {
    "second deliver": (lambda day: day.is_on, DeliveryDay._invoke_another),
    "file spoiled": (DeliveryDay._has_files, DeliveryDay._spoil_a_file),
    "all files spoiled": (lambda _day: True, DeliveryDay._spoil_all),
    "delivery turned on": (lambda day: not day.is_on, DeliveryDay._turn_on),
    "delivery turned off": (lambda day: day.is_on, DeliveryDay._turn_off),
    "bucket changed": (lambda _day: True, DeliveryDay._change_bucket),
}
"""What can happen to deliveries: when it is possible, and what happens."""

SWITCHES: Mapping[str, str] = {
    "on": "delivery turned on",
    "off": "delivery turned off",
    "off and on": "delivery turned off",
    "bucket": "bucket changed",
}


def sha256(body: bytes) -> str:
    """Return a digest in hex."""
    return hashlib.sha256(body).hexdigest()
