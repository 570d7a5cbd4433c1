"""The operator's tool at work on a small world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from arena_exports_operator.answers.stack_state import StackState
from arena_exports_operator.aws import sending
from arena_exports_operator.aws.stack import Stack
from arena_exports_operator.command import context
from arena_exports_operator.command.main import main

if TYPE_CHECKING:
    import pytest
    from click.testing import Result

    from tests.support.world import World

CALLER = "arn:aws:sts::123456789012:assumed-role/Operators/jane@example.com"
_OUTPUTS = ("IntakeQueueUrl", "DeadLetterQueueUrl", "OutcomeTopicArn", "StateMachineArn")


def stack_state(world: World) -> StackState:
    """Return what AWS says of a world's stack; nothing is on its intake queue."""
    settings = world.dependencies.settings
    parameters = {
        "DeliverFiles": str(settings.delivers_files).lower(),
        "DefaultExportGuid": settings.default_export_guid,
        "ExportsPaused": str(settings.exports_paused).lower(),
        "MaxItemsPerRun": str(settings.max_items_per_run),
        "RequestBudgetReserve": str(settings.request_budget_reserve),
        "RunTimeoutSeconds": str(settings.run_timeout_seconds),
        "WorkspaceName": settings.workspace,
    }
    return StackState(parameters, 0, len(world.dead_letters.letters))


def install_context(monkeypatch: pytest.MonkeyPatch, world: World, **more: Any) -> None:
    """Have every command read a world's ledger, clock and queues; `more` replaces parts of it."""
    outputs = {name: name for name in _OUTPUTS}
    outputs |= {
        "Version": "0.1.0",
        "IntakeQueueArn": "arn:aws:sqs:us-east-1:123456789012:intake",
        "DeliveryBucketName": world.bucket.name,
    }
    parameters = stack_state(world).parameters
    stack = Stack("arena-exports", outputs, parameters, "CREATE_COMPLETE")

    def make(_stack: str | None, _profile: str | None, _region: str | None, output: str) -> Any:
        made = context.Context(None, None, None, as_json=output == "json")
        parts = {
            "clock": world.clock,
            "table": world.table,
            "ledger": world.ledger,
            "stack": stack,
            "caller": CALLER,
            "read_stack_state": lambda: stack_state(world),
        }
        vars(made).update(parts, **more)
        return made

    def reconcile(_aws: Any, _stack: Stack, caller: str, command: str) -> None:
        world.reconcile(**sending.reconcile_event(caller, command))

    monkeypatch.setattr(context, "make_context", make)
    monkeypatch.setattr(sending, "reconcile", reconcile)


def ask(*arguments: str) -> Result:
    """Run `arena-exports` with arguments."""
    return CliRunner().invoke(main, arguments)
