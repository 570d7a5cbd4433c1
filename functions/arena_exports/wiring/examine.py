"""The examine function."""

from __future__ import annotations

from functools import cached_property

from arena_exports.services.examination import Examination
from arena_exports.wiring.arena import ArenaFunction


class ExamineFunction(ArenaFunction):
    """Asks Arena about an export definition, for an operator."""

    @cached_property
    def examination(self) -> Examination:
        """The service that asks."""
        return Examination(
            arena=self.arena,
            transport=self.dependencies.transport,
            telemetry=self.telemetry,
        )
