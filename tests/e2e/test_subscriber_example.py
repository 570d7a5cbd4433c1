"""The subscriber of `infra/examples/subscriber`, built and deployed beside the stack."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from infra.local import sam
from infra.local.demo.tally import DELIVERED
from infra.local.launch import DEFAULTS
from infra.local.logs import function_lines
from infra.local.paths import BUILD, ROOT
from infra.local.subscriber import drain
from tests.e2e.conftest import CALM
from tests.events import sqs_record
from tests.support.memory import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.local.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

NAME = "subscriber-example"
SOURCES = ROOT / "infra" / "examples" / "subscriber"
MB = 1_000_000
FILE_BYTES = 50 * MB
MAX_MEMORY_BYTES = 110 * MB  # some 60 MB without a file
PATIENCE_SECONDS = 120
ITEM = "SUBSCRIBER0000000001"


@dataclass(slots=True)
class Example:
    """The deployed example, and the event of a run with two files that it received."""

    stack: Stack
    event: dict[str, Any]

    def send(self, *events: Mapping[str, Any]) -> None:
        """Put events on the example's queue, as the topic does."""
        for event in events:
            self.stack.clients.sqs.send_message(
                QueueUrl=self.stack.outputs["QueueUrl"], MessageBody=json.dumps(event)
            )

    def invoke(self, *events: Mapping[str, Any]) -> list[str]:
        """Invoke the function with a batch; return the ids of the messages that failed."""
        records = [sqs_record(event["id"], json.dumps(event), 0) for event in events]
        answer = self.stack.invoke("SubscriberFunction", {"Records": records})
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def another(self, delivery: int, part: int = 1, parts: int = 1, **data: Any) -> dict[str, Any]:
        """Return the event of a later delivery of the same run, with changed data."""
        event_id = f"{self.event['data']['runGuid']}/delivered/{delivery}/{part}"
        changed = {**self.event["data"], "part": part, "parts": parts, **data}
        return {**self.event, "id": event_id, "data": changed}

    def used(self) -> list[dict[str, Any]]:
        """Return what the function logged about each file that it used."""
        return used_files(self.stack)

    def wait_for_used(self, count: int) -> None:
        """Wait until so many files were used."""
        self.stack.wait_until("used files", lambda: len(self.used()) >= count, PATIENCE_SECONDS)
        assert len(self.used()) == count


def used_files(stack: Stack) -> list[dict[str, Any]]:
    """Return the example's log lines about files."""
    group = f"/aws/lambda/{stack.resources['SubscriberFunction']}"
    lines = [line for line in function_lines(stack.clients, group) if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["message"] == "file used"]


@pytest.fixture(scope="module")
def example(stack: Stack) -> Iterator[Example]:
    """The example, deployed as its README says; it has used the files of one run."""
    built = BUILD.parent / NAME
    sam.build(SOURCES, built)
    parameters = {
        "OutcomeTopicArn": stack.outputs["OutcomeTopicArn"],
        "DeliveryBucketName": stack.outputs["DeliveryBucketName"],
        "Runtime": DEFAULTS["Runtime"],
    }
    sam.deploy(stack.endpoint, NAME, parameters, built)
    deployed = replace(stack, name=NAME)
    try:
        yield _with_a_run(stack, deployed)
    finally:
        stack.clients.sns.unsubscribe(SubscriptionArn=deployed.resources["Subscription"])


def _with_a_run(stack: Stack, deployed: Stack) -> Example:
    stack.arena.settle()
    stack.arena.set(**CALM)
    watcher = stack.subscribe(f"{NAME}-watcher", DELIVERED)
    stack.arena.plan(contents=[{"kind": "csv", "size": FILE_BYTES}, {"kind": "json"}])
    stack.send(ITEM)
    (received,) = stack.wait_until("the delivery", watcher.receive, PATIENCE_SECONDS)
    stack.wait_until("its files used", lambda: len(used_files(deployed)) >= 2, PATIENCE_SECONDS)
    return Example(deployed, dict(received.event))


def test_example__reads_each_file_as_a_stream(example: Example) -> None:
    """The files of a delivered run are read to their ends, and never held as a whole."""
    used = example.used()[:2]
    files = {file["key"]: file["size"] for file in example.event["data"]["files"]}
    assert {line["key"]: line["result"]["bytes"] for line in used} == files
    assert max(files.values()) == FILE_BYTES
    assert max(line["result"]["lines"] for line in used) > 100_000
    assert peak_bytes(example.stack.resources["SubscriberFunction"]) < MAX_MEMORY_BYTES


def test_example__drops_an_event_that_it_has_handled(example: Example) -> None:
    """The same source and id lead to nothing, in the queue or in one batch with a new event."""
    before = len(example.used())
    new = example.another(2)
    example.send(example.event)
    assert example.invoke(example.event, new, new) == []
    example.send(new)
    example.stack.wait_until("an empty queue", lambda: _is_empty(example.stack, "QueueUrl"))
    example.wait_for_used(before + 2)


def test_example__acts_once_all_parts_have_arrived(example: Example) -> None:
    """Parts may come in any order and twice; the files are used once, after the last part."""
    before = len(example.used())
    first, second = (example.another(3, part, 2) for part in (1, 2))
    assert example.invoke(second, second) == []
    assert len(example.used()) == before
    assert example.invoke(first) == []
    assert example.invoke(second, first) == []
    example.wait_for_used(before + 2)


def test_example__refuses_what_is_not_what_was_announced(example: Example) -> None:
    """A manifest or a file with another hash fails its own message, and not its neighbours."""
    before = len(example.used())
    forged = example.another(4, manifestSha256="0" * 64)
    good = example.another(5)
    assert example.invoke(forged, good) == [forged["id"]]
    example.wait_for_used(before + 2)
    data = example.event["data"]
    *_, last = data["files"]
    example.stack.clients.s3.put_object(Bucket=data["bucket"], Key=last["key"], Body=b"[1]")
    changed = example.another(6)
    assert example.invoke(changed, example.event) == [changed["id"]]


def test_example__sends_what_always_fails_to_its_dead_letter_queue(example: Example) -> None:
    """An event that fails each time is kept for the operator."""
    outputs = example.stack.outputs
    example.stack.clients.sqs.set_queue_attributes(
        QueueUrl=outputs["QueueUrl"],
        Attributes={"VisibilityTimeout": "1"},  # not half an hour
    )
    forged = example.another(7, manifestSha256="0" * 64)
    example.send(forged)
    letters = example.stack.wait_until(
        "a dead letter",
        lambda: drain(example.stack.clients, outputs["DeadLetterQueueUrl"]),
        PATIENCE_SECONDS,
    )
    assert [json.loads(letter["Body"]) for letter in letters] == [forged]


def _is_empty(stack: Stack, output: str) -> bool:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.clients.sqs.get_queue_attributes(
        QueueUrl=stack.outputs[output], AttributeNames=names
    )
    return not any(int(found["Attributes"][name]) for name in names)
