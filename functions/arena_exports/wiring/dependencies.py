"""What a function is given from outside: its settings and its adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import get_session

if TYPE_CHECKING:
    from arena_exports.ports import (
        Bucket,
        Clock,
        DeadLetterQueue,
        DeliverFunction,
        Downloads,
        Executions,
        InBackground,
        InParallel,
        IntakeQueue,
        SecretStore,
        SessionRenewer,
        Table,
        Telemetry,
        Topic,
        Transport,
    )
    from arena_exports.wiring.settings import Settings

UNUSED: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Dependencies:
    """The settings and adapters of a function; those that it does not use are left out."""

    settings: Settings
    table: Table
    clock: Clock
    telemetry: Telemetry
    transport: Transport = UNUSED
    session_secret: SecretStore = UNUSED
    credentials: SecretStore = UNUSED
    session_renewer: SessionRenewer = UNUSED
    topic: Topic = UNUSED
    dead_letters: DeadLetterQueue = UNUSED
    executions: Executions = UNUSED
    intake_queue: IntakeQueue = UNUSED
    in_parallel: InParallel = map
    in_background: InBackground = UNUSED
    deliver_function: DeliverFunction = UNUSED
    downloads: Downloads = UNUSED
    bucket: Bucket = UNUSED


class Aws:
    """Makes AWS clients from one session: another session would read botocore's data again.

    It uses botocore, because importing boto3 loads S3's transfer manager.
    """

    def __init__(self) -> None:
        self._session: Any = get_session()

    def client(
        self, service: str, *, read_timeout: int = 20, attempts: int = 4, region: str | None = None
    ) -> Any:  # noqa: ANN401 - boto3 clients have no type
        """Return a client that makes `attempts` tries, with the `standard` back-off.

        `region` defaults to the function's own.
        """
        config = Config(
            connect_timeout=3,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        return self._session.create_client(service, region_name=region, config=config)
