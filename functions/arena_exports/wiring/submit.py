"""The submit function."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from arena_exports.adapters.deliver_function import LambdaDeliverFunction
from arena_exports.adapters.executions import StepFunctionsExecutions
from arena_exports.adapters.messaging import SqsIntakeQueue, in_parallel
from arena_exports.domain.messages import IntakeRules
from arena_exports.services.adoption import Adoption
from arena_exports.services.backlog import requests_of_backlog
from arena_exports.services.dispatch import Dispatch
from arena_exports.services.download_turns import DownloadTurns
from arena_exports.services.intake import Intake
from arena_exports.services.monitoring import RunMonitor
from arena_exports.services.submission import Submission
from arena_exports.wiring.arena import ArenaFunction
from arena_exports.wiring.publish import PublishFunction

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws, Dependencies


class SubmitFunction(ArenaFunction, PublishFunction):
    """Records messages, and starts runs."""

    @staticmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the adapters for Arena, outcomes, the state machine, the intake queue and deliver."""
        settings = dependencies.settings
        # A change of visibility is worth one short try: without it, a message only returns later.
        intake_queue = aws.client("sqs", read_timeout=5, attempts=1)
        return replace(
            ArenaFunction.connect(PublishFunction.connect(dependencies, aws), aws),
            executions=StepFunctionsExecutions(
                aws.client("stepfunctions"), settings.state_machine_arn
            ),
            intake_queue=SqsIntakeQueue(intake_queue, settings.intake_queue_url),
            in_parallel=in_parallel,
            deliver_function=LambdaDeliverFunction(
                lambda: aws.client("lambda"), settings.deliver_function_name
            ),
        )

    @cached_property
    def intake(self) -> Intake:
        """The service that records batches."""
        return Intake(
            requests=self.ledger.requests,
            rejections=self.rejections,
            queue=self.dependencies.intake_queue,
            rules=IntakeRules(self.settings.workspace, self.settings.default_export_guid),
            in_parallel=self.dependencies.in_parallel,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def dispatch(self) -> Dispatch:
        """The service that starts and advances runs."""
        return Dispatch(
            ledger=self.ledger,
            arena=self.arena,
            adoption=self.adoption,
            submission=self._submission,
            monitor=self._monitor,
            publication=self.publication,
            clock=self.clock,
            telemetry=self.telemetry,
            downloads=self.downloads,
            max_items=self.settings.max_items_per_run,
            paused=self.settings.exports_paused,
        )

    @cached_property
    def downloads(self) -> DownloadTurns:
        """The service that starts deliver."""
        delivers = self.settings.delivers_files
        return DownloadTurns(
            deliveries=self.ledger.deliveries,
            lease=self.ledger.lease,
            function=self.dependencies.deliver_function if delivers else None,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def adoption(self) -> Adoption:
        """The service that finds the runs of POSTs whose answer is unknown."""
        return Adoption(
            ledger=self.ledger,
            arena=self.arena,
            monitor=self._monitor,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def _submission(self) -> Submission:
        return Submission(
            ledger=self.ledger,
            arena=self.arena,
            adoption=self.adoption,
            monitor=self._monitor,
            publication=self.publication,
            rejections=self.rejections,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def _monitor(self) -> RunMonitor:
        return RunMonitor(
            ledger=self.ledger,
            executions=self.dependencies.executions,
            clock=self.clock,
            telemetry=self.telemetry,
            limits=self.poll_limits,
            own_requests=self._own_requests,
        )

    def _own_requests(self) -> int:
        """Return how many requests the stack's backlog and its deliveries need."""
        needed = requests_of_backlog(self.ledger.requests, self.settings.max_items_per_run)
        left = self.ledger.deliveries.files_left() if self.settings.delivers_files else 0
        return needed + left  # a file takes one request
