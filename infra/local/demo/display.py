"""Shows the progress: live on a terminal, otherwise as plain lines."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from infra.local.demo.tables import arena_requests
from infra.local.demo.tally import plural
from infra.local.demo.watch import ENDED, Snapshot

_COLOURS = {
    "Arena": "cyan",
    "Queue": "yellow",
    "Topic": "green",
    "Bucket": "blue",
    "Clock": "magenta",
}

STATE_SECONDS = 5.0
"""How often a changed state is printed without a terminal."""


class Display(AbstractContextManager["Display"]):
    """Prints the news as lines; on a terminal, the current state is shown below them.

    A console that records shows the lines alone: it would keep every refresh of the state.
    """

    def __init__(self, console: Console) -> None:
        """Show on this console."""
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots", style="cyan")
        self._is_terminal = console.is_terminal
        self._is_live = console.is_terminal and not console.record
        self._stated_at = 0.0
        self._stated = ""

    def __enter__(self) -> Self:
        """Start to show the state."""
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the state; the lines stay."""
        self._live.stop()

    def show(self, line: str, seconds: float) -> None:
        """Print a line of news; its first word is its source."""
        who, _, what = line.partition(" ")
        colour = _COLOURS.get(who, "default")
        text = f"[dim]{seconds:5.1f} s[/]  [{colour}]{who:<8}[/] {escape(what.strip())}"
        self._console.print(text, soft_wrap=True)

    def update(self, snapshot: Snapshot, news: Iterable[str]) -> None:
        """Print the news and show the state."""
        for line in news:
            self.show(line, snapshot.seconds)
        if self._is_live:
            self._live.update(self._state(snapshot))
        elif not self._is_terminal and snapshot.seconds - self._stated_at >= STATE_SECONDS:
            self._stated_at = snapshot.seconds
            depth = plural(snapshot.queue_depth, "message")
            left = f"{snapshot.arena.budget_left:,} Arena requests left today"
            line = f"State    {depth} queued; {_exported(snapshot)}; {left}"
            if line != self._stated:
                self.show(line, snapshot.seconds)
            self._stated = line

    def _state(self, snapshot: Snapshot) -> Table:
        state = Table.grid(padding=(0, 2))
        state.add_column(width=7, style="bold")
        state.add_column()
        bar = ProgressBar(total=max(snapshot.sent, 1), completed=snapshot.exported, width=40)
        guids = Table.grid(padding=(0, 2))
        guids.add_row(bar, _exported(snapshot))
        state.add_row("")
        state.add_row("Queue", plural(snapshot.queue_depth, "message"))
        state.add_row("GUIDs", guids)
        state.add_row("Run", self._run(snapshot))
        state.add_row("Arena", arena_requests(snapshot))
        state.add_row("Bucket", plural(len(snapshot.objects), "object"))
        return state

    def _run(self, snapshot: Snapshot) -> Table:
        """Show the run in progress."""
        line = Table.grid(padding=(0, 1))
        running = [run for run in snapshot.arena.runs if run.status not in ENDED]
        if not running:
            line.add_row("[dim]none in progress[/]")
        for run in running:
            what = plural(run.items, "GUID") if run.items else "the definition's own criteria"
            line.add_row(
                self._spinner, f"run {run.number} of {run.export_guid}, {run.status}, {what}"
            )
        return line


def _exported(snapshot: Snapshot) -> str:
    return f"{snapshot.exported} of {snapshot.sent} GUIDs exported"
