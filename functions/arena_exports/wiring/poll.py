"""What poll is made of."""

from __future__ import annotations

from functools import cache

from arena_exports.services.polling import Poller
from arena_exports.wiring.arena import make_arena, with_arena
from arena_exports.wiring.dependencies import Dependencies, common_dependencies, make_ledger


@cache
def deployed_dependencies() -> Dependencies:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    return with_arena(*common_dependencies())


def make_poller(dependencies: Dependencies) -> Poller:
    """Return what poll polls runs with."""
    ledger = make_ledger(dependencies)
    return Poller(
        ledger=ledger,
        arena=make_arena(dependencies, ledger),
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
        run_timeout_seconds=dependencies.settings.run_timeout_seconds,
        reserve=dependencies.settings.request_budget_reserve,
    )
