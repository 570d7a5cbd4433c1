"""What submit is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from arena_exports.adapters.executions import StepFunctionsExecutions
from arena_exports.adapters.messaging import SqsIntakeQueue, in_parallel
from arena_exports.domain.messages import IntakeRules
from arena_exports.services.adoption import Adoption
from arena_exports.services.backlog import Backlog
from arena_exports.services.dispatch import Dispatch
from arena_exports.services.intake import Intake
from arena_exports.services.monitoring import RunMonitor
from arena_exports.services.submission import Submission
from arena_exports.wiring.arena import make_arena, with_arena
from arena_exports.wiring.dependencies import Dependencies, common_dependencies, make_ledger
from arena_exports.wiring.publish import make_publication, make_rejections, with_topic


@cache
def deployed_dependencies() -> Dependencies:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    dependencies, aws = common_dependencies()
    dependencies = with_topic(with_arena(dependencies, aws), aws)
    executions = StepFunctionsExecutions(
        aws.client("stepfunctions"), dependencies.settings.state_machine_arn
    )
    # What it does is worth one short try: without it a message comes back later, no more.
    queue = aws.client("sqs", read_timeout=5, attempts=1)
    intake_queue = SqsIntakeQueue(queue, dependencies.settings.intake_queue_url)
    return replace(
        dependencies, executions=executions, intake_queue=intake_queue, in_parallel=in_parallel
    )


def make_intake(dependencies: Dependencies) -> Intake:
    """Return what submit records batches with."""
    settings = dependencies.settings
    return Intake(
        requests=make_ledger(dependencies).requests,
        outcomes=make_rejections(dependencies),
        queue=dependencies.intake_queue,
        rules=IntakeRules(settings.workspace, settings.default_export_guid),
        in_parallel=dependencies.in_parallel,
        clock=dependencies.clock,
        telemetry=dependencies.telemetry,
    )


def make_dispatch(dependencies: Dependencies) -> Dispatch:
    """Return what submit starts runs with, and moves them on."""
    ledger = make_ledger(dependencies)
    arena, publication = make_arena(dependencies, ledger), make_publication(dependencies)
    clock, telemetry = dependencies.clock, dependencies.telemetry
    monitor = RunMonitor(ledger=ledger, executions=dependencies.executions, telemetry=telemetry)
    adoption = Adoption(
        ledger=ledger,
        arena=arena,
        monitor=monitor,
        clock=clock,
        telemetry=telemetry,
    )
    submission = Submission(
        ledger=ledger,
        arena=arena,
        adoption=adoption,
        monitor=monitor,
        publication=publication,
        outcomes=make_rejections(dependencies),
        clock=clock,
        telemetry=telemetry,
    )
    return Dispatch(
        ledger=ledger,
        arena=arena,
        adoption=adoption,
        submission=submission,
        monitor=monitor,
        publication=publication,
        clock=clock,
        telemetry=telemetry,
        max_items=dependencies.settings.max_items_per_run,
        paused=dependencies.settings.exports_paused,
    )


def make_backlog(dependencies: Dependencies) -> Backlog:
    """Return what submit measures the backlog with."""
    requests = make_ledger(dependencies).requests
    return Backlog(requests=requests, clock=dependencies.clock, telemetry=dependencies.telemetry)
