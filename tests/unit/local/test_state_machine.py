"""The check of the state machine finds the problems that each of its three tools detects."""

from pathlib import Path

import pytest

from infra.checks import state_machine


def test_definition__is_valid() -> None:
    """The current definition has no problems."""
    assert state_machine.problems() == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('"TimeoutSeconds": 120', '"TimeoutSecond": 120', "TimeoutSecond"),
        ('"Next": "Publish"', '"Next": "Nowhere"', "Nowhere"),
        ("{% $states.input.ended %}", "{% $states.(input %}", "Expected"),
        ("{% $states.input.ended %}", "{% $states.input.ended", "whole text"),
    ],
)
def test_broken_definition__is_found(tmp_path: Path, right: str, wrong: str, problem: str) -> None:
    """A wrong field, a transition to a missing state, and a broken expression are found."""
    text = state_machine.DEFINITION.read_text()
    assert right in text
    broken = tmp_path / "broken.asl.json"
    broken.write_text(text.replace(right, wrong))
    assert any(problem in found for found in state_machine.problems(broken))
