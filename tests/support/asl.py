"""Walks the real state machine definition, one state at a time.

It knows what the definition uses: Wait, Task, Choice, Succeed, Catch, and expressions that only
refer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFINITION = json.loads(
    (Path(__file__).parents[2] / "infra" / "state_machine.asl.json").read_text()
)
_EXPRESSION = re.compile(r"\{%\s*\$states\.(input|result)((?:\.\w+)*)\s*%\}")


class TaskFailedError(Exception):
    """The error of a Task whose function failed."""


@dataclass
class Execution:
    """One execution: where it stands, with which input, and the seconds it asked to wait."""

    invoke: Callable[[str, Any], Any]
    input: Any
    state: str = DEFINITION["StartAt"]
    done: bool = False
    path: list[str] = field(default_factory=list)

    def step(self) -> float:
        """Execute one state; return the seconds until the next one."""
        name, state = self.state, DEFINITION["States"][self.state]
        self.path.append(name)
        if state["Type"] == "Succeed":
            self.done = True
            return 0
        if state["Type"] == "Wait":
            self.state = state["Next"]
            return float(resolve(state["Seconds"], {"input": self.input}))
        if state["Type"] == "Choice":
            self.state = self._choose(state)
            return 0
        self._run_task(state)
        return 0

    def _choose(self, state: Mapping[str, Any]) -> str:
        for choice in state["Choices"]:
            if resolve(choice["Condition"], {"input": self.input}) is True:
                return str(choice["Next"])
        return str(state["Default"])

    def _run_task(self, state: Mapping[str, Any]) -> None:
        arguments = resolve(state["Arguments"], {"input": self.input})
        try:
            payload = self.invoke(arguments["FunctionName"], arguments["Payload"])
        except TaskFailedError:
            catch = state["Catch"][0]
            self.input = resolve(catch["Output"], {"input": self.input})
            self.state = catch["Next"]
            return
        self.input = resolve(state["Output"], {"input": self.input, "result": {"Payload": payload}})
        self.state = state["Next"]


def resolve(value: Any, states: Mapping[str, Any]) -> Any:
    """Replace an expression by the value that it refers to."""
    if isinstance(value, dict):
        return {name: resolve(inner, states) for name, inner in value.items()}
    if not isinstance(value, str) or not value.startswith("{%"):
        return value
    match = _EXPRESSION.fullmatch(value)
    assert match, f"an expression that computes: {value}"
    found = states[match[1]]
    for name in match[2].split(".")[1:]:
        found = found[name]
    return found
