"""The state of an execution, which outlives an update of the functions."""

from __future__ import annotations

from arena_exports.domain.poll_state import PollState

OF_THE_RELEASE_BEFORE = {
    "attemptId": "018C2E5A3B4CA1B2",
    "exportGuid": "EXPDEFAULT0000000001",
    "runGuid": "DK3SQ352V9HR5ZI03BWJ",
    "waitSeconds": 30,
    "polls": 2,
    "pollsWithoutFiles": 0,
    "ended": False,
    "refusedPolls": 1,
    "refusedSince": 1_700_000_000,
}


def test_poll_state__of_the_release_before_is_read() -> None:
    """FAULT 71: an execution begun before the update has no unanswered polls yet."""
    state = PollState.from_json(OF_THE_RELEASE_BEFORE)
    assert state.to_json() == OF_THE_RELEASE_BEFORE | {"unansweredPolls": 0, "ownRequests": 0}


def test_poll_state__of_a_later_release_is_read() -> None:
    """FAULT 71: after a rollback, what only the later release knows is left out."""
    state = PollState.from_json(OF_THE_RELEASE_BEFORE | {"unansweredPolls": 1, "later": "x"})
    assert state.to_json() == OF_THE_RELEASE_BEFORE | {"unansweredPolls": 1, "ownRequests": 0}
