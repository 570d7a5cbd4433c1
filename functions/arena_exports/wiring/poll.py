"""The poll function."""

from __future__ import annotations

from functools import cached_property

from arena_exports.services.polling import Poller
from arena_exports.wiring.arena import ArenaFunction


class PollFunction(ArenaFunction):
    """Polls a run."""

    @cached_property
    def poller(self) -> Poller:
        """The service that polls."""
        return Poller(
            ledger=self.ledger,
            arena=self.arena,
            clock=self.clock,
            telemetry=self.telemetry,
            run_timeout_seconds=self.settings.run_timeout_seconds,
            limits=self.poll_limits,
            delivers=self.settings.delivers_files,
        )
