"""What publish is made of; submit uses it too, where a run ends before it has begun."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from arena_exports.adapters.messaging import SnsTopic, SqsDeadLetterQueue
from arena_exports.services.isolation import Isolation
from arena_exports.services.publication import Publication
from arena_exports.services.rejections import Outcomes
from arena_exports.wiring.dependencies import Parts, common_parts, make_ledger

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws


@cache
def real_parts() -> Parts:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    return with_outcomes(*common_parts())


def with_outcomes(parts: Parts, aws: Aws) -> Parts:
    """Add the topic and the dead-letter queue."""
    settings = parts.settings
    return replace(
        parts,
        topic=SnsTopic(aws.client("sns"), settings.outcome_topic_arn),
        dead_letters=SqsDeadLetterQueue(aws.client("sqs"), settings.dead_letter_queue_url),
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


def make_publication(parts: Parts) -> Publication:
    """Return what brings attempts to their end."""
    ledger = make_ledger(parts)
    return Publication(
        ledger=ledger,
        isolation=Isolation(ledger=ledger, clock=parts.clock),
        outcomes=make_outcomes(parts),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
