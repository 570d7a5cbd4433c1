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
from arena_exports.services.monitoring import Watch
from arena_exports.services.submission import Submission
from arena_exports.wiring.arena import make_arena, with_arena
from arena_exports.wiring.dependencies import Parts, common_parts, make_ledger
from arena_exports.wiring.publish import make_outcomes, make_publication, with_outcomes


@cache
def real_parts() -> Parts:
    """Return the parts of the deployed function, made on first use from its environment.

    Raises:
        SettingsError: the environment is not what it must be.
    """
    parts, aws = common_parts()
    parts = with_outcomes(with_arena(parts, aws), aws)
    executions = StepFunctionsExecutions(
        aws.client("stepfunctions"), parts.settings.state_machine_arn
    )
    # What it does is worth one short try: without it a message comes back later, no more.
    queue = aws.client("sqs", read_timeout=5, attempts=1)
    intake_queue = SqsIntakeQueue(queue, parts.settings.intake_queue_url)
    return replace(parts, executions=executions, intake_queue=intake_queue, in_parallel=in_parallel)


def make_intake(parts: Parts) -> Intake:
    """Return what submit records batches with."""
    settings = parts.settings
    return Intake(
        requests=make_ledger(parts).requests,
        outcomes=make_outcomes(parts),
        queue=parts.intake_queue,
        rules=IntakeRules(settings.workspace, settings.default_export_guid),
        in_parallel=parts.in_parallel,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )


def make_dispatch(parts: Parts) -> Dispatch:
    """Return what submit starts runs with, and moves them on."""
    ledger = make_ledger(parts)
    arena, publication = make_arena(parts, ledger), make_publication(parts)
    clock, telemetry = parts.clock, parts.telemetry
    watch = Watch(ledger=ledger, executions=parts.executions, telemetry=telemetry)
    adoption = Adoption(ledger=ledger, arena=arena, watch=watch, clock=clock, telemetry=telemetry)
    submission = Submission(
        ledger=ledger,
        arena=arena,
        adoption=adoption,
        watch=watch,
        publication=publication,
        outcomes=make_outcomes(parts),
        clock=clock,
        telemetry=telemetry,
    )
    return Dispatch(
        ledger=ledger,
        arena=arena,
        adoption=adoption,
        submission=submission,
        watch=watch,
        publication=publication,
        clock=clock,
        telemetry=telemetry,
        max_items=parts.settings.max_items_per_run,
        paused=parts.settings.exports_paused,
    )


def make_backlog(parts: Parts) -> Backlog:
    """Return what submit measures the backlog with."""
    requests = make_ledger(parts).requests
    return Backlog(requests=requests, clock=parts.clock, telemetry=parts.telemetry)
