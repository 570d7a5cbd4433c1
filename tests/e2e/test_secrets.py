"""Passwords and session ids are in Secrets Manager, and nowhere else (R9).

The tests search all output of the functions after most faults occurred at log level DEBUG
(`tests/support/fault_scenario.py`).
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from infra.local import logs
from infra.local.demo import bucket
from infra.simulator import names
from tests.support.fault_scenario import CANARY, ECO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.stack import Stack
    from tests.support.fault_scenario import FaultScenario
    from tests.support.recorder import Call

# The first of these tests waits for the whole day.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SECRET = re.compile(rf"{CANARY}|[A-Z0-9]{{20}}(\||%7C){names.WORKSPACE_ID}")
"""The password, however it is spelt, and any session id of the simulator, or its first half."""


@pytest.fixture(scope="module")
def places(fault_scenario: FaultScenario) -> dict[str, str]:
    """All output of the functions as text, by the name of the place."""
    stack, clients = fault_scenario.stack, fault_scenario.stack.clients
    machine = stack.outputs["StateMachineArn"]
    table = clients.dynamodb.get_paginator("scan").paginate(
        TableName=stack.outputs["LedgerTableName"]
    )
    return {
        **{f"log of {name}": text for name, text in _logs(stack)},
        "executions": _text(list(_executions(stack))),
        "state machine": _text(
            clients.stepfunctions.describe_state_machine(stateMachineArn=machine)
        ),
        "ledger": _text([page["Items"] for page in table]),
        "events": _text([[one.event, one.attributes] for one in fault_scenario.subscriber.events]),
        "dead letters": _text([[one.body, one.attributes] for one in fault_scenario.dead_letters]),
        "objects": _text([str(one.body) for one in bucket.read_all(stack).values()]),
        "functions": _text(clients.functions.list_functions()["Functions"]),
        "stack": _text(clients.cloudformation.describe_stacks()["Stacks"]),
        "answers": _text(fault_scenario.answers),
        "calls of AWS": _calls(fault_scenario.calls, secrets=False),
        "calls of Secrets Manager": _calls(fault_scenario.calls, secrets=True),
        "credentials": fault_scenario.secret("ARENA_CREDENTIALS_SECRET_ARN"),
        "session": fault_scenario.secret("SESSION_SECRET_ARN"),
    }


def test_secrets__are_only_in_secrets_manager(places: dict[str, str]) -> None:
    """The search finds them there, and in no other place."""
    found = {name for name, text in places.items() if SECRET.search(text)}
    assert found == {"calls of Secrets Manager", "credentials", "session"}


def test_session_ids__that_were_used_are_nowhere_else(places: dict[str, str]) -> None:
    """Not even half of an id is found, whether the session is alive or dead."""
    kept = places["calls of Secrets Manager"]
    ids = re.findall(rf"([A-Z0-9]{{20}})\|{names.WORKSPACE_ID}\|([a-z0-9]{{20}})=", kept)
    assert len(set(ids)) >= 3
    half = re.compile("|".join(part for halves in set(ids) for part in halves))
    found = {name for name, text in places.items() if half.search(text)}
    assert found == {"calls of Secrets Manager", "session"}


def test_places__are_searched_completely(
    places: dict[str, str], fault_scenario: FaultScenario
) -> None:
    """The search finds in each place what must be there."""
    run_guid = fault_scenario.stack.arena.state().runs[0].guid
    known = {
        "log of SubmitLogGroup": run_guid,
        "log of PollLogGroup": run_guid,
        "log of PublishLogGroup": run_guid,
        "log of SessionLogGroup": "logged in",
        "log of DeliverLogGroup": run_guid,
        "executions": run_guid,
        "state machine": "PollFunction",
        "ledger": ECO,
        "events": ECO,
        "dead letters": ECO,
        "objects": ECO,
        "functions": '"POWERTOOLS_LOG_LEVEL": "DEBUG"',
        "stack": "ArenaCredentialsSecretArn",
        "answers": "login refused",
        "calls of AWS": ECO,
    }
    assert {name for name, word in known.items() if word not in places[name]} == set()
    assert places.keys() - known.keys() == {
        "log of ExamineLogGroup",  # nobody has asked for it
        "log of ExportRunLogGroup",  # the embedded AWS keeps no log of executions
        "log of StatusLogGroup",  # status logs nothing
        "calls of Secrets Manager",
        "credentials",
        "session",
    }


def _logs(stack: Stack) -> Iterator[tuple[str, str]]:
    for logical_id, group in stack.resources.items():
        if logical_id.endswith("LogGroup"):
            yield logical_id, "\n".join(logs.function_lines(stack.clients, group))


def _executions(stack: Stack) -> Iterator[Any]:
    """Yield each execution of the state machine, and its history."""
    client, machine = stack.clients.stepfunctions, stack.outputs["StateMachineArn"]
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine)
    for arn in [one["executionArn"] for page in pages for one in page["executions"]]:
        yield client.describe_execution(executionArn=arn)
        yield from client.get_paginator("get_execution_history").paginate(executionArn=arn)


def _calls(calls: list[Call], *, secrets: bool) -> str:
    return "\n".join(
        f"{call.path} {_text(call.arguments)}"
        for call in calls
        if (call.service == "secretsmanager") is secrets
    )


def _text(value: Any) -> str:
    """Return a value as text in which nothing is escaped or compressed."""
    if isinstance(value, dict):
        return "\n".join(
            f"{json.dumps(key)}: {_text(_bytes(key, inner))}" for key, inner in value.items()
        )
    if isinstance(value, (list, tuple)):
        return "\n".join(map(_text, value))
    if isinstance(value, bytes):
        return zlib.decompress(value).decode()
    return f'"{value}"'


def _bytes(key: str, value: Any) -> Any:
    """Return what an attribute of DynamoDB holds where it is binary, as it is in a call."""
    return base64.b64decode(value) if key == "B" and isinstance(value, str) else value
