"""What publish is made of; submit uses it too, where a run ends before it has begun."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from arena_exports.adapters.messaging import SnsTopic, SqsDeadLetterQueue
from arena_exports.services.isolation import Isolation
from arena_exports.services.publication import Publication
from arena_exports.services.rejections import Rejections
from arena_exports.wiring.dependencies import Dependencies, common_dependencies, make_ledger

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws


@cache
def deployed_dependencies() -> Dependencies:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    return with_topic(*common_dependencies())


def with_topic(dependencies: Dependencies, aws: Aws) -> Dependencies:
    """Add the topic and the dead-letter queue."""
    settings = dependencies.settings
    return replace(
        dependencies,
        topic=SnsTopic(aws.client("sns"), settings.outcome_topic_arn),
        dead_letters=SqsDeadLetterQueue(aws.client("sqs"), settings.dead_letter_queue_url),
    )


def make_rejections(dependencies: Dependencies) -> Rejections:
    """Return the way to the topic and the dead-letter queue."""
    return Rejections(
        topic=dependencies.topic,
        dead_letters=dependencies.dead_letters,
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
        workspace=dependencies.settings.workspace,
    )


def make_publication(dependencies: Dependencies) -> Publication:
    """Return what brings attempts to their end."""
    ledger = make_ledger(dependencies)
    return Publication(
        ledger=ledger,
        isolation=Isolation(ledger=ledger, clock=dependencies.clock),
        outcomes=make_rejections(dependencies),
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
    )
