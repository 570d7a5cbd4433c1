"""The state machine: every path with fake results, and the error handling of every Task."""

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
    "ownRequests": 10,
    "ended": False,
}


class Functions:
    """The answers of the three functions, in order; an exception is a failed function."""

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
    """Run an execution from start to end; return it and the seconds that it waited."""
    execution = Execution(functions, START)
    waits = []
    while not execution.done:
        waits.append(execution.step())
    return execution, [seconds for seconds in waits if seconds]


def polled(wait: int = 0, *, ended: bool = False) -> dict[str, Any]:
    """Return an answer of poll."""
    return {**START, "waitSeconds": wait, "ended": ended}


def test_state_machine__happy_path() -> None:
    """The execution waits, polls, publishes, and invokes submit, and passes the state on."""
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
    """After a failed poll, the execution waits and polls again with the same state."""
    died = TaskFailedError()
    functions = Functions(poll=[died, died, polled(ended=True)], publish=[{}], submit=[{}])
    execution, waits = walk(functions)
    assert execution.done
    assert waits == [7, 120, 120]
    assert [payload for name, payload in functions.payloads if name == "poll"] == [START] * 3


def test_state_machine__publish_that_dies_is_done_again() -> None:
    """After a failed publish, the execution waits and publishes again without another poll."""
    functions = Functions(poll=[polled(ended=True)], publish=[TaskFailedError(), {}], submit=[{}])
    execution, waits = walk(functions)
    assert execution.done
    assert waits == [7, 120]
    assert [name for name, _ in functions.payloads] == ["poll", "publish", "publish", "submit"]


def test_state_machine__submit_that_dies_does_not_matter() -> None:
    """A failure of the last step does not fail the execution: the schedule follows."""
    functions = Functions(poll=[polled(ended=True)], publish=[{}], submit=[TaskFailedError()])
    execution, _ = walk(functions)
    assert execution.path[-1] == "Done"


def test_state_machine__every_state_is_walked() -> None:
    """The paths above cover all states."""
    died = TaskFailedError()
    functions = Functions(
        poll=[died, polled(1), polled(ended=True)], publish=[died, {}], submit=[died]
    )
    execution, _ = walk(functions)
    assert set(execution.path) == set(STATES)


@pytest.mark.parametrize("name", TASKS)
def test_task__is_guarded(name: str) -> None:
    """Each Task has a timeout, retries only named transient errors, and catches the rest."""
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    for retry in task["Retry"]:
        assert all(error.startswith("Lambda.") for error in retry["ErrorEquals"])
        assert 0 < retry["MaxAttempts"] <= 5
        assert retry["JitterStrategy"] == "FULL"
    assert [catch["ErrorEquals"] for catch in task["Catch"]] == [["States.ALL"]]


def test_state_machine__holds_no_lists_and_computes_nothing() -> None:
    """The state contains names and numbers; expressions are only references."""
    assert problems() == []
    text = json.dumps(DEFINITION)
    assert "itemGuids" not in text
    assert text.count("{%") == text.count("{% $states.")


def test_state_machine__a_day_of_polls_stays_far_below_the_event_limit() -> None:
    """A poll has nine history events, so 2,000 polls stay below 20,000."""
    per_poll = 2 + 5 + 2  # Wait, Task with its schedule, start and end, Choice
    assert 2_000 * per_poll < 20_000
