"""What poll is made of."""

from __future__ import annotations

from functools import cache

from arena_exports.services.monitoring import Poller
from arena_exports.wiring.arena import make_arena, with_arena
from arena_exports.wiring.dependencies import Parts, common_parts, make_ledger


@cache
def real_parts() -> Parts:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    return with_arena(*common_parts())


def make_poller(parts: Parts) -> Poller:
    """Return what poll looks at runs with."""
    ledger = make_ledger(parts)
    return Poller(
        ledger=ledger,
        arena=make_arena(parts, ledger),
        clock=parts.clock,
        telemetry=parts.telemetry,
        run_timeout_seconds=parts.settings.run_timeout_seconds,
        reserve=parts.settings.request_budget_reserve,
    )
