"""Arena, for submit and poll."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.http import HttpTransport
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.session_function import SessionFunction
from arena_exports.adapters.telemetry import redact_always
from arena_exports.arena.client import Arena
from arena_exports.arena.sessions import SessionCache

if TYPE_CHECKING:
    from arena_exports.ledger import Ledger
    from arena_exports.wiring.dependencies import Aws, Dependencies

# The session function may take its whole minute; to call it again would be to log in again.
_SESSION_FUNCTION_SECONDS = 65


def with_arena(dependencies: Dependencies, aws: Aws) -> Dependencies:
    """Add what is needed to talk to Arena in the session in force."""
    settings = dependencies.settings

    def lambdas() -> Any:  # noqa: ANN401 - a client
        return aws.client("lambda", read_timeout=_SESSION_FUNCTION_SECONDS, attempts=1)

    return replace(
        dependencies,
        transport=HttpTransport(settings.arena_base_url),
        session_secret=ManagedSecret(
            aws.client("secretsmanager"), settings.session_secret_arn, redact_always
        ),
        authority=SessionFunction(lambdas, settings.session_function_name),
    )


def make_arena(dependencies: Dependencies, ledger: Ledger) -> Arena:
    """Return Arena."""
    sessions = SessionCache(
        secret=dependencies.session_secret,
        authority=dependencies.authority,
        clock=dependencies.clock,
    )
    return Arena(
        transport=dependencies.transport,
        sessions=sessions,
        budget=ledger.budget,
        reserve=dependencies.settings.request_budget_reserve,
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
    )
