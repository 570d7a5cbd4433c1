"""Checks before and after a deployment.

A check that AWS does not permit is reported as not checked. No check logs in to Arena or shows the
value of a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.domain.errors import LoginRefusedError, RetryLaterError
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.messages import normal_guid
from arena_exports.services.login import checked_credentials
from arena_exports_operator.answers.checks import failure, not_checked, ok, warning
from arena_exports_operator.answers.reasons import Cause, stack_reasons
from arena_exports_operator.answers.words import counted
from arena_exports_operator.aws.calls import explained
from arena_exports_operator.aws.delivery import bucket, delivery_key
from arena_exports_operator.aws.stack import resource
from arena_exports_operator.errors import NoAccessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arena_exports.ports import Secret
    from arena_exports_operator.answers.checks import Check
    from arena_exports_operator.answers.snapshot import Snapshot
    from arena_exports_operator.aws.calls import Aws
    from arena_exports_operator.aws.stack import Stack

MIN_CONCURRENCY = 20  # five for submit and one for each other function, with some to spare
MAX_STACK_NAME = 69
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


@dataclass(frozen=True, slots=True)
class PlannedDeployment:
    """What is going to be deployed, as far as the operator has said."""

    stack_name: str
    secret_arn: str | None
    export_guid: str | None


def arena_not_asked() -> Check:
    """Return that the checks that need Arena were not made."""
    return not_checked(
        "arena",
        "the login, the export definitions and their views "
        "(doctor --arena asks Arena, through a deployed stack)",
    )


def unless_denied(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield what a check finds, or that it could not be made."""
    try:
        yield from check()
    except NoAccessError as exc:
        yield not_checked(name, str(exc))


# ---- before a deployment -------------------------------------------------------------------------


def before(aws: Aws, planned: PlannedDeployment) -> Iterator[Check]:
    """Yield what can be checked before a stack is deployed."""
    yield from unless_denied("access", lambda: _access(aws))
    yield from _region(aws)
    yield from unless_denied("quotas", lambda: _quotas(aws))
    yield from _names(planned)
    yield from unless_denied("secret", lambda: _secret(aws, planned))
    yield from _definition(planned)
    yield arena_not_asked()


def _access(aws: Aws) -> Iterator[Check]:
    yield ok("access", f"AWS is reached as {aws.caller()}")


def _region(aws: Aws) -> Iterator[Check]:
    if aws.region:
        yield ok("region", f"the region is {aws.region}")
    else:
        yield failure("region", "no region is set", "set AWS_REGION, or use --region")


def _quotas(aws: Aws) -> Iterator[Check]:
    with explained():
        limit = aws.client("lambda").get_account_settings()["AccountLimit"]
    free = limit["UnreservedConcurrentExecutions"]
    text = f"{free} concurrent executions of Lambda functions are available"
    if free < MIN_CONCURRENCY:
        yield warning(
            "quotas",
            f"only {text}, and the stack uses up to {MIN_CONCURRENCY} under load",
            "ask AWS to raise Lambda's quota Concurrent executions (L-B99A9384)",
        )
    else:
        yield ok("quotas", text)


def _names(planned: PlannedDeployment) -> Iterator[Check]:
    name = planned.stack_name
    if len(name) > MAX_STACK_NAME or not _STACK_NAME.fullmatch(name):
        yield failure(
            "names",
            f"{name} cannot be the stack's name",
            f"use at most {MAX_STACK_NAME} letters, digits and hyphens, starting with a letter",
        )
    else:
        yield ok("names", f"{name} can be the stack's name")


def _secret(aws: Aws, planned: PlannedDeployment) -> Iterator[Check]:
    arn = planned.secret_arn
    if arn is None:
        yield not_checked("secret", "no secret was named: use --secret ARN")
        return
    try:
        checked_credentials(_read_secret(aws, arn))
    except LoginRefusedError as exc:
        yield failure(
            "secret",
            str(exc),
            'store {"email", "password", "workspaceId"} as JSON text in the secret',
        )
    except RetryLaterError as exc:
        yield not_checked("secret", f"the secret could not be read: {exc.reason}")
    else:
        yield ok("secret", "the credentials secret has an e-mail address and a password")


def _read_secret(aws: Aws, arn: str) -> Secret | None:
    """Read a secret; its value is neither kept nor shown."""
    return ManagedSecret(aws.client("secretsmanager"), arn, lambda _: None, must_exist=True).read()


def _definition(planned: PlannedDeployment) -> Iterator[Check]:
    if planned.export_guid is None:
        text = "no export definition was named: use --export GUID"
        yield not_checked("definition", text)
    elif normal_guid(planned.export_guid) is None:
        yield failure(
            "definition",
            f"{planned.export_guid} is not a valid GUID",
            "use the definition's GUID in Arena (16 to 32 letters and digits), not its name",
        )
    else:
        yield ok("definition", "the export definition's GUID has the right form")


# ---- after a deployment --------------------------------------------------------------------------


def after(aws: Aws, stack: Stack, seen: Snapshot) -> Iterator[Check]:
    """Yield what can be checked of a deployed stack."""
    yield from unless_denied("access", lambda: _access(aws))
    yield from _stack(stack)
    yield from _parameters(stack)
    for name, check in _DEPLOYED.items():
        yield from unless_denied(name, lambda check=check: check(aws, stack, seen))  # type: ignore[misc] # bound now
    yield from _lease(seen)
    yield from _session(seen)


def _stack(stack: Stack) -> Iterator[Check]:
    text = f"stack {stack.name}, version {stack.version}, is {stack.status}"
    if stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        yield ok("stack", text)
    elif stack.status.endswith("_IN_PROGRESS"):
        yield warning("stack", text, "wait until the deployment has ended")
    else:
        yield failure("stack", text, "read the stack's events, and run make deploy again")


def _parameters(stack: Stack) -> Iterator[Check]:
    values, found = stack.parameters, False
    if values.get("ExportsPaused") == "true":
        found = True
        yield warning("parameters", "ExportsPaused is true", "set it to false to export again")
    if bool(values.get("ScheduledExportGuid")) != bool(values.get("ScheduledExportExpression")):
        found = True
        yield failure(
            "parameters",
            "only one of ScheduledExportGuid and ScheduledExportExpression is set: no schedule",
            "set both or neither",
        )
    if not found:
        yield ok("parameters", "no parameter contradicts another")


def _intake(aws: Aws, stack: Stack, _seen: Snapshot) -> Iterator[Check]:
    uuid = resource(aws, stack, "SubmitFunctionIntake")
    with explained():
        state = aws.client("lambda").get_event_source_mapping(UUID=uuid)["State"]
    if state == "Enabled":
        yield ok("intake", "submit reads the intake queue")
    else:
        yield failure(
            "intake",
            f"the event source mapping of submit is {state}",
            f"run aws lambda update-event-source-mapping --enabled --uuid {uuid}",
        )


def _schedules(aws: Aws, stack: Stack, _seen: Snapshot) -> Iterator[Check]:
    names = ["ReconcileSchedule"]
    if stack.parameters.get("ScheduledExportGuid"):
        names.append("ExportSchedule")
    for name in names:
        with explained():
            found = aws.client("scheduler").get_schedule(Name=resource(aws, stack, name))
        if found["State"] == "ENABLED":
            yield ok("schedules", f"{name} is enabled")
        else:
            yield failure("schedules", f"{name} is {found['State']}", "enable it in the console")


def _executions(aws: Aws, stack: Stack, seen: Snapshot) -> Iterator[Check]:
    attempt = seen.attempt
    if attempt is None or seen.lease.state is not LeaseState.RUNNING:
        yield ok("executions", "no run is in progress")
        return
    name = f"{attempt.run_guid}-{attempt.execution_number}"
    arn = stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
    with explained():
        found = aws.client("stepfunctions").describe_execution(executionArn=f"{arn}:{name}")
    if found["status"] == "RUNNING":
        yield ok("executions", f"execution {name} polls the run in progress")
    else:
        yield warning(
            "executions",
            f"execution {name} of the run in progress is {found['status']}",
            "wait a minute: reconcile starts another execution",
        )


def _alarms(aws: Aws, stack: Stack, _seen: Snapshot) -> Iterator[Check]:
    with explained():
        pages = aws.client("cloudwatch").get_paginator("describe_alarms")
        arguments = {"AlarmNamePrefix": f"{stack.name}-", "StateValue": "ALARM"}
        found = [alarm for page in pages.paginate(**arguments) for alarm in page["MetricAlarms"]]
    # Other stacks' names may begin with this one's. CloudFormation names: stack-resource-suffix.
    own = re.compile(re.escape(stack.name) + "-[A-Za-z0-9]+-[A-Za-z0-9]+")
    found = [alarm for alarm in found if own.fullmatch(alarm["AlarmName"])]
    for alarm in found:
        fix = alarm.get("AlarmDescription", "check what the alarm monitors")
        yield warning("alarms", f"{alarm['AlarmName']} is in alarm", fix)
    if not found:
        yield ok("alarms", "no alarm is active")


def _queues(aws: Aws, stack: Stack, seen: Snapshot) -> Iterator[Check]:
    def kept(output: str) -> int:
        url, name = stack.outputs[output], "MessageRetentionPeriod"
        with explained():
            found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(found["Attributes"][name])

    intake, dead = kept("IntakeQueueUrl"), kept("DeadLetterQueueUrl")
    if dead <= intake:
        yield failure(
            "queues",
            "the dead-letter queue does not keep messages for longer than the intake queue",
            "run make deploy again, which sets both",
        )
    else:
        yield ok("queues", f"the dead-letter queue keeps entries for {dead // 86_400} days")
    if seen.stack_state.dead_letters:
        text = f"the dead-letter queue has {counted(seen.stack_state.dead_letters, 'entry')}"
        yield warning("queues", text, "run arena-exports dead-letters list")


def _subscriptions(aws: Aws, stack: Stack, _seen: Snapshot) -> Iterator[Check]:
    topics = {
        "outcome topic": stack.outputs["OutcomeTopicArn"],
        "alarm topic": resource(aws, stack, "AlarmTopic"),
    }
    for name, arn in topics.items():
        with explained():
            pages = aws.client("sns").get_paginator("list_subscriptions_by_topic")
            found = [s for page in pages.paginate(TopicArn=arn) for s in page["Subscriptions"]]
        yield _of_subscriptions(name, found)


def _of_subscriptions(topic: str, found: list[dict[str, Any]]) -> Check:
    unconfirmed = [s for s in found if s["SubscriptionArn"] == "PendingConfirmation"]
    if not found:
        return warning("subscriptions", f"the {topic} has no subscription", "subscribe to it")
    if unconfirmed:
        kinds = ", ".join(sorted({s["Protocol"] for s in unconfirmed}))
        return warning(
            "subscriptions",
            f"not confirmed: {counted(len(unconfirmed), 'subscription')} of the {topic} ({kinds})",
            "open the link that SNS sent to each of them",
        )
    return ok("subscriptions", f"the {topic} has {counted(len(found), 'confirmed subscription')}")


def _key(aws: Aws, stack: Stack, _seen: Snapshot) -> Iterator[Check]:
    with explained():
        found = aws.client("kms").describe_key(KeyId=resource(aws, stack, "Key"))
    state = found["KeyMetadata"]["KeyState"]
    if state == "Enabled":
        yield ok("keys", "the stack's key is enabled")
    else:
        yield failure("keys", f"the stack's key is {state}", "enable it, or cancel its deletion")


_DEPLOYED: dict[str, Callable[[Aws, Stack, Snapshot], Iterator[Check]]] = {
    "intake": _intake,
    "schedules": _schedules,
    "executions": _executions,
    "alarms": _alarms,
    "queues": _queues,
    "subscriptions": _subscriptions,
    "keys": _key,
    "delivery key": lambda aws, stack, _: delivery_key(aws, stack),
    "bucket": lambda aws, stack, _: bucket(aws, stack),
}


def _lease(seen: Snapshot) -> Iterator[Check]:
    causes = {reason.cause: reason.sentence for reason in stack_reasons(seen)}
    if Cause.RECONCILE_MISSING in causes:
        yield failure(
            "lease",
            "nothing has moved for minutes although a run could start",
            "check the alarm SubmitErrorsAlarm and the log of submit",
        )
    elif Cause.RUN_OVERDUE in causes:
        yield warning("lease", causes[Cause.RUN_OVERDUE], "check the run in Arena")
    else:
        yield ok("lease", "the lease is not overdue")


def _session(seen: Snapshot) -> Iterator[Check]:
    session = seen.session
    if session.refused_version:
        yield failure(
            "session",
            f"the login was refused ({session.refused_code})",
            "correct the credentials secret: see the runbook, Change the password",
        )
    elif not session.version:
        yield warning("session", "no login has succeeded yet", "send a first request")
    else:
        yield ok("session", f"a session is active ({counted(len(session.logins), 'recent login')})")
