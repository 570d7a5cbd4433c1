"""What session is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.http import HttpTransport
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.telemetry import redact_always
from arena_exports.services.login import LoginService
from arena_exports.wiring.dependencies import Dependencies, common_dependencies, make_ledger

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws


@cache
def deployed_dependencies() -> Dependencies:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    dependencies, aws = common_dependencies()
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


def _client_of(secrets: Any, arn: str, aws: Aws) -> Any:  # noqa: ANN401 - boto3 clients have no type
    """Return a client for the region of a secret's ARN: Secrets Manager knows its own alone."""
    region = "".join(arn.split(":")[3:4])
    own = region in ("", secrets.meta.region_name)
    return secrets if own else aws.client("secretsmanager", region=region)


def make_login_service(dependencies: Dependencies) -> LoginService:
    """Return what session logs in with."""
    return LoginService(
        transport=dependencies.transport,
        credentials=dependencies.credentials,
        secret=dependencies.session_secret,
        record=make_ledger(dependencies).session,
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
    )
