"""The state of an execution of the state machine, which the poll function is called with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from arena_exports.domain.model import AttemptId, ExportGuid, RunGuid, camel_case

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class PollState:
    """The state of an execution: names and numbers only.

    `wait_seconds` is how long to wait before the next poll; `polls` counts polls,
    `polls_without_files` those that found a run complete but without all of its files,
    `refused_polls` those in a row that were refused, the first of them at `refused_since` (epoch
    seconds, 0 for none), `unanswered_polls` those in a row without an answer. `own_requests` are
    those that the stack's own backlog and deliveries needed when the execution began. Without a
    `run_guid` there is nothing to poll: the execution only waits until the next search.
    """

    attempt_id: AttemptId
    export_guid: ExportGuid
    run_guid: RunGuid
    wait_seconds: int
    polls: int = 0
    polls_without_files: int = 0
    ended: bool = False
    refused_polls: int = 0
    refused_since: int = 0
    unanswered_polls: int = 0
    own_requests: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the state as the state machine carries it."""
        return {camel_case(name): value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> PollState:
        """Read what `to_json` returned, in this release or an older one."""
        names = (name for name in PollState.__slots__ if camel_case(name) in state)
        return PollState(**{name: state[camel_case(name)] for name in names})
