"""The state machine's definition: every path walked with fake results, every Task guarded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.checks.state_machine import problems
from tests.support.asl import DEFINITION, Execution, TaskFailedError

STATES = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
START = {
    "attemptId": "a",
    "exportGuid": "E",
    "runGuid": "R",
    "waitSeconds": 7,
    "polls": 0,
    "pollsWithoutFiles": 0,
    "ended": False,
}


class Functions:
    """Answers for the three functions, in order; an exception stands for a function that died."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.payloads: list[tuple[str, Any]] = []

    def __call__(self, function: str, payload: Any) -> Any:
        name = function.removeprefix("${").removesuffix("FunctionArn}").lower()
        self.payloads.append((name, payload))
        answer = self.answers[name].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def walk(functions: Functions) -> tuple[Execution, list[float]]:
    """Walk from start to end; return the execution and the seconds that it waited."""
    execution = Execution(functions, START)
    waits = []
    while not execution.done:
        waits.append(execution.step())
    return execution, [seconds for seconds in waits if seconds]


def polled(wait: int = 0, *, ended: bool = False) -> dict[str, Any]:
    """Return what poll answers."""
    return {**START, "waitSeconds": wait, "ended": ended}


def test_state_machine__happy_path() -> None:
    """Wait, poll, publish, submit what piled up; the state goes along."""
    functions = Functions(poll=[polled(9), polled(ended=True)], publish=[{}], submit=[{}])
    execution, waits = walk(functions)
    assert execution.path == [
        "Wait for the run",
        "Poll",
        "Has the run ended?",
        "Wait for the run",
        "Poll",
        "Has the run ended?",
        "Publish",
        "Submit what piled up",
        "Done",
    ]
    assert waits == [7, 9]
    assert [name for name, _ in functions.payloads] == ["poll", "poll", "publish", "submit"]
    assert functions.payloads[0][1] == START
    assert functions.payloads[2][1]["attemptId"] == "a"
    assert functions.payloads[3][1] == {"action": "reconcile"}


def test_state_machine__poll_that_dies_is_done_again() -> None:
    """A poll that fails for good waits a minute and polls again with the same state."""
    died = TaskFailedError()
    functions = Functions(poll=[died, died, polled(ended=True)], publish=[{}], submit=[{}])
    execution, waits = walk(functions)
    assert execution.done
    assert waits == [7, 120, 120]
    assert [payload for name, payload in functions.payloads if name == "poll"] == [START] * 3


def test_state_machine__publish_that_dies_is_done_again() -> None:
    """A publish that fails for good waits a minute and publishes again; no poll is spent on it."""
    functions = Functions(poll=[polled(ended=True)], publish=[TaskFailedError(), {}], submit=[{}])
    execution, waits = walk(functions)
    assert execution.done
    assert waits == [7, 120]
    assert [name for name, _ in functions.payloads] == ["poll", "publish", "publish", "submit"]


def test_state_machine__submit_that_dies_does_not_matter() -> None:
    """The last step may fail: the reconcile schedule comes by."""
    functions = Functions(poll=[polled(ended=True)], publish=[{}], submit=[TaskFailedError()])
    execution, _ = walk(functions)
    assert execution.path[-1] == "Done"


def test_state_machine__every_state_is_walked() -> None:
    """The paths above leave no state out."""
    died = TaskFailedError()
    functions = Functions(
        poll=[died, polled(1), polled(ended=True)], publish=[died, {}], submit=[died]
    )
    execution, _ = walk(functions)
    assert set(execution.path) == set(STATES)


@pytest.mark.parametrize("name", TASKS)
def test_task__is_guarded(name: str) -> None:
    """Each Task has a time-out, retries named transient errors alone, and catches the rest."""
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    for retry in task["Retry"]:
        assert all(error.startswith("Lambda.") for error in retry["ErrorEquals"])
        assert 0 < retry["MaxAttempts"] <= 5
        assert retry["JitterStrategy"] == "FULL"
    assert [catch["ErrorEquals"] for catch in task["Catch"]] == [["States.ALL"]]


def test_state_machine__holds_no_lists_and_computes_nothing() -> None:
    """Its state is names and numbers; its expressions only refer."""
    assert problems() == []
    text = json.dumps(DEFINITION)
    assert "itemGuids" not in text
    assert text.count("{%") == text.count("{% $states.")


def test_state_machine__a_day_of_polls_stays_far_below_the_event_limit() -> None:
    """Nine history events for a poll: 2,000 polls stay below 20,000."""
    per_poll = 2 + 5 + 2  # Wait, Task with its schedule, start and end, Choice
    assert 2_000 * per_poll < 20_000
