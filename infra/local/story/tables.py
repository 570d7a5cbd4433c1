"""The tables of `make run`: the sample messages, the events, and the sum of it all."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from infra.local.story.samples import Sample, distinct_guids
from infra.local.story.tally import COMPLETED, REJECTED, Tally
from infra.local.story.watch import Snapshot
from infra.local.subscriber import ReceivedEvent

_PURPOSES = {
    "login": ("login", "logins"),
    "submit": ("run started", "runs started"),
    "poll": ("poll", "polls"),
    "list": ("look at the runs", "looks at the runs"),
}
_EXAMPLE_LETTERS = 54


def arena_requests(snapshot: Snapshot) -> str:
    """Say in words which requests Arena has had, and how many are left today."""
    counts = snapshot.arena.requests.items()
    words = [f"{n} {_PURPOSES.get(purpose, (purpose,) * 2)[n != 1]}" for purpose, n in counts]
    return f"{', '.join(words) or 'no requests'}; {snapshot.arena.budget_left:,} left today"


def of_samples(samples: Sequence[Sample]) -> Table:
    """Show the forms of the sample messages, with an example of each."""
    table = Table(title="The sample messages", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header, justify in (("form", "left"), ("messages", "right"), ("GUIDs", "right")):
        table.add_column(header, justify=justify)  # type: ignore[arg-type]  # a literal
    table.add_column("example", overflow="ellipsis", no_wrap=True, style="dim")
    for form in dict.fromkeys(sample.form for sample in samples):
        of_form = [sample for sample in samples if sample.form == form]
        example = " ".join(of_form[0].body.split())[:_EXAMPLE_LETTERS]
        guids = str(len(distinct_guids(of_form)))
        table.add_row(form, str(len(of_form)), guids, escape(example))
    return table


def events(events: Sequence[ReceivedEvent]) -> Table:
    """Show the events that the subscriber received."""
    table = Table(title="The events received", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header in ("type", "status", "subject", "GUIDs", "requests", "files or reason"):
        table.add_column(header, justify="right" if header in {"GUIDs", "requests"} else "left")
    for event in events:
        table.add_row(*_event_cells(event))
    return table


def _event_cells(received: ReceivedEvent) -> tuple[str, ...]:
    data, colour = received.data, {COMPLETED: "green", REJECTED: "yellow"}.get(received.type, "red")
    error = data.get("error")
    last = error["message"] if error else " ".join(data["fileGuids"])
    return (
        f"[{colour}]{received.type}[/]",
        received.attributes.get("status", ""),
        str(received.event["subject"]),
        str(len(data["itemGuids"])),
        str(len(data.get("requests", ()))),
        escape(str(last)),
    )


def closing(tally: Tally, last: Snapshot, total_seconds: float) -> Table:
    """Sum up what went in, what came out, and what it cost."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    sent, exported = tally.sent_guids(), tally.exported_guids()
    requests = sum(last.arena.requests.values())
    aside = f"{total_seconds:.0f} with build, deployment and clean-up"
    table.add_row("GUIDs in", str(len(sent)), f"in {len(tally.requests)} messages")
    table.add_row("GUIDs exported", str(len(sent & exported)), "each by a run after its message")
    table.add_row("Runs", str(len(last.arena.runs)), "one of them by the schedule")
    table.add_row("Arena requests", str(requests), arena_requests(last))
    table.add_row("Seconds", f"{last.seconds:.0f}", aside)
    return table
