"""What the functions that call Arena have in common: the client, in the session in force."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from arena_exports.adapters.http import HttpTransport
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.session_function import LambdaSessionRenewer
from arena_exports.adapters.telemetry import redact_always
from arena_exports.arena.client import Arena
from arena_exports.arena.sessions import SessionCache
from arena_exports.domain.polling import PollLimits
from arena_exports.wiring.function import Function

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws, Dependencies

# The session function may take its whole minute, and a second call could log in a second time.
_SESSION_FUNCTION_SECONDS = 65


class ArenaFunction(Function):
    """A function that calls Arena."""

    @staticmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the transport and the session."""
        settings = dependencies.settings
        return replace(
            dependencies,
            transport=HttpTransport(settings.arena_base_url),
            session_secret=ManagedSecret(
                aws.client("secretsmanager"), settings.session_secret_arn, redact_always
            ),
            session_renewer=LambdaSessionRenewer(
                lambda: aws.client("lambda", read_timeout=_SESSION_FUNCTION_SECONDS, attempts=1),
                settings.session_function_name,
            ),
        )

    @cached_property
    def poll_limits(self) -> PollLimits:
        """What polls may spend."""
        share = self.settings.request_budget_poll_share / 100
        return PollLimits(self.settings.request_budget_reserve, share)

    @cached_property
    def arena(self) -> Arena:
        """The Arena client."""
        return Arena(
            transport=self.dependencies.transport,
            sessions=SessionCache(
                secret=self.dependencies.session_secret,
                renewer=self.dependencies.session_renewer,
                clock=self.clock,
            ),
            budgets=self.ledger.budget,
            reserve=self.settings.request_budget_reserve,
            clock=self.clock,
            telemetry=self.telemetry,
        )
