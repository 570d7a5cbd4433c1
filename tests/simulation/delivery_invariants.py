"""What must hold of deliveries after each simulated day: rule R12."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arena_exports.domain.deliveries import FILE_WITHOUT_GUID
from arena_exports.ledger import keys
from tests.simulation.delivery import DELIVERED, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.simulator.request_log import Record
    from tests.simulation.simulation import Simulation
    from tests.support.fake_bucket import InMemoryBucket

    Events = Mapping[tuple[str, str], Mapping[str, Any]]

FINAL = ("404", "3011", "3012", "3028", "4078")
SECONDS_BETWEEN_REFUSALS = 3600 - 10  # less the difference between clocks
# The back-offs that an hour and a half of faults leads to, those of the file and of all delivery.
MAX_SECONDS_TO_DELIVER = 4 * 3600
MAX_SECONDS_IN_TURNS = 10 * 3600
MAX_SECONDS_WITHOUT_A_BUDGET = 8 * 3600
IDENTITY = 401


def delivery_violations(simulation: Simulation) -> list[str]:
    """Return what was violated; empty if all is well, or nothing is ever delivered."""
    if not simulation.delivery.is_part_of_the_day:
        return []
    found = list(simulation.delivery.problems)
    for check in (
        _whole_or_not_at_all,
        _manifests_name_what_is_there,
        _every_file_accounted_for,
        _undeliverable_for_a_cause,
        _drained_in_time,
        _no_upload_left,
        _requests_as_completed,
        _no_secret_in_the_bucket,
    ):
        found += [f"{check.__name__.strip('_')}: {text}" for text in check(simulation)]
    return found


def _manifests(bucket: InMemoryBucket) -> dict[str, dict[str, Any]]:
    return {
        key: json.loads(stored.body) for key, stored in bucket.objects.items() if "/manifest" in key
    }


def _whole_or_not_at_all(simulation: Simulation) -> Iterator[str]:
    """The bytes of each file are those of one generation of Arena's."""
    for bucket in simulation.delivery.buckets.values():
        for key, stored in bucket.objects.items():
            if "/manifest" in key:
                continue
            if not _is_a_generation(simulation, key, sha256(stored.body)):
                yield f"{key} has {len(stored.body)} bytes that are no file of Arena's"


def _is_a_generation(simulation: Simulation, key: str, digest: str) -> bool:
    guid = key.rpartition("/")[2].partition(".")[0]
    file = simulation.arena.exports.any_file(guid)
    if file is None:
        return False
    for generation in range(file.plan.generation, 0, -1):
        earlier = replace(file, plan=replace(file.plan, generation=generation))
        if sha256(b"".join(earlier.content().chunks())) == digest:
            return True
    return False


def _manifests_name_what_is_there(simulation: Simulation) -> Iterator[str]:
    for bucket in simulation.delivery.buckets.values():
        for key, manifest in _manifests(bucket).items():
            for file in manifest["files"]:
                stored = bucket.objects.get(file["key"])
                told = file["size"], file["sha256"], file["versionId"], file["contentType"]
                if stored is None or told != (
                    len(stored.body),
                    sha256(stored.body),
                    stored.version_id,
                    stored.content_type,
                ):
                    yield f"{key} names {file}"


def _every_file_accounted_for(simulation: Simulation) -> Iterator[str]:
    """Each file of each run is delivered, reported as undeliverable, or pending: one of them."""
    items, delivery = simulation.memory.items, simulation.delivery
    pending = {item["attemptId"] for item in items.get(keys.DELIVER, {}).values()}
    done = {sk.rpartition("#")[0]: item for sk, item in items.get("DELIVERED", {}).items()}
    if pending & done.keys():
        yield f"{pending & done.keys()} are both delivered and pending"
    files = _files_of_completed_runs(simulation)
    for attempt_id, run_guid in _settled_while_on(simulation):
        if attempt_id in pending:
            continue
        if attempt_id not in done:
            yield f"run {run_guid} is neither delivered nor pending"
            continue
        bucket = delivery.buckets[done[attempt_id]["bucket"]]
        manifest = _manifests(bucket).get(done[attempt_id]["manifestKey"])
        if manifest is None:
            yield f"run {run_guid} is delivered without a manifest"
            continue
        named = [file["guid"] for file in manifest["files"] + manifest["undeliverable"]]
        told = [guid for guid in named if guid is not None]  # events name no others
        if sorted(told) != sorted(files[run_guid]):
            yield f"the manifest of run {run_guid} tells of {told}"
        outcome = "undelivered" if manifest["undeliverable"] else "delivered"
        if outcome != done[attempt_id]["outcome"]:
            yield f"run {run_guid} is {done[attempt_id]['outcome']}, not {outcome}"
        if not any(e["type"].endswith(f".{outcome}") for e in _told(simulation)[run_guid]):
            yield f"no event says that run {run_guid} is {outcome}"


def _told(simulation: Simulation) -> dict[str, list[dict[str, Any]]]:
    """Return the distinct events about deliveries and completed runs, by run."""
    distinct = {}
    for _, event in simulation.topic.kept:
        body = json.loads(event.body)
        if body["type"] in (*DELIVERED, "arena.export.run.completed"):
            distinct[body["source"], body["id"]] = body
    by_run = defaultdict(list)
    for body in distinct.values():
        by_run[body["data"]["runGuid"]].append(body)
    return by_run


def _files_of_completed_runs(simulation: Simulation) -> dict[str, list[str]]:
    return {
        run_guid: [
            guid for e in events if e["type"].endswith("completed") for guid in _guids(e["data"])
        ]
        for run_guid, events in _told(simulation).items()
    }


def _guids(data: Mapping[str, Any]) -> list[str]:
    """Return the files of one part; a list that is short is in every part."""
    return data["fileGuids"] if data["part"] == 1 else []


def _settled_while_on(simulation: Simulation) -> Iterator[tuple[str, str]]:
    """Yield the attempts, and their runs, that were certainly settled while delivery was on."""
    completed = _files_of_completed_runs(simulation)
    for pk, partition in simulation.memory.items.items():
        if not pk.startswith("RUN#"):
            continue
        for sk, item in partition.items():
            if "#" in sk or item.get("state") != "settled" or item.get("runGuid") not in completed:
                continue
            if simulation.delivery.was_certainly_on(item["expiresAt"] - keys.LIFE_SECONDS):
                yield sk, item["runGuid"]


def _undeliverable_for_a_cause(simulation: Simulation) -> Iterator[str]:
    """A file is given up for what Arena answered about this very file, twice."""
    answers: dict[str, list[Record]] = defaultdict(list)
    for record in simulation.arena.request_log.records:
        if record.purpose == "download":
            answers[str(record.file_guid)].append(record)
    for bucket in simulation.delivery.buckets.values():
        for manifest in _manifests(bucket).values():
            for file in manifest["undeliverable"]:
                code = file["error"]["code"]
                if not _is_justified(simulation, file["guid"], code, answers[str(file["guid"])]):
                    yield f"{file['guid']} was given up with {code}"


def _is_justified(
    simulation: Simulation, guid: str | None, code: str, answers: list[Record]
) -> bool:
    if guid is None:
        return code == FILE_WITHOUT_GUID
    if code in FINAL:
        at = [record.at for record in answers if str(record.code) == code]
        return bool(at) and max(at) - min(at) >= SECONDS_BETWEEN_REFUSALS
    if code == "Redirected":
        own = [r for r in answers if r.status == 302 and r.code != IDENTITY]
        return len(own) > 1
    return code == "TransferTooLong" and guid in simulation.delivery.slow


def _drained_in_time(simulation: Simulation) -> Iterator[str]:
    """R11: when the faults stop, deliveries drain within the longest back-off."""
    most = MAX_SECONDS_TO_DELIVER
    if simulation.delivery.plan.arena.get("downloadsLockSession"):
        most = MAX_SECONDS_IN_TURNS
    if simulation.plan.scarce:
        most = MAX_SECONDS_WITHOUT_A_BUDGET
    settled = {run: 0.0 for _, run in _settled_while_on(simulation)}
    for at, event in simulation.topic.kept:
        body = json.loads(event.body)
        if body["type"].endswith("run.completed"):
            settled[body["data"]["runGuid"]] = at
        if body["type"] in DELIVERED:
            run_guid = body["data"]["runGuid"]
            since = max(settled[run_guid], simulation.fault_phase_ended_at)
            if at - since > most:
                yield f"run {run_guid} was delivered after {at - since:.0f} s"


def _no_upload_left(simulation: Simulation) -> Iterator[str]:
    """No multipart upload is open once everything is delivered."""
    delivery = simulation.delivery
    if delivery.is_on and not delivery.is_due() and delivery.bucket.uploads:
        yield f"{list(delivery.bucket.uploads)} are open"


def _requests_as_completed(simulation: Simulation) -> Iterator[str]:
    """The requests of a delivery, and how many of their items are open, are the run's."""
    for run_guid, events in _told(simulation).items():
        told: dict[str, Counter[tuple[Any, ...]]] = defaultdict(Counter)
        for event in events:
            completed = event["type"].endswith("completed")
            kind = "completed" if completed else event["id"].split("/")[2]
            for r in event["data"]["requests"]:
                told[kind][r["requestId"], r["correlationId"], r["itemCount"], r["openCount"]] += 1
        for kind, requests in told.items():
            if requests != told["completed"]:
                yield f"run {run_guid}: {requests} in delivery {kind}, not {told['completed']}"


def _no_secret_in_the_bucket(simulation: Simulation) -> Iterator[str]:
    """R9: no session id is in an object or a key."""
    versions = simulation.session_secret.versions.values()
    canaries = [str(value.get("arenaSessionId")).encode() for value in versions]
    for bucket in simulation.delivery.buckets.values():
        for key, stored in bucket.objects.items():
            if any(canary in stored.body or canary in key.encode() for canary in canaries):
                yield f"{key} shows a secret"
