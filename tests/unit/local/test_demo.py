"""The demo's messages, its checks, and its output."""

import hashlib
import io
import json
import random
import re
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from arena_exports.domain.messages import IntakeRules, parse_message
from infra.local.arena import ArenaState
from infra.local.demo import bucket, samples, tables
from infra.local.demo.bucket import StoredObject
from infra.local.demo.display import Display
from infra.local.demo.main import Demo
from infra.local.demo.samples import MALFORMED, Sample
from infra.local.demo.tally import COMPLETED, DELIVERED, REJECTED, Tally
from infra.local.demo.watch import Snapshot, event_line
from infra.local.stack import DeadLetter
from infra.local.subscriber import ReceivedEvent
from infra.simulator.names import DEFAULT_EXPORT_GUID, DEFINITION_EXPORT_GUID

RULES = IntakeRules("default", DEFAULT_EXPORT_GUID)
ITEM, OTHER = samples.DOCUMENTED_GUIDS


def completed(run: str, item_guids: list[str], *request_ids: str) -> ReceivedEvent:
    """Make an event of a completed run."""
    requests = [{"requestId": request_id} for request_id in request_ids]
    data = {"runGuid": run, "exportGuid": DEFAULT_EXPORT_GUID, "itemGuids": item_guids}
    return received(COMPLETED, data | {"requests": requests, "fileGuids": ["FILE"]})


def stored(key: str, body: bytes) -> StoredObject:
    """Make an object of the bucket."""
    return StoredObject(key, body, hashlib.sha256(body).hexdigest())


FILE = stored("arena/v1/run/FILE.zip", b"PK")
FILE_DATA = {"key": FILE.key, "sha256": FILE.sha256, "size": 2, "guid": "FILE"}
MANIFEST = stored(
    "arena/v1/run/manifest.json",
    json.dumps({"files": [FILE_DATA], "requests": [{"itemGuids": ["A", "B", "C"]}]}).encode(),
)


def delivered(run: str, **changes: Any) -> ReceivedEvent:
    """Make an event of a delivered run."""
    data = {
        "runGuid": run,
        "runNumber": 7,
        "exportGuid": DEFAULT_EXPORT_GUID,
        "manifestKey": MANIFEST.key,
        "manifestSha256": MANIFEST.sha256,
        "files": [FILE_DATA],
    }
    return received(DELIVERED, data | changes)


def received(kind: str, data: dict[str, Any]) -> ReceivedEvent:
    """Make an event."""
    return ReceivedEvent({"type": kind, "data": data}, {}, 0)


@pytest.fixture
def tally() -> Tally:
    """A tally of two requests that share a GUID."""
    tally = Tally()
    tally.sent(["1", "2"], [Sample("list", "", (ITEM,)), Sample("list", "", (ITEM, OTHER))])
    return tally


def test_samples__mean_what_they_say() -> None:
    """The intake reads the same GUIDs from each sample as the demo expects."""
    for sample in [samples.documented(), *samples.of_every_form(random.Random(1), 100)]:
        request = parse_message("id", sample.body, RULES)
        assert request is not None
        assert set(request.item_guids) == set(sample.item_guids)


def test_samples__are_the_same_for_the_same_seed() -> None:
    """Two demos send the same messages."""
    first, second = (samples.of_every_form(random.Random(1), 50) for _ in range(2))
    assert first == second


def test_samples__repeat_some_guids() -> None:
    """Some GUIDs are requested twice, as in real life."""
    made = samples.of_every_form(random.Random(1), 100)
    assert len(samples.distinct_guids(made)) < sum(len(sample.item_guids) for sample in made)


def test_tally__a_guid_counts_for_the_requests_that_the_run_names(tally: Tally) -> None:
    """A run for an earlier request does not account for a later one with the same GUID."""
    tally.received([completed("R1", [ITEM], "1")])
    assert tally.unaccounted() == {"2": {ITEM, OTHER}}


def test_tally__parts_of_one_run_belong_together(tally: Tally) -> None:
    """Requests in one part and GUIDs in another belong to the same run."""
    tally.received([completed("R1", [ITEM], "1", "2"), completed("R1", [OTHER])])
    assert tally.unaccounted() == {}
    assert tally.exported_guids() == tally.sent_guids()


def test_tally__definition_runs_have_no_guids(tally: Tally) -> None:
    """A run without GUIDs counts as a run of its definition."""
    tally.received([completed("R1", [], "3")])
    assert tally.definition_runs() == [DEFAULT_EXPORT_GUID]


def test_tally__knows_which_runs_wait_for_their_files(tally: Tally) -> None:
    """A completed run is delivered by its own event alone, so many seconds later."""
    tally.received([completed("R1", [ITEM], "1"), completed("R2", [OTHER], "2")], 3.0)
    tally.received([delivered("R1")], 5.5)
    assert tally.undelivered() == {"R2"}
    assert tally.delivery_seconds() == {"R1": 2.5}
    assert tally.problems == []


@pytest.mark.parametrize(
    ("objects", "changes", "problem"),
    [
        ([FILE, MANIFEST], {}, ""),
        ([MANIFEST], {}, "FILE.zip has the SHA-256 None"),
        ([stored(FILE.key, b"PQ"), MANIFEST], {}, "FILE.zip has the SHA-256"),
        ([FILE, stored(MANIFEST.key, b'{"files": []}')], {}, "name other files"),
        ([FILE, MANIFEST, stored("arena/v1/run/more.zip", b"PK")], {}, "more.zip"),
        ([FILE, MANIFEST], {"manifestSha256": "0"}, "manifest.json has the SHA-256"),
        ([FILE, MANIFEST], {"files": []}, "name other files"),
    ],
)
def test_bucket__is_compared_with_the_events(
    objects: list[StoredObject], changes: dict[str, Any], problem: str
) -> None:
    """Objects, manifests and events must agree about every hash."""
    by_key = {each.key: each for each in objects}
    found = "\n".join(bucket.problems(by_key, [delivered("R1", **changes).data]))
    assert problem in found
    assert bool(found) is bool(problem)


def test_tables__show_the_bucket() -> None:
    """The sizes and hashes are whole numbers and beginnings, also on a narrow console."""
    console = Console(width=80, record=True, file=io.StringIO())
    name = "00000001-C1VM60JFI7WQ1CG1RNC0/P71ZBL1Y581YK69TOHW2.zip"
    console.print(tables.object_table([stored(f"arena/v1/{name}", b"x" * 23_406)]))
    assert f"{name}  23,406" in console.export_text()
    assert '"… 1 more"' in tables.example_manifest(MANIFEST)


def test_tally__any_other_event_is_a_problem(tally: Tally) -> None:
    """A failed run is a problem, because the demo expects none."""
    tally.received([received("arena.export.run.failed", {"runGuid": "R1"})])
    assert tally.problems == ["arena.export.run.failed for run R1"]


@pytest.mark.parametrize(
    ("rejected", "letters", "problems"),
    [
        (["bad"], [DeadLetter(MALFORMED, {"requestId": "bad"})], 0),
        ([], [DeadLetter(MALFORMED, {"requestId": "bad"})], 1),
        (["bad", "good"], [DeadLetter(MALFORMED, {"requestId": "bad"})], 1),
        (["bad"], [], 1),
        (["bad"], [DeadLetter("changed", {"requestId": "bad"})], 1),
    ],
)
def test_tally__checks_the_rejection(
    tally: Tally, rejected: list[str], letters: list[DeadLetter], problems: int
) -> None:
    """Only the malformed message may be rejected, with its own body."""
    tally.received([received(REJECTED, {"requestId": request_id}) for request_id in rejected])
    tally.check_rejection("bad", MALFORMED, letters)
    assert len(tally.problems) == problems


def test_display__prints_the_state_only_if_it_changed() -> None:
    """Without a terminal, the state is not printed again while it is the same."""
    console = Console(width=200, record=True, file=io.StringIO())
    arena = ArenaState({"login": 1}, {}, [], 9_997)
    with Display(console) as display:
        for seconds, exported in ((6.0, 1), (12.0, 1), (18.0, 2), (24.0, 2)):
            display.update(Snapshot(seconds, 0, 2, exported, arena), [])
    assert re.findall(r"([\d.]+) s  State .* (\d) of 2", console.export_text()) == [
        ("6.0", "1"),
        ("18.0", "2"),
    ]


class FakeStack:
    """A stack that accepts every message and never makes its caller wait."""

    def __init__(self) -> None:
        """Start to number the messages."""
        self._message_ids = map(str, count(1))

    def send(self, *bodies: object) -> list[str]:
        """Return an id for each message."""
        return [next(self._message_ids) for _ in bodies]

    def wait_until(self, *_arguments: object) -> None:
        """Return at once."""

    def dead_letters(self) -> list[DeadLetter]:
        """Return nothing."""
        return []


@pytest.mark.parametrize("scheduled_run", [True, False])
def test_demo__says_that_it_waits_for_the_scheduled_run(
    tally: Tally, *, scheduled_run: bool
) -> None:
    """The demo names the scheduled run, which may start a minute after the others ended."""
    if scheduled_run:
        run = completed("R1", [], "3")
        run.event["data"]["exportGuid"] = DEFINITION_EXPORT_GUID
        tally.received([run])
    console = Console(width=200, record=True, file=io.StringIO())
    watcher: Any = SimpleNamespace(tally=tally, started=0.0)
    stack: Any = FakeStack()
    Demo(stack, Display(console), watcher).play()
    assert ("waiting for the scheduled run" in console.export_text()) is not scheduled_run


def test_tables__add_up_the_samples() -> None:
    """The last row has the sums of the columns; a shortened text ends with an ellipsis."""
    made = samples.of_every_form(random.Random(1), 40)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.sample_table(made))
    rows = re.findall(r"^(.+?) +(\d+) +(\d+) +(.+?) *$", console.export_text(), re.MULTILINE)
    *forms, last = [(int(messages), int(guids)) for _, messages, guids, _ in rows]
    assert len(forms) == 10
    assert last == (sum(n for n, _ in forms), sum(n for _, n in forms))
    assert rows[-1][3].startswith(f"{len(samples.distinct_guids(made))} distinct GUIDs")
    assert rows[0][3].endswith("…")


def test_event_line__names_the_definition_of_a_run() -> None:
    """The line names the definition, because run numbers are not unique across definitions."""
    run = completed("R1", [], "1")
    line = event_line(replace(run, event={**run.event, "data": {**run.data, "runNumber": 7}}))
    assert line.endswith(f"run 7 of {DEFAULT_EXPORT_GUID}, its own criteria for 1 request")


def test_tables__show_what_came_out(tally: Tally) -> None:
    """The tables show the events and a summary, also on a narrow console without colours."""
    events = [completed("R1", [ITEM, OTHER], "1", "2"), completed("R2", [], "3"), delivered("R1")]
    tally.received(events[:2], 1.0)
    tally.received(events[2:], 3.0)
    arena = ArenaState({"login": 1, "submit": 2, "poll": 1}, {}, [], 9_997)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.event_table(events))
    console.print(tables.summary_table(tally, Snapshot(9.0, 0, 2, 2, arena), 30.0))
    text = console.export_text()
    assert "2 GUIDs for 2 requests" in text
    assert "own criteria for 1 request" in text
    assert re.search(r"GUIDs in +2 +distinct; requested 3 times in 2 messages", text)
    assert re.search(r"GUIDs exported +2 +distinct; 2 in all runs", text)
    assert re.search(r"run.delivered +1 file of 2 bytes +FILE", text)
    assert re.search(r"Files delivered +1 +2 bytes, and 1 manifest; 2.0 to 2.0 s after", text)
    assert re.search(r"Arena requests +3 +1 login \(free\), 2 runs started, 1 poll", text)
    assert "9,997 left today" in text
    assert DEFINITION_EXPORT_GUID not in text
