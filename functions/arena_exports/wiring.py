"""Puts the parts together: the one module that knows both the domain and its adapters.

`Parts` holds the outer parts, so that a test can hand in its own; the functions below build what
each handler calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from arena_exports.adapters.authority import SessionFunction
from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.executions import StepFunctionsExecutions
from arena_exports.adapters.http import HttpTransport
from arena_exports.adapters.messaging import SnsTopic, SqsDeadLetterQueue
from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.adapters.system import SystemClock
from arena_exports.adoption import Adoption
from arena_exports.arena import Arena
from arena_exports.intake import Intake
from arena_exports.isolation import Isolation
from arena_exports.ledger import Ledger, open_ledger
from arena_exports.messages import IntakeRules
from arena_exports.outcomes import Outcomes
from arena_exports.publication import Publication
from arena_exports.sessions import LoginDesk, Sessions
from arena_exports.settings import Settings, read_settings
from arena_exports.submission import Submission
from arena_exports.telemetry import PowertoolsTelemetry
from arena_exports.watching import Poller, Watch

if TYPE_CHECKING:
    from arena_exports.ports import (
        Clock,
        DeadLetterQueue,
        Executions,
        SecretStore,
        SessionAuthority,
        Table,
        Telemetry,
        Topic,
        Transport,
    )

_AWS = Config(
    connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}
)
# The session function may take its whole minute; to call it again would be to log in again.
_PATIENT = Config(
    connect_timeout=3, read_timeout=65, retries={"mode": "standard", "total_max_attempts": 1}
)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The outer parts of a function; one that it does not use may be whatever it is."""

    settings: Settings
    table: Table
    transport: Transport
    session_secret: SecretStore
    credentials: SecretStore
    authority: SessionAuthority
    topic: Topic
    dead_letters: DeadLetterQueue
    executions: Executions
    clock: Clock
    telemetry: Telemetry


@lru_cache(maxsize=1)
def real_parts() -> Parts:
    """Return the parts of a deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    settings, clock = read_settings(), SystemClock()
    aws: Any = boto3.session.Session()

    def client(service: str, used_for: str, config: Config = _AWS) -> Any:  # noqa: ANN401 - boto3
        """Make a client only where the stack gave this function something to use it for."""
        return aws.client(service, config=config) if used_for else None

    secrets = client("secretsmanager", settings.session_secret_arn)
    authority = client("lambda", settings.session_function_name, _PATIENT)
    executions = client("stepfunctions", settings.state_machine_arn)
    topic = client("sns", settings.outcome_topic_arn)
    dead_letters = client("sqs", settings.dead_letter_queue_url)
    return Parts(
        settings=settings,
        table=DynamoTable(
            client("dynamodb", settings.ledger_table_name), settings.ledger_table_name
        ),
        transport=HttpTransport(settings.arena_base_url),
        session_secret=ManagedSecret(secrets, settings.session_secret_arn),
        credentials=ManagedSecret(secrets, settings.credentials_secret_arn),
        authority=SessionFunction(authority, settings.session_function_name),
        topic=SnsTopic(topic, settings.outcome_topic_arn),
        dead_letters=SqsDeadLetterQueue(dead_letters, settings.dead_letter_queue_url),
        executions=StepFunctionsExecutions(executions, settings.state_machine_arn),
        clock=clock,
        telemetry=PowertoolsTelemetry(),
    )


def make_ledger(parts: Parts) -> Ledger:
    """Return the ledger."""
    return open_ledger(parts.table, parts.clock)


def make_arena(parts: Parts, ledger: Ledger) -> Arena:
    """Return Arena, for submit and poll."""
    sessions = Sessions(secret=parts.session_secret, authority=parts.authority, clock=parts.clock)
    return Arena(
        transport=parts.transport,
        sessions=sessions,
        budget=ledger.budget,
        reserve=parts.settings.request_budget_reserve,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )


def make_outcomes(parts: Parts) -> Outcomes:
    """Return the way to the topic and the dead-letter queue."""
    return Outcomes(
        topic=parts.topic,
        dead_letters=parts.dead_letters,
        clock=parts.clock,
        telemetry=parts.telemetry,
        workspace=parts.settings.workspace,
    )


def make_intake(parts: Parts) -> Intake:
    """Return what submit records batches with."""
    settings = parts.settings
    return Intake(
        requests=make_ledger(parts).requests,
        outcomes=make_outcomes(parts),
        rules=IntakeRules(settings.workspace, settings.default_export_guid),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )


def make_submission(parts: Parts) -> Submission:
    """Return what submit starts runs with."""
    ledger = make_ledger(parts)
    arena = make_arena(parts, ledger)
    watch = Watch(ledger=ledger, executions=parts.executions, telemetry=parts.telemetry)
    return Submission(
        ledger=ledger,
        arena=arena,
        adoption=Adoption(
            ledger=ledger, arena=arena, watch=watch, clock=parts.clock, telemetry=parts.telemetry
        ),
        watch=watch,
        publication=make_publication(parts),
        isolation=Isolation(ledger=ledger, clock=parts.clock),
        outcomes=make_outcomes(parts),
        clock=parts.clock,
        telemetry=parts.telemetry,
        max_items=parts.settings.max_items_per_run,
    )


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


def make_publication(parts: Parts) -> Publication:
    """Return what publish brings attempts to their end with."""
    ledger = make_ledger(parts)
    return Publication(
        ledger=ledger,
        isolation=Isolation(ledger=ledger, clock=parts.clock),
        outcomes=make_outcomes(parts),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )


def make_login_desk(parts: Parts) -> LoginDesk:
    """Return what session logs in with."""
    return LoginDesk(
        transport=parts.transport,
        credentials=parts.credentials,
        secret=parts.session_secret,
        record=make_ledger(parts).session,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
