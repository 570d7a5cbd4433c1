"""Reads what deliveries have put into the bucket, and compares it with their events."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Stack

SHOWN_PARTS = 2


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the bucket; `sha256` in hex."""

    key: str
    body: bytes
    sha256: str


def sizes(stack: Stack) -> dict[str, int]:
    """Return the size in bytes of each object, by key."""
    listed = stack.clients.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.outputs["DeliveryBucketName"]
    )
    return {item["Key"]: item["Size"] for page in listed for item in page.get("Contents", [])}


def read_all(stack: Stack) -> dict[str, StoredObject]:
    """Read every object, by key."""
    return {key: _read(stack, key) for key in sorted(sizes(stack))}


def _read(stack: Stack, key: str) -> StoredObject:
    reply = stack.clients.s3.get_object(Bucket=stack.outputs["DeliveryBucketName"], Key=key)
    body = reply["Body"].read()
    return StoredObject(key, body, hashlib.sha256(body).hexdigest())


def problems(
    objects: Mapping[str, StoredObject], deliveries: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield where the bucket and the data of delivered events differ."""
    hashes = {key: stored.sha256 for key, stored in objects.items()}
    told: dict[str, str] = {}
    for data in deliveries:
        told[data["manifestKey"]] = data["manifestSha256"]
        told |= {file["key"]: file["sha256"] for file in data["files"]}
        named = {file["key"]: file["sha256"] for file in _manifest_files(objects, data)}
        if named != {file["key"]: file["sha256"] for file in data["files"]}:
            yield f"the manifest and the event of run {data['runGuid']} name other files"
    for key in sorted(hashes.keys() | told.keys()):
        if hashes.get(key) != told.get(key):
            yield f"{key} has the SHA-256 {hashes.get(key)}, but events say {told.get(key)}"


def _manifest_files(
    objects: Mapping[str, StoredObject], data: Mapping[str, Any]
) -> list[dict[str, Any]]:
    stored = objects.get(data["manifestKey"])
    return list(json.loads(stored.body)["files"]) if stored else []


def short(key: str) -> str:
    """Return the last parts of a key: the folder of the run, and the name of the file."""
    return "/".join(key.split("/")[-SHOWN_PARTS:])
