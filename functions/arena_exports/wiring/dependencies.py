"""The outer parts of a function, and those that every function has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import get_session

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.adapters.telemetry import PowertoolsTelemetry
from arena_exports.ledger import Ledger, open_ledger
from arena_exports.wiring.settings import Settings, read_settings

if TYPE_CHECKING:
    from arena_exports.ports import (
        Clock,
        DeadLetterQueue,
        Executions,
        InParallel,
        IntakeQueue,
        SecretStore,
        SessionRenewer,
        Table,
        Telemetry,
        Topic,
        Transport,
    )

UNUSED: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Dependencies:
    """The outer parts of a function; one that it does not use is left out."""

    settings: Settings
    table: Table
    clock: Clock
    telemetry: Telemetry
    transport: Transport = UNUSED
    session_secret: SecretStore = UNUSED
    credentials: SecretStore = UNUSED
    authority: SessionRenewer = UNUSED
    topic: Topic = UNUSED
    dead_letters: DeadLetterQueue = UNUSED
    executions: Executions = UNUSED
    intake_queue: IntakeQueue = UNUSED
    in_parallel: InParallel = map


class Aws:
    """Makes AWS clients of one session: each further session would read botocore's data again.

    They are boto3's clients, made by its core: to import boto3 itself loads S3's transfer manager.
    """

    def __init__(self) -> None:
        self._session: Any = get_session()

    def client(
        self, service: str, *, read_timeout: int = 20, attempts: int = 4, region: str | None = None
    ) -> Any:  # noqa: ANN401 - boto3 clients have no type
        """Return a client that makes `attempts` tries, with the `standard` back-off.

        `region`: the function's own unless it is named.
        """
        config = Config(
            connect_timeout=3,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        return self._session.create_client(service, region_name=region, config=config)


def common_dependencies() -> tuple[Dependencies, Aws]:
    """Return the parts that every function has, and the way to more clients.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    settings, aws, clock = read_settings(), Aws(), SystemClock()
    table = DynamoTable(aws.client("dynamodb"), settings.ledger_table_name, clock)
    return Dependencies(settings, table, clock, PowertoolsTelemetry()), aws


def make_ledger(dependencies: Dependencies) -> Ledger:
    """Return the ledger."""
    return open_ledger(dependencies.table, dependencies.clock)
