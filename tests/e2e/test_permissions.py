"""On the deployed stack, each function is granted exactly what it calls.

In the scenario (`tests/support/fault_scenario.py`), every function makes every call that it can
make. The permissions of the state machine and the schedules are compared with their definitions
(`tests/infrastructure/test_permissions.py`), because the embedded AWS does not enforce their roles.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import boto3
import pytest

from infra.checks.artifact import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.stack import Stack
    from tests.support.fault_scenario import FaultScenario

# The first of these tests waits for the whole day.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# What is granted and yet is no call of the function's code, and who calls it.
CALLED_BY_AWS = {
    "logs:CreateLogStream": "Lambda writes the function's log",
    "logs:PutLogEvents": "Lambda writes the function's log",
    "sqs:ReceiveMessage": "the event source mapping, in the function's name",
    "sqs:DeleteMessage": "the event source mapping, in the function's name",
    "sqs:GetQueueAttributes": "the event source mapping, in the function's name",
    "kms:Decrypt": "SNS and Secrets Manager, in the caller's name",
    "kms:GenerateDataKey": "SNS and Secrets Manager, in the caller's name",
}


def grants(stack: Stack, logical_id: str) -> Iterator[tuple[str, str]]:
    """Yield the actions and resources of a function's role, as they are in force."""
    iam = boto3.client("iam", endpoint_url=stack.endpoint)
    found = stack.clients.functions.get_function_configuration(
        FunctionName=stack.resources[logical_id]
    )
    role = found["Role"].rpartition("/")[2]
    assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in document["Statement"]:
            assert statement.keys() - {"Condition"} == {"Effect", "Action", "Resource"}
            for action in _many(statement["Action"]):
                for resource in _many(statement["Resource"]):
                    yield action, resource


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _covers(grant: tuple[str, str], call: tuple[str, str]) -> bool:
    return grant[0] == call[0] and fnmatchcase(call[1], grant[1])


def test_calls__none_is_denied(fault_scenario: FaultScenario) -> None:
    """No grant is missing."""
    denied = {
        (call.function, call.service, call.operation)
        for call in fault_scenario.calls
        if call.denied
    }
    assert denied == set()


@pytest.mark.parametrize("logical_id", HANDLERS)
def test_function__is_granted_what_it_calls_and_no_more(
    fault_scenario: FaultScenario, logical_id: str
) -> None:
    """Actions and resources are compared in both directions."""
    function = HANDLERS[logical_id].partition(".")[0]
    place = ":".join(fault_scenario.stack.outputs["OutcomeTopicArn"].split(":")[3:5])
    called = {
        needed
        for call in fault_scenario.calls
        if call.function == function
        for needed in call.grants(place)
    }
    granted = set(grants(fault_scenario.stack, logical_id))
    assert [call for call in called if not any(_covers(grant, call) for grant in granted)] == []
    own = {grant for grant in granted if grant[0] not in CALLED_BY_AWS}
    assert [grant for grant in own if not any(_covers(grant, call) for call in called)] == []


def test_calls__name_the_function_that_makes_them(fault_scenario: FaultScenario) -> None:
    """The user agent names the function, here and in an account's CloudTrail."""
    functions = {handler.partition(".")[0] for handler in HANDLERS.values()}
    assert {call.function for call in fault_scenario.calls} == functions


def test_calls_by_aws__are_all_granted(fault_scenario: FaultScenario) -> None:
    """Each entry of the list has a grant."""
    actions = {g[0] for logical_id in HANDLERS for g in grants(fault_scenario.stack, logical_id)}
    assert actions >= CALLED_BY_AWS.keys()
