"""What an answer needs to know about a stack besides its ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arena_exports.domain.polling import PollLimits

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StackState:
    """The stack's parameters, and the messages on its queues (None: not known)."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    intake_messages: int | None = None
    dead_letters: int | None = None

    @property
    def paused_by_parameter(self) -> bool:
        """Whether the parameter ExportsPaused is true."""
        return self.parameters.get("ExportsPaused") == "true"

    @property
    def reserve(self) -> int:
        """The number of Arena requests at which new runs stop."""
        return int(self.parameters.get("RequestBudgetReserve", "500"))

    @property
    def poll_limits(self) -> PollLimits:
        """How much of a day's requests polls may spend."""
        share = int(self.parameters.get("RequestBudgetPollShare", "50")) / 100
        return PollLimits(self.reserve, share)

    @property
    def window_seconds(self) -> int:
        """For how long messages are collected before they are recorded, in seconds."""
        return int(self.parameters.get("BatchingWindowSeconds", "20"))

    @property
    def max_items(self) -> int:
        """The maximum number of items in a run."""
        return int(self.parameters.get("MaxItemsPerRun", "5000"))

    @property
    def run_timeout_seconds(self) -> int:
        """The seconds after which a run counts as overdue."""
        return int(self.parameters.get("RunTimeoutSeconds", "3600"))

    @property
    def workspace(self) -> str:
        """The workspace's name in messages and events."""
        return self.parameters.get("WorkspaceName", "default")

    @property
    def default_export_guid(self) -> str:
        """The export definition for requests that name none; "" without a default."""
        return self.parameters.get("DefaultExportGuid", "")
