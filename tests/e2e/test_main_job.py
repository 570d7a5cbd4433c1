"""The main job on the deployed stack: from messages on the queue to events on the topic."""

import io
import json
import random
import zipfile
from collections.abc import Callable

import pytest
import requests
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from infra.local.demo import samples
from infra.local.demo.tally import COMPLETED, Tally
from infra.simulator.names import DEFAULT_EXPORT_GUID, DEFINITION_EXPORT_GUID
from tests.e2e.conftest import MAX_ITEMS_PER_RUN, Case

pytestmark = pytest.mark.e2e
NewGuids = Callable[[int], list[str]]

MAX_EVENT_BYTES = 256 * 1024


def test_request__becomes_an_event_with_a_file_that_can_be_fetched(
    case: Case, new_guids: NewGuids
) -> None:
    """One request leads to one run and one CloudEvent, whose file can be fetched."""
    item_guids = new_guids(3)
    body = {"itemGuids": item_guids, "correlationId": "ECO-000023"}
    (request_id,) = case.stack.send(body)
    (received,) = case.wait_for_events(1)
    (run,) = case.runs
    data = received.data
    JSONFormat().read(CloudEvent, json.dumps(received.event))
    assert received.event["source"] == f"/arena/default/exports/{DEFAULT_EXPORT_GUID}"
    assert received.event["id"] == f"{run.guid}/1"
    assert received.event["subject"] == run.guid
    assert sorted(data["itemGuids"]) == sorted(item_guids)
    assert data["requests"] == [
        {"requestId": request_id, "correlationId": "ECO-000023", "itemCount": 3, "openCount": 0}
    ]
    assert received.attributes == {
        "type": COMPLETED,
        "workspace": "default",
        "exportGuid": DEFAULT_EXPORT_GUID,
        "status": "COMPLETE",
    }
    assert zipfile.is_zipfile(io.BytesIO(_fetch(case, data["files"][0]["contentPath"])))


def test_requests_during_a_run__share_the_next_one(case: Case, new_guids: NewGuids) -> None:
    """Requests that arrive during a run share the next one, even for the same GUID."""
    early, late = new_guids(1)[0], new_guids(5)
    case.stack.arena.plan(runningSeconds=4)
    case.stack.send(early)
    case.wait_for_run("RUNNING")
    case.stack.send(early, *late)
    first, second = case.wait_for_events(2)
    assert first.data["itemGuids"] == [early]
    assert sorted(second.data["itemGuids"]) == sorted([early, *late])
    assert [run.items for run in case.runs] == [1, 6]


def test_burst__is_exported_in_few_runs_without_a_3144(case: Case, new_guids: NewGuids) -> None:
    """A burst of 1,000 messages, a tenth of them duplicates, needs at most 4 runs."""
    distinct = new_guids(900)
    doubles = random.Random(1000).sample(distinct, 100)
    message_ids = case.stack.send(*distinct, *doubles)
    tally = Tally()
    bodies = [*distinct, *doubles]
    tally.sent(message_ids, [samples.Sample("bare GUID", guid, (guid,)) for guid in bodies])

    def all_accounted_for(_: object) -> bool:
        tally.received(case.events)
        return not tally.unaccounted()

    case.wait_for("every request exported", all_accounted_for, 120)
    assert len(case.runs) <= 4
    assert "3144" not in case.stack.arena.state().codes
    assert not case.stack.dead_letters()


def test_every_form__is_exported(case: Case) -> None:
    """A message of every accepted form is exported, with or without an envelope."""
    messages = [samples.documented(), *samples.of_every_form(random.Random(2), 20)]
    message_ids = case.stack.send(*(message.body for message in messages))
    tally = Tally()
    tally.sent(message_ids, messages)

    def all_accounted_for(_: object) -> bool:
        tally.received(case.events)
        return not tally.unaccounted()

    case.wait_for("every request exported", all_accounted_for)
    assert tally.problems == []
    assert tally.rejected == set()


def test_definition_run__has_no_items(case: Case) -> None:
    """A request without itemGuids runs the definition with its own criteria."""
    (request_id,) = case.stack.send({"exportGuid": DEFINITION_EXPORT_GUID})
    # A new definition may wait a minute for its first POST, and then for a reconcile.
    (received,) = case.wait_for_events(1, 150)
    assert received.data["exportGuid"] == DEFINITION_EXPORT_GUID
    assert received.data["itemGuids"] == []
    assert [request["requestId"] for request in received.data["requests"]] == [request_id]


def test_large_message__is_published_in_parts_that_fit(case: Case, new_guids: NewGuids) -> None:
    """20,000 GUIDs in one message are published in numbered parts, each GUID once."""
    item_guids = new_guids(MAX_ITEMS_PER_RUN)
    case.stack.send({"itemGuids": item_guids})
    events = case.wait_for(
        "every part", lambda events: bool(events) and len(events) == events[0].data["parts"], 120
    )
    exported = [guid for event in events for guid in event.data["itemGuids"]]
    assert sorted(exported) == sorted(item_guids)
    assert sorted(event.data["part"] for event in events) == list(range(1, len(events) + 1))
    assert len({event.event["id"] for event in events}) == len(events) > 1
    assert all(event.size_bytes <= MAX_EVENT_BYTES for event in events)
    assert [run.items for run in case.runs] == [MAX_ITEMS_PER_RUN]


def test_downloaded_run__counts_as_completed(case: Case, new_guids: NewGuids) -> None:
    """A run whose file was fetched between two polls is published."""
    steps = [{"status": "CREATED", "seconds": 0.5}, {"status": "DOWNLOADED"}]
    case.stack.arena.plan(steps=steps)
    case.stack.send(*new_guids(1))
    (received,) = case.wait_for_events(1)
    assert received.type == COMPLETED
    assert received.attributes["status"] == received.data["status"] == "DOWNLOADED"


def test_reconcile_message__is_no_request(case: Case) -> None:
    """An operator's reconcile message leads to no run and no event."""
    case.stack.send({"action": "reconcile"})
    case.stack.wait_until_idle()
    assert case.wait_for_events(0) == []
    assert case.runs == []
    assert not case.stack.dead_letters()


def _fetch(case: Case, content_path: str) -> bytes:
    """Fetch a file of a run as a holder of the session does."""
    secret_arn = case.stack.outputs["SessionSecretArn"]
    secret = case.stack.clients.secrets.get_secret_value(SecretId=secret_arn)
    session_id = json.loads(secret["SecretString"])["arenaSessionId"]
    headers = {"arena_session_id": session_id, "Content-Type": "application/json"}
    reply = requests.get(f"{case.stack.arena_url}{content_path}", headers=headers, timeout=10)
    reply.raise_for_status()
    return reply.content
