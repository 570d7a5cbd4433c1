"""The lease on the workspace's one export slot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.domain.model import AttemptId, Lane


class LeaseState(StrEnum):
    """What the holder of the lease is doing."""

    IDLE = "idle"
    SUBMITTING = "submitting"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease.

    Times are epoch seconds, 0 for none. `busy` counts 3144 answers in a row and `failed_searches`
    searches that failed in a row; `creator_guid` is the Arena user who creates our runs, ""
    until the first run; `lane` was served last.
    """

    state: LeaseState = LeaseState.IDLE
    token: str = ""
    attempt_id: AttemptId | None = None
    held_until: int = 0
    not_before: int = 0
    lane: Lane | None = None
    busy: int = 0
    failed_searches: int = 0
    creator_guid: str = ""
