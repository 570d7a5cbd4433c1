"""Delivery of files into the bucket: the way where nothing fails."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.support.world import World, items

DELIVERS = {"delivers_files": True}


def manifests(world: World) -> list[dict[str, Any]]:
    """Return the manifests in the bucket."""
    return [
        json.loads(stored.body)
        for key, stored in sorted(world.bucket.objects.items())
        if "/manifest" in key
    ]


def test_delivery__puts_the_files_of_a_run_into_the_bucket() -> None:
    """The file, the manifest and the event agree; one request is spent on the file."""
    world = World(settings=DELIVERS)
    world.send({"itemGuids": items(3)})
    world.settle()
    (manifest,) = manifests(world)
    (event,) = world.events("run.delivered")
    (file,) = manifest["files"]
    body = world.bucket.objects[file["key"]].body
    assert hashlib.sha256(body).hexdigest() == file["sha256"]
    assert event["data"]["files"][0]["sha256"] == file["sha256"]
    assert [r.purpose for r in world.arena.request_log.records].count("download") == 1
