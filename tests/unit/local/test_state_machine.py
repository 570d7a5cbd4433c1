"""The check of the state machine's definition finds what each of its three tools is for."""

from pathlib import Path

import pytest

from infra.checks import state_machine


def test_definition__is_valid() -> None:
    """The definition as it stands has no problem."""
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
    """A wrong field, a transition to nowhere and a broken expression are each found."""
    text = state_machine.DEFINITION.read_text()
    assert right in text
    broken = tmp_path / "broken.asl.json"
    broken.write_text(text.replace(right, wrong))
    assert any(problem in found for found in state_machine.problems(broken))
