"""The tables of `make run`: the sample messages, the events, and a summary."""

import json
from collections.abc import Iterable, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from infra.local.demo import bucket
from infra.local.demo.bucket import StoredObject
from infra.local.demo.samples import Sample, distinct_guids
from infra.local.demo.tally import COMPLETED, DELIVERED, REJECTED, Tally, contents, files, plural
from infra.local.demo.watch import PREFIX, Snapshot
from infra.local.subscriber import ReceivedEvent

LOGIN = "login"
FREE = "(free)"
"""Arena does not count logins against the day's requests."""
_PURPOSES = {
    LOGIN: (f"login {FREE}", f"logins {FREE}"),
    "submit": ("run started", "runs started"),
    "poll": ("poll", "polls"),
    "list": ("search for a run", "searches for a run"),
    "download": ("download", "downloads"),
}
_EXAMPLE_LENGTH = 32
_EVENT_COLOURS = {COMPLETED: "green", DELIVERED: "blue", REJECTED: "yellow"}
SHOWN_ITEMS = 2
SHOWN_HEX = 12


def arena_requests(snapshot: Snapshot) -> str:
    """Return the number of Arena requests by purpose, and how many are left today."""
    counts = snapshot.arena.requests.items()
    words = [f"{n} {_PURPOSES.get(purpose, (purpose,) * 2)[n != 1]}" for purpose, n in counts]
    return f"{', '.join(words) or 'no requests'}; {snapshot.arena.budget_left:,} left today"


def sample_table(samples: Sequence[Sample]) -> Table:
    """Return the forms of the sample messages, with an example of each."""
    table = _table("Sample messages in every form that the intake queue accepts")
    table.add_column("form", no_wrap=True)
    table.add_column("messages", justify="right", width=8)
    table.add_column("GUIDs", justify="right", width=5)
    table.add_column("example", overflow="ellipsis", no_wrap=True, style="dim")
    for form in dict.fromkeys(sample.form for sample in samples):
        of_form = [sample for sample in samples if sample.form == form]
        example = escape(_shortened_body(of_form[0]))
        table.add_row(form, str(len(of_form)), _guid_count(of_form), example)
    distinct = f"{len(distinct_guids(samples))} distinct GUIDs"
    table.add_row("total", str(len(samples)), _guid_count(samples), distinct, style="bold")
    return table


def event_table(received: Sequence[ReceivedEvent]) -> Table:
    """Return the events that the subscriber received."""
    table = _table("Events that a subscriber of the topic received")
    table.add_column("type arena.export.…", no_wrap=True)
    table.add_column("contents", no_wrap=True)
    table.add_column("files or reason", overflow="fold")
    for event in received:
        table.add_row(*_event_cells(event))
    return table


def example_event(received: Sequence[ReceivedEvent]) -> str:
    """Return the event of a completed run as JSON, with long lists shortened."""
    event = next(each.event for each in reversed(received) if each.data.get("itemGuids"))
    return _json(_shortened(event))


def object_table(objects: Iterable[StoredObject]) -> Table:
    """Return the objects of the bucket, with their sizes and hashes."""
    table = _table("Objects in the bucket: the files of each run, and its manifest")
    table.add_column("key …/run/file", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("SHA-256", no_wrap=True, style="dim")
    for stored in objects:
        size, sha256 = f"{len(stored.body):,}", f"{stored.sha256[:SHOWN_HEX]}…"
        table.add_row(bucket.short(stored.key), size, sha256)
    return table


def example_manifest(stored: StoredObject) -> str:
    """Return a manifest as JSON, with long lists shortened."""
    return _json(_shortened(json.loads(stored.body)))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _guid_count(samples: Sequence[Sample]) -> str:
    return str(sum(len(sample.item_guids) for sample in samples))


def _shortened_body(sample: Sample) -> str:
    text = " ".join(sample.body.split())
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}…"


def _event_cells(received: ReceivedEvent) -> tuple[str, ...]:
    data, colour = received.data, _EVENT_COLOURS.get(received.type, "red")
    name = received.type.removeprefix(PREFIX)
    if received.type == REJECTED:
        return f"[{colour}]{name}[/]", "1 message", escape(data["error"]["message"])
    if received.type == DELIVERED:
        return f"[{colour}]{name}[/]", files(data), " ".join(file["guid"] for file in data["files"])
    file_guids = " ".join(data.get("fileGuids", ())) or escape(str(data.get("error")))
    return f"[{colour}]{name}[/]", contents(data), file_guids


def _shortened(value: object) -> object:
    """Shorten the lists in a value, at any depth."""
    if isinstance(value, Mapping):
        return {name: _shortened(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    more = len(value) - SHOWN_ITEMS
    shown = [_shortened(inner) for inner in value[:SHOWN_ITEMS]]
    return [*shown, f"… {more} more"] if more > 0 else shown


def _table(title: str) -> Table:
    style = "bold"
    return Table(
        title=title, title_justify="left", title_style=style, box=None, padding=(0, 2, 0, 0)
    )


def summary_table(tally: Tally, last: Snapshot, total_seconds: float) -> Table:
    """Return what went in, what came out, and what it cost."""
    table = _table("Summary")
    table.show_header = False
    table.add_column(style="bold")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    sent, exported = tally.sent_guids(), tally.exported_guids()
    requests = sum(n for purpose, n in last.arena.requests.items() if purpose != LOGIN)
    aside = f"{total_seconds:.0f} with build, deployment, and clean-up"
    times = f"distinct; requested {tally.requested_count()} times in {len(tally.requests)} messages"
    table.add_row("GUIDs in", str(len(sent)), times)
    runs = f"distinct; {tally.exported_count()} in all runs, because some were requested again"
    table.add_row("GUIDs exported", str(len(sent & exported)), runs)
    table.add_row("Rejected", str(len(tally.rejected)), "the malformed message")
    table.add_row("Runs", str(len(last.arena.runs)), "one of them started by the schedule")
    table.add_row("Files delivered", *_delivered(tally))
    table.add_row("Arena requests", str(requests), arena_requests(last))
    table.add_row("Seconds", f"{last.seconds:.0f}", aside)
    return table


def _delivered(tally: Tally) -> tuple[str, str]:
    """Return the number of files in the bucket, and how soon they were there."""
    files = [file for one in tally.deliveries.values() for file in one.data["files"]]
    size = sum(file["size"] for file in files)
    seconds = tally.delivery_seconds().values()
    when = f"{min(seconds, default=0):.1f} to {max(seconds, default=0):.1f} s after run.completed"
    manifests = plural(len(tally.deliveries), "manifest")
    return str(len(files)), f"{size:,} bytes, and {manifests}; {when}"
