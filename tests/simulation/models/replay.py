"""What the ledger did on a simulated day, compared with a model: every step must be one of its own.

A `View` says what of the ledger the model speaks of, and what of the model's state that is. For
another protocol, say delivery, write another view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.models import lease

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from minicheck import Protocol

    from arena_exports.ports import Write
    from tests.simulation.simulation import Simulation
    from tests.support.fakes import InMemoryTable

    Items = Mapping[str, Mapping[str, Mapping[str, Any]]]
    Steps = Mapping[tuple[Hashable, Hashable], str]


MAX_SEARCHES = 2  # that the model counts


@dataclass(frozen=True, slots=True)
class View:
    """What a model and the ledger have in common.

    `of_ledger` and `of_state` return the same value for the same state of affairs.
    """

    model: Protocol
    of_ledger: Callable[[Items], Hashable]
    of_state: Callable[[Mapping[str, object]], Hashable]

    def steps(self) -> dict[tuple[Hashable, Hashable], str]:
        """Return every step of the model that can be seen, with the name of one that looks so."""
        known, todo = {self.model.initial}, [self.model.initial]
        steps: dict[tuple[Hashable, Hashable], str] = {}
        while todo:
            state = todo.pop()
            before = self.of_state(self.model.d(state))
            for label, after in self.model.transitions(state):
                seen = self.of_state(self.model.d(after))
                if seen != before:
                    steps.setdefault((before, seen), label)
                if after not in known:
                    known.add(after)
                    todo.append(after)
        return steps


@dataclass
class Replay:
    """Watches the ledger of a day, and keeps the steps that it took."""

    view: View
    steps: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)

    def watch(self, simulation: Simulation) -> None:
        """Watch a day that has not begun."""
        table: InMemoryTable = simulation.memory
        table.intercept("write", lambda write, *writes: self._write(table, write, writes))

    def _write(
        self, table: InMemoryTable, write: Callable[..., None], writes: tuple[Write, ...]
    ) -> None:
        before = self.view.of_ledger(table.items)
        write(*writes)
        after = self.view.of_ledger(table.items)
        if after != before:
            self.steps[before, after] = self.steps.get((before, after), 0) + 1

    def foreign(self, known: Steps) -> list[tuple[Hashable, Hashable]]:
        """Return the steps that are not the model's."""
        return [step for step in self.steps if step not in known]


def _lease_of_ledger(items: Items) -> Hashable:
    slot = items.get("SLOT", {}).get("-", {})
    attempt_id = slot.get("attemptId")
    state = str(slot.get("state", "idle"))
    if attempt_id is None:
        return state, "", 0, False
    months = (month for pk, month in items.items() if pk.startswith("RUN#"))
    attempt = next(month[attempt_id] for month in months if attempt_id in month)
    sending = attempt.get("state") == "sending"
    again = attempt.get("firstSentAt", 0) < attempt.get("sentAt", 0)
    searches = min(attempt.get("searches", 0), MAX_SEARCHES) if sending else 0
    return state, attempt.get("state", ""), searches, sending and again


def _lease_of_state(state: Mapping[str, object]) -> Hashable:
    sending = state["attempt"] == "sending"
    searches = state["searches"] if sending else 0
    return state["lease"], state["attempt"], searches, sending and state["again"]


def lease_view() -> View:
    """Return what the model of the lease and the ledger have in common."""
    return View(lease.lease_model(), _lease_of_ledger, _lease_of_state)
