"""Files in the bucket, on the deployed stack with IAM enforced: two runs, a zip and JSON.

The zip has 300 MB. While it is downloaded, the next run takes place, somebody else logs in as the
machine user, and the connection breaks.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from infra.local.demo.tally import COMPLETED, DELIVERED
from infra.local.launch import CREDENTIALS
from tests.e2e.conftest import CALM
from tests.support.memory import peak_bytes
from tests.support.schemas import validate_event, validate_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.stack import Stack
    from infra.local.subscriber import ReceivedEvent, Subscriber

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

MB = 1_000_000
ZIP_BYTES = 300 * MB
PART_BYTES = 16 * 1024 * 1024
MAX_MEMORY_BYTES = 200 * MB
PATIENCE_SECONDS = 150
"""It takes some 20 seconds where nothing else runs on the machine."""
ITEMS = ("DELIVERED00000000001", "DELIVERED00000000002")
BROKEN_DOWNLOAD = {"stallAfterBytes": 60 * MB, "stallSeconds": 5, "cutAfterBytes": 120 * MB}


@dataclass(slots=True)
class Delivered:
    """What came out: the two delivered events, the zip first, and when other things happened."""

    stack: Stack
    events: list[ReceivedEvent]
    order: list[str]
    logins: int
    peak_memory: int

    def manifest(self, event: ReceivedEvent) -> dict[str, Any]:
        """Read the manifest that an event names."""
        body = self.read(event.data["manifestKey"])
        validate_manifest(body)
        content: dict[str, Any] = json.loads(body)
        return content

    def read(self, key: str) -> bytes:
        """Read an object."""
        reply = self.stack.clients.s3.get_object(Bucket=self.bucket, Key=key)
        return reply["Body"].read()

    @property
    def bucket(self) -> str:
        """The name of the stack's bucket."""
        return self.stack.outputs["DeliveryBucketName"]


@pytest.fixture(scope="module")
def delivered(stack: Stack) -> Iterator[Delivered]:
    """Two runs whose files are in the bucket."""
    stack.arena.settle()
    stack.arena.set(**CALM)
    subscriber = stack.subscribe("deliveries", COMPLETED, DELIVERED)
    stack.arena.plan(contents=[{"kind": "zip", "size": ZIP_BYTES, "title": "Everything"}])
    stack.arena.plan(contents=[{"kind": "json"}])
    stack.arena.fault(method="GET", download=BROKEN_DOWNLOAD)
    downloads = _count(stack, "download")
    stack.send(ITEMS[0])
    stack.wait_until("the download", lambda: _count(stack, "download") > downloads)
    stack.send(ITEMS[1])
    logins = _count(stack, "login")
    reply = requests.post(f"{stack.arena_url}/login", json=CREDENTIALS, timeout=10)
    reply.raise_for_status()
    stack.wait_until("two deliveries", lambda: _is_delivered(subscriber), PATIENCE_SECONDS)
    function = stack.resources["DeliverFunction"]
    events = sorted(_of_type(subscriber, DELIVERED), key=_size, reverse=True)
    yield Delivered(
        stack,
        events,
        [f"{event.type} {event.data['runGuid']}" for event in subscriber.events],
        _count(stack, "login") - logins,
        peak_bytes(function),
    )
    _empty(stack)


def _count(stack: Stack, purpose: str) -> int:
    return stack.arena.state().requests.get(purpose, 0)


def _is_delivered(subscriber: Subscriber) -> bool:
    for received in subscriber.receive():
        validate_event(received.event, received.attributes)
    return len(_of_type(subscriber, DELIVERED)) == len(ITEMS)


def _of_type(subscriber: Subscriber, type_: str) -> list[ReceivedEvent]:
    return [event for event in subscriber.events if event.type == type_]


def _size(event: ReceivedEvent) -> int:
    return sum(file["size"] for file in event.data["files"])


def _empty(stack: Stack) -> None:
    """Remove the objects, which the embedded AWS holds in memory."""
    s3, bucket = stack.clients.s3, stack.outputs["DeliveryBucketName"]
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def test_delivered_events__describe_the_files(delivered: Delivered) -> None:
    """Each event names its file, the manifest and its hash, and the requests of its run."""
    large, small = delivered.events
    for event, kind in ((large, "zip"), (small, "json")):
        (file,) = event.data["files"]
        assert event.data["bucket"] == delivered.bucket
        assert file["key"].endswith(f"/{file['guid']}.{kind}")
        assert event.data["undeliverable"] == []
        assert [request["openCount"] for request in event.data["requests"]] == [0]
        manifest = delivered.read(event.data["manifestKey"])
        assert hashlib.sha256(manifest).hexdigest() == event.data["manifestSha256"]
    assert large.data["files"][0]["title"] == "Everything"
    assert large.data["files"][0]["size"] == ZIP_BYTES


def test_objects__are_whole_and_written_once(delivered: Delivered) -> None:
    """Each key has one version, the manifest's, with the content that Arena has."""
    for event in delivered.events:
        manifest = delivered.manifest(event)
        assert manifest["complete"]
        (file,) = manifest["files"]
        listed = delivered.stack.clients.s3.list_object_versions(
            Bucket=delivered.bucket, Prefix=file["key"]
        )
        assert [version["VersionId"] for version in listed["Versions"]] == [file["versionId"]]
        body = delivered.read(file["key"])
        assert len(body) == file["size"]
        assert hashlib.sha256(body).hexdigest() == file["sha256"]
        assert file["sha256"] == _sha256_at_arena(delivered.stack, event)


def test_large_file__is_uploaded_in_parts_with_little_memory(delivered: Delivered) -> None:
    """The zip was a multipart upload, of which nothing is left, in less than 200 MB."""
    s3 = delivered.stack.clients.s3
    (file,) = delivered.events[0].data["files"]
    etag = s3.head_object(Bucket=delivered.bucket, Key=file["key"])["ETag"]
    assert etag.strip('"').endswith(f"-{-(-ZIP_BYTES // PART_BYTES)}")
    assert s3.list_multipart_uploads(Bucket=delivered.bucket).get("Uploads", []) == []
    assert delivered.peak_memory < MAX_MEMORY_BYTES


def test_download__outlives_a_login_of_somebody_else(delivered: Delivered) -> None:
    """The session is renewed once, and the file is delivered nevertheless."""
    assert delivered.logins == 2  # somebody else's, and ours


def test_next_run__does_not_wait_for_the_download(delivered: Delivered) -> None:
    """The second run completes before the files of the first one are in the bucket."""
    large, small = (event.data["runGuid"] for event in delivered.events)
    assert delivered.order.index(f"{COMPLETED} {small}") < delivered.order.index(
        f"{DELIVERED} {large}"
    )


def _sha256_at_arena(stack: Stack, event: ReceivedEvent) -> str:
    """Return the SHA-256 of a file as a holder of the session downloads it."""
    secret_arn = stack.outputs["SessionSecretArn"]
    secret = stack.clients.secrets.get_secret_value(SecretId=secret_arn)
    session_id = json.loads(secret["SecretString"])["arenaSessionId"]
    headers = {"arena_session_id": session_id, "Content-Type": "application/json"}
    data = event.data
    run = f"{stack.arena_url}/exports/{data['exportGuid']}/runs/{data['runGuid']}"
    digest = hashlib.sha256()
    address = f"{run}/files/{data['files'][0]['guid']}/content"
    with requests.get(address, headers=headers, stream=True, timeout=30) as reply:
        reply.raise_for_status()
        for piece in reply.iter_content(MB):
            digest.update(piece)
    return digest.hexdigest()
