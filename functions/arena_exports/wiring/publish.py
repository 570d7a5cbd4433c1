"""The publish function; submit has its services too, because an attempt can end without a run."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from arena_exports.adapters.messaging import SnsTopic, SqsDeadLetterQueue
from arena_exports.services.isolation import Isolation
from arena_exports.services.publication import Publication
from arena_exports.services.rejections import Rejections
from arena_exports.wiring.function import Function

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws, Dependencies


class PublishFunction(Function):
    """Publishes outcomes."""

    @staticmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the topic and the dead-letter queue."""
        settings = dependencies.settings
        return replace(
            dependencies,
            topic=SnsTopic(aws.client("sns"), settings.outcome_topic_arn),
            dead_letters=SqsDeadLetterQueue(aws.client("sqs"), settings.dead_letter_queue_url),
        )

    @cached_property
    def rejections(self) -> Rejections:
        """The service that rejects requests and writes dead letters."""
        return Rejections(
            topic=self.dependencies.topic,
            dead_letters=self.dependencies.dead_letters,
            clock=self.clock,
            telemetry=self.telemetry,
            workspace=self.settings.workspace,
        )

    @cached_property
    def publication(self) -> Publication:
        """The service that concludes attempts."""
        return Publication(
            ledger=self.ledger,
            isolation=Isolation(ledger=self.ledger, clock=self.clock),
            rejections=self.rejections,
            clock=self.clock,
            telemetry=self.telemetry,
            delivers=self.settings.delivers_files,
        )
