"""How many examples a property test tries: 50 for local work, its full number in CI.

CI is known by the variable CI=true; `make test PROFILE=full` asks for the full number elsewhere.
"""

from __future__ import annotations

import os

import hypothesis

PROFILE = os.environ.get("PROFILE") or ("full" if os.environ.get("CI") == "true" else "quick")
QUICK_EXAMPLES = 50
USUAL_EXAMPLES = 100


def examples(full: int) -> int:
    """Return how many examples to try where the full profile tries so many."""
    return full if PROFILE == "full" else min(full, QUICK_EXAMPLES)


def thorough(full: int = 1000) -> hypothesis.settings:
    """Decorate a property test that tries more examples than usual in the full profile."""
    return hypothesis.settings(max_examples=examples(full))
