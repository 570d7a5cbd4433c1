"""The session function."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.http import HttpTransport
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.telemetry import redact_always
from arena_exports.services.login import LoginService
from arena_exports.wiring.function import Function

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws, Dependencies


class SessionFunction(Function):
    """Logs in."""

    @staticmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the transport and both secrets."""
        settings, secrets = dependencies.settings, aws.client("secretsmanager")
        return replace(
            dependencies,
            transport=HttpTransport(settings.arena_base_url),
            session_secret=ManagedSecret(secrets, settings.session_secret_arn, redact_always),
            credentials=ManagedSecret(
                _client_of(secrets, settings.credentials_secret_arn, aws),
                settings.credentials_secret_arn,
                redact_always,
                must_exist=True,
            ),
        )

    @cached_property
    def login_service(self) -> LoginService:
        """The service that logs in."""
        return LoginService(
            transport=self.dependencies.transport,
            credentials=self.dependencies.credentials,
            secret=self.dependencies.session_secret,
            store=self.ledger.session,
            clock=self.clock,
            telemetry=self.telemetry,
        )


def _client_of(secrets: Any, arn: str, aws: Aws) -> Any:  # noqa: ANN401 - boto3 clients have no type
    """Return a client for the region of a secret's ARN; each region knows only its own secrets."""
    region = "".join(arn.split(":")[3:4])
    own = region in ("", secrets.meta.region_name)
    return secrets if own else aws.client("secretsmanager", region=region)
