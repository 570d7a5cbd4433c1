"""The simulator at the start of each test."""

import pytest

from tests.unit.simulator.driver import Arena


@pytest.fixture
def arena() -> Arena:
    """Return a fresh simulator with a session of the machine user."""
    arena = Arena()
    arena.log_in()
    return arena
