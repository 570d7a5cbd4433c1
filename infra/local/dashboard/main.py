"""The command `dashboard`: play, measure, draw."""

from datetime import UTC, datetime

from rich.console import Console

from infra.local.dashboard import metrics, picture, readings, scenario
from infra.local.demo.display import Display
from infra.local.demo.main import schedule_soon
from infra.local.launch import temporary_stack
from infra.local.paths import ROOT

PICTURE = ROOT / "infra" / "dashboard.png"


def make(console: Console) -> None:
    """Play a story on a stack of its own, and draw what the stack's dashboard shows of it."""
    with temporary_stack(schedule_soon, lambda step: console.print(f"{step} …")) as stack:
        began = datetime.now(UTC)
        with metrics.queues_measured(stack), Display(console) as display:
            scenario.play(stack, display)
        metrics.post_logged(stack)
        span = readings.Span(began, datetime.now(UTC))
        picture.draw(f"Dashboard of {stack.name}", readings.read(stack, span), span, PICTURE)
    console.print(f"Drawn: {PICTURE.relative_to(ROOT)}")
