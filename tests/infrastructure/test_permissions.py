"""The permissions in the translated template.

That a function is granted just what it calls is shown on the deployed stack
(`tests/e2e/test_permissions.py`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.ledger.keys import BUDGET, DELIVER, DELIVERY_LANE, PAUSE
from infra.checks.policies import MAX_ACCOUNTS, policies
from infra.checks.template import translated
from tests.support.asl import DEFINITION
from tests.support.translated import (
    ROOT,
    Statement,
    reference,
    resource_statements,
    resources,
    role_statements,
)

if TYPE_CHECKING:
    from arena_exports.ports import Key

EVERYTHING = tuple(translated()["Conditions"])

# What may have no named resource, and why.
WILDCARD_RESOURCES = {
    "logs": "log deliveries have no names (AWS: Logging in Step Functions)",
    "xray": "traces have no ARN (AWS: X-Ray and Step Functions)",
    "kms": "the policy of a key speaks of that key",
}
# Services that are held by another condition than aws:SourceAccount, and why.
OTHER_CONDITIONS = {
    # It names the account's log groups.
    "logs.<Region>.<URLSuffix>": "kms:EncryptionContext:aws:logs:arn",
    # They say which topic or rule, and only that.
    "sns.amazonaws.com": "aws:SourceArn",
    "events.amazonaws.com": "aws:SourceArn",
}


def roles_that_may(action: str, resource: str) -> set[str]:
    """Return the roles that grant an action on a resource."""
    return {
        one.of
        for one in role_statements(*EVERYTHING)
        if action in one.actions and any(resource in name for name in one.resources)
    }


def who_may(action: str, resource: str) -> set[str]:
    """Return the roles that grant an action on exactly this resource."""
    return {role for role in roles_that_may(action, resource) if resource in granted(role, action)}


def granted(role: str, action: str) -> set[str]:
    """Return the resources that a role grants an action on."""
    return {
        name
        for one in role_statements(*EVERYTHING)
        if one.of == role and action in one.actions
        for name in one.resources
    }


@pytest.mark.parametrize(("options", "functions"), [((), 5), (("DeliversFiles",), 6)], ids=str)
def test_roles__one_for_each_function(options: tuple[str, ...], functions: int) -> None:
    """Each function has exactly one role, with no policy attached from elsewhere."""
    roles = resources("AWS::IAM::Role", *options)
    used = [str(f["Role"]) for f in resources("AWS::Lambda::Function", *options).values()]
    assert len(set(used)) == len(used) == functions
    assert len(roles) == functions + 2
    assert all("ManagedPolicyArns" not in role for role in roles.values())


def test_actions__no_wildcard() -> None:
    """No action has a wildcard, except for the account in the key policy, as AWS documents."""
    for one in [*role_statements(*EVERYTHING), *resource_statements(*EVERYTHING)]:
        if one.effect == "Allow" and one.principals != ("arn:<Partition>:iam::<AccountId>:root",):
            assert not any("*" in action for action in one.actions), one


def test_resources__wildcard_only_with_a_reason() -> None:
    """No resource has a wildcard unless the action has no resource; functions only for traces."""
    wild = {
        (one.of, action.partition(":")[0])
        for one in [*role_statements(*EVERYTHING), *resource_statements(*EVERYTHING)]
        if "*" in one.resources
        for action in one.actions
    }
    assert {service for _, service in wild} == WILDCARD_RESOURCES.keys()
    assert {of for of, service in wild if service == "logs"} == {"ExportRunRole"}
    assert {of for of, service in wild if service == "kms"} == {"Key"}


def test_secrets__who_reads_them() -> None:
    """Only session reads the credentials; whoever calls Arena reads the session id."""
    read = "secretsmanager:GetSecretValue"
    callers = {"SubmitRole", "PollRole", "SessionRole", "DeliverRole", "ExamineRole"}
    assert roles_that_may(read, "ArenaCredentialsSecretArn") == {"SessionRole"}
    assert roles_that_may(read, "SessionSecret") == roles_that_may(read, "") == callers
    assert roles_that_may("secretsmanager:PutSecretValue", "") == {"SessionRole"}
    assert roles_that_may("kms:Decrypt", "ArenaCredentialsKeyArn") == {"SessionRole"}


def test_topic__who_publishes() -> None:
    """Only publish, deliver, and submit for rejections may publish events."""
    publishers = {"SubmitRole", "PublishRole", "DeliverRole"}
    assert roles_that_may("sns:Publish", "") == publishers
    assert roles_that_may("sns:Publish", "OutcomeTopic") == publishers


def test_key__for_those_who_use_what_it_encrypts() -> None:
    """Writers may generate data keys, and readers may decrypt them."""
    publishers = roles_that_may("sns:Publish", "OutcomeTopic")
    readers = roles_that_may("secretsmanager:GetSecretValue", "SessionSecret")
    writers = roles_that_may("secretsmanager:PutSecretValue", "SessionSecret")
    assert who_may("kms:Decrypt", "Key") == publishers | readers
    assert who_may("kms:GenerateDataKey", "Key") == publishers | writers
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert who_may(action, "DeliveryKeyArn") == {"DeliverRole"}


def test_logs__each_function_has_its_own() -> None:
    """Lambda writes a function's log with the function's role, to its own log group only."""
    for function in resources("AWS::Lambda::Function", "DeliversFiles").values():
        log_group = reference(function["LoggingConfig"]["LogGroup"])
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert granted(reference(function["Role"]), action) == {log_group}


def test_intake__is_read_for_submit_alone() -> None:
    """The event source mapping uses submit's role; submit delays the retry of failed messages.

    The status page may measure the queue.
    """
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    assert reference(mapping["FunctionName"]) == "SubmitFunction"
    read = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    for action in (*read, "sqs:ChangeMessageVisibility"):
        measuring = {"StatusRole"} if action == "sqs:GetQueueAttributes" else set()
        assert roles_that_may(action, "") == {"SubmitRole"} | measuring
        assert granted("SubmitRole", action) == {reference(mapping["EventSourceArn"])}


def test_conditions__add_keys_and_tracing_alone() -> None:
    """All other permissions are effective in the stack that the tests deploy, with delivery."""
    key = ("kms:Decrypt", "kms:GenerateDataKey")
    assert added("HasCredentialsKey") == {("SessionRole", ("kms:Decrypt",), SECRETS_KEY)}
    assert added("HasDeliveryKey") == {("DeliverRole", key, ("DeliveryKeyArn",))}
    put = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
    functions = resources("AWS::Lambda::Function", *DEPLOYED).values()
    assert added("HasTracing") == {
        *((reference(one["Role"]), put, ("*",)) for one in functions),
        ("ExportRunRole", (*put, "xray:GetSamplingRules", "xray:GetSamplingTargets"), ("*",)),
    }
    all_three = ("HasCredentialsKey", "HasDeliveryKey", "HasTracing")
    assert added(*EVERYTHING) == added(*all_three)


SECRETS_KEY = ("ArenaCredentialsKeyArn",)
DEPLOYED = ("DeliversFiles", "MakesBucket", "HasDashboard")


def added(*true: str) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return role, actions, and resources of what conditions add to the stack of the tests."""
    always = list(role_statements(*DEPLOYED))
    found = [one for one in role_statements(*DEPLOYED, *true) if one not in always]
    return {(one.of, one.actions, one.resources) for one in found}


def test_delivery__off_grants_nothing_more() -> None:
    """With delivery, submit may invoke deliver, and deliver gets its role."""
    without = list(role_statements())
    more = [one for one in role_statements("DeliversFiles", "MakesBucket") if one not in without]
    assert {one.of for one in more} == {"SubmitRole", "DeliverRole"}
    (invoke,) = [one for one in more if one.of == "SubmitRole"]
    assert (invoke.actions, invoke.resources) == (("lambda:InvokeFunction",), ("DeliverFunction",))
    assert roles_that_may("lambda:InvokeFunction", "DeliverFunction") == {"SubmitRole"}


@pytest.mark.parametrize(
    ("role", "items"), [("PollRole", (BUDGET, DELIVERY_LANE)), ("ExamineRole", (BUDGET,))]
)
def test_ledger__poll_and_examine_update_named_items(role: str, items: tuple[Key, ...]) -> None:
    """Only the request budget, and, for poll, what tells a download that polls get no answer."""
    keys = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [pk for pk, _ in items]}}
    update = "dynamodb:UpdateItem"
    (one,) = [one for one in role_statements() if one.of == role and update in one.actions]
    assert (one.condition, one.resources) == (keys, ("Ledger",))


@pytest.mark.parametrize("bucket", ["DeliveryBucket", "DeliveryBucketName"])
def test_bucket__deliver_alone_writes_below_its_prefix_and_deletes_nothing(bucket: str) -> None:
    """FAULT 64: every permission names the bucket, which must belong to this account."""
    made = ("MakesBucket",) if bucket == "DeliveryBucket" else ()
    found = [
        one
        for one in role_statements("DeliversFiles", *made)
        for action in one.actions
        if action.startswith("s3:")
    ]
    assert {one.of for one in found} == {"DeliverRole"}
    own = {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
    assert all(one.condition["StringEquals"] == own for one in found)
    whole = f"arn:<Partition>:s3:::<{bucket}>"
    assert {(action, *one.resources) for one in found for action in one.actions} == {
        ("s3:PutObject", f"{whole}/<DeliveryPrefix>/v1/*"),
        ("s3:GetObject", f"{whole}/<DeliveryPrefix>/v1/*"),
        ("s3:AbortMultipartUpload", f"{whole}/<DeliveryPrefix>/v1/*"),
        ("s3:ListBucket", whole),
        ("s3:ListBucketMultipartUploads", whole),
    }
    (listing,) = [one for one in found if one.actions == ("s3:ListBucket",)]
    assert listing.condition["StringLike"] == BELOW_PREFIX


BELOW_PREFIX = {"s3:prefix": {"Fn::Sub": "${DeliveryPrefix}/v1/*"}}


def test_bucket__subscribers_read_below_the_prefix() -> None:
    """The accounts of `SubscriberAccountIds` may get and list; nobody else is named."""
    policy = [one for one in resource_statements(*EVERYTHING) if one.effect == "Allow"]
    get, listing = [one for one in policy if one.of == "DeliveryBucketPolicy"]
    assert all("SubscriberAccountIds" in name for one in (get, listing) for name in one.principals)
    assert get.actions == ("s3:GetObject", "s3:GetObjectVersion")
    assert get.resources == ("arn:<Partition>:s3:::<DeliveryBucket>/<DeliveryPrefix>/v1/*",)
    assert listing.actions == ("s3:ListBucket",)
    assert listing.resources == ("arn:<Partition>:s3:::<DeliveryBucket>",)
    assert listing.condition == {"StringLike": BELOW_PREFIX}


def test_bucket__refuses_plain_http() -> None:
    """The bucket and all of its objects are covered, if Arena's address is a real one."""
    (refusal,) = [
        one for one in resource_statements("HasTls", *DEPLOYED) if one.of == "DeliveryBucketPolicy"
    ]
    assert _refuses_plain(refusal)
    assert refusal.actions == ("s3:*",)
    whole = "arn:<Partition>:s3:::<DeliveryBucket>"
    assert refusal.resources == (whole, f"{whole}/*")


def test_delivery_page__shows_the_policy_of_the_stack_s_bucket() -> None:
    """Whoever has a bucket of their own gives it the same policy and the same rule."""
    page = (ROOT / "infra" / "delivery.md").read_text()
    policy, lifecycle = map(json.loads, re.findall(r"```json\n(.+?)```", page, re.DOTALL))
    (ours,) = [text for name, text in policies(*EVERYTHING) if name == "DeliveryBucketPolicy"]
    bucket, accounts = "stack-deliverybucket-a1b2c3", ["210987654321"] * 150
    shown = json.dumps(policy).replace("BUCKET", bucket)
    assert json.loads(ours) == json.loads(
        shown.replace(json.dumps(accounts[:1]), json.dumps(accounts))
    )
    (made,) = resources("AWS::S3::Bucket", *EVERYTHING).values()
    (rule,) = made["LifecycleConfiguration"]["Rules"]
    (shown_rule,) = lifecycle["Rules"]
    for name in ("Status", "AbortIncompleteMultipartUpload"):
        assert shown_rule[name] == rule[name]


def test_state_machine__may_call_what_its_definition_calls() -> None:
    """The state machine may invoke exactly the functions in its definition, and write its log."""
    called = {
        state["Arguments"]["FunctionName"].removeprefix("${").removesuffix("Arn}")
        for state in DEFINITION["States"].values()
        if state["Type"] == "Task"
    }
    statements = [one for one in role_statements() if one.of == "ExportRunRole"]
    calls = [one for one in statements if one.actions == ("lambda:InvokeFunction",)]
    assert [set(one.resources) for one in calls] == [called]
    (logging,) = [one for one in statements if one not in calls]
    assert all(action.startswith("logs:") for action in logging.actions)


def test_schedules__may_reach_their_targets() -> None:
    """The schedules' role grants exactly what their targets need."""
    schedules = resources("AWS::Scheduler::Schedule", "HasSchedule").values()
    targets = [schedule["Target"] for schedule in schedules]
    kept = [one["DeadLetterConfig"] for one in targets if "DeadLetterConfig" in one]
    reached = {one["Arn"]["Fn::GetAtt"][0] for one in (*targets, *kept)}
    grants = {
        (action, resource)
        for one in role_statements("HasSchedule")
        if one.of == "ScheduleRole"
        for action in one.actions
        for resource in one.resources
    }
    assert grants == {
        ("lambda:InvokeFunction" if name.endswith("Function") else "sqs:SendMessage", name)
        for name in reached
    }


def test_services__come_from_this_account() -> None:
    """A service principal has the condition that AWS documents for it (confused deputy).

    For lambda.amazonaws.com in a trust policy AWS documents none: with one, the poller of the queue
    might not get the role.
    """
    seen = set()
    for one in resource_statements(*EVERYTHING):
        for service in one.services:
            seen.add(service)
            if service == "lambda.amazonaws.com":
                assert one.condition == {}, one
            elif service in OTHER_CONDITIONS:
                assert "AWS::AccountId" in str(one.condition["ArnLike"][OTHER_CONDITIONS[service]])
            else:
                assert one.condition["StringEquals"]["aws:SourceAccount"], one
    assert seen >= {"lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com"}
    assert OTHER_CONDITIONS.keys() <= seen


def test_services__have_the_names_of_every_partition() -> None:
    """A service principal is the same in all partitions, except CloudWatch Logs in a key policy.

    That name has the region and the partition's own suffix (AWS: Encrypt log data using AWS KMS).
    """
    services = {name for one in resource_statements(*EVERYTHING) for name in one.services}
    elsewhere = {name for name in services if not re.fullmatch(r"[a-z]+\.amazonaws\.com", name)}
    assert elsewhere == {"logs.<Region>.<URLSuffix>"}


@pytest.mark.parametrize(
    ("kind", "attached_to", "actions"),
    [("AWS::SQS::Queue", "Queues", ("sqs:*",)), ("AWS::SNS::Topic", "Topics", ("sns:Publish",))],
)
def test_transport__is_encrypted(kind: str, attached_to: str, actions: tuple[str, ...]) -> None:
    """Queues and topics deny requests without TLS, if Arena's address is a real one."""
    attached = {
        (policy, reference(name))
        for policy, body in resources(f"{kind}Policy", "HasTls").items()
        for name in body[attached_to]
    }
    refused = {
        (one.of, name)
        for one in resource_statements("HasTls")
        if _refuses_plain(one) and one.actions == actions
        for name in one.resources
    }
    assert {name for _, name in attached & refused} == resources(kind).keys()
    assert not any(map(_refuses_plain, resource_statements()))


@pytest.mark.parametrize("kind", ["AWS::SQS::Queue", "AWS::SNS::Topic"])
def test_policies__of_queues_and_topics_name_their_one_resource(kind: str) -> None:
    """SQS and SNS reject a statement about anything except the policy's own queue or topic.

    AWS: "Each policy must cover only a single queue", and the same for a topic. The embedded AWS
    takes any policy, and is not sent the statements about TLS.
    """
    attached_to = "Queues" if kind == "AWS::SQS::Queue" else "Topics"
    attached: dict[str, str] = {}
    for policy, body in resources(f"{kind}Policy", *EVERYTHING).items():
        (name,) = body[attached_to]
        assert reference(name) not in attached.values(), "a second policy would replace the first"
        attached[policy] = reference(name)
    assert set(attached.values()) == resources(kind, *EVERYTHING).keys()
    statements = [one for one in resource_statements(*EVERYTHING) if one.of in attached]
    assert len(statements) >= 2 * len(attached) - 2
    for one in statements:
        assert one.resources == (attached[one.of],), one


def test_policies__of_the_queues_are_made_one_after_the_other() -> None:
    """An update first removes the old policy for both queues from the second queue."""
    policy = translated()["Resources"]["ScheduleDeadLetterQueuePolicy"]
    assert policy["DependsOn"] == "DeadLetterQueuesPolicy"


# What a topic's policy may speak of (AWS: Amazon SNS API permissions). There is no `sns:*`.
TOPIC_ACTIONS = {"sns:Publish", "sns:Subscribe"}
# AWS: Amazon SQS policy quotas, Amazon SNS policy quotas.
QUOTAS = {
    "AWS::SQS::QueuePolicy": {"bytes": 8192, "statements": 20, "principals": 50},
    "AWS::SNS::TopicPolicy": {"bytes": 30 * 1024, "statements": 100, "principals": 200},
    # A bucket policy is limited in size alone (AWS: Bucket policies for Amazon S3).
    "AWS::S3::BucketPolicy": {"bytes": 20 * 1024, "statements": 3, "principals": 300},
}
PRINCIPAL_BYTES = len("arn:aws-us-gov:iam::123456789012:root") - len("123456789012")
"""What a service adds to an account id when it stores a policy."""


@pytest.mark.parametrize("kind", QUOTAS)
def test_policies__keep_the_quotas_of_their_service(kind: str) -> None:
    """The policies fit the quotas with the maximum number of other accounts."""
    names = resources(kind, *EVERYTHING).keys()
    documents = [json.loads(text) for name, text in policies(*EVERYTHING) if name in names]
    assert len(documents) == len(names)
    for document in documents:
        statements = document["Statement"]
        sids = [one["Sid"] for one in statements]
        assert len(sids) == len(set(sids)) <= QUOTAS[kind]["statements"]
        accounts = [many(one["Principal"].get("AWS", ())) for one in statements if _names_some(one)]
        principals = sum(map(len, accounts))
        assert principals <= QUOTAS[kind]["principals"]
        kept = len(json.dumps(document)) + principals * PRINCIPAL_BYTES
        assert kept <= QUOTAS[kind]["bytes"]
        if kind == "AWS::SNS::TopicPolicy":
            assert {one["Action"] for one in statements} <= TOPIC_ACTIONS


def test_parameters__allow_as_many_accounts_as_the_policies_hold() -> None:
    """The template rejects one account more, with which a deployment would fail half-way."""
    for name, most in MAX_ACCOUNTS.items():
        pattern = translated()["Parameters"][name]["AllowedPattern"]
        assert re.fullmatch(pattern, ",".join(["123456789012"] * most))
        assert not re.fullmatch(pattern, ",".join(["123456789012"] * (most + 1)))


def _names_some(statement: dict[str, Any]) -> bool:
    return bool(statement["Principal"] != "*")


def many(value: Any) -> list[Any]:
    """Return a list, where IAM allows one value or many."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _refuses_plain(one: Statement) -> bool:
    plain = one.condition.get("Bool", {}).get("aws:SecureTransport") == "false"
    return one.effect == "Deny" and one.principals == ("*",) and plain


def test_other_accounts__come_in_by_parameter_alone() -> None:
    """Without the parameters, only this account may send, subscribe, and read the bucket."""
    statements = resource_statements(*DEPLOYED)
    allowed = [one for one in statements if one.effect == "Allow" and not one.services]
    assert {one.principals for one in allowed} == {
        ("AWS::AccountId",),
        ("arn:<Partition>:iam::<AccountId>:root",),
    }
    others = {
        (one.of, one.actions)
        for one in resource_statements("HasSenders", "HasSubscribers", *DEPLOYED)
        if any("AccountIds" in name for name in one.principals)
    }
    assert others == {
        ("IntakeQueuePolicy", ("sqs:SendMessage",)),
        ("OutcomeTopicPolicy", ("sns:Subscribe",)),
        ("DeliveryBucketPolicy", ("s3:GetObject", "s3:GetObjectVersion")),
        ("DeliveryBucketPolicy", ("s3:ListBucket",)),
    }


def test_alarms__may_publish() -> None:
    """CloudWatch may publish to the alarm topic and use its key; the AWS managed key forbids it."""
    alarms = [
        (one.of, one.actions)
        for one in resource_statements()
        if one.services == ("cloudwatch.amazonaws.com",)
    ]
    assert sorted(alarms) == [
        ("AlarmTopicPolicy", ("sns:Publish",)),
        ("Key", ("kms:Decrypt", "kms:GenerateDataKey")),
    ]


def operator_statements(policy: str) -> list[dict[str, Any]]:
    """Return the statements of one of the operator's policies, with a schedule."""
    found = resources("AWS::IAM::ManagedPolicy", "HasSchedule")[policy]
    statements: list[dict[str, Any]] = found["PolicyDocument"]["Statement"]
    return statements


def test_fault_85__an_operator_writes_no_items_but_pauses_and_deliveries() -> None:
    """Each permission to write the ledger names the partition; the emulator does not enforce it."""
    writing = [
        statement
        for statement in operator_statements("OperatorPolicy")
        if any(re.match("dynamodb:(?!Get|BatchGet|Query)", a) for a in many(statement["Action"]))
    ]
    (only,) = writing
    assert only["Action"] == ["dynamodb:PutItem", "dynamodb:DeleteItem"]
    keys = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [PAUSE[0], DELIVER]}}
    assert only["Condition"] == keys
    reading = {a for s in operator_statements("ReadOnlyPolicy") for a in many(s["Action"])}
    assert {a for a in reading if a.startswith("dynamodb:")} == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
    }


def test_arena__is_asked_by_operators_alone() -> None:
    """Only their policy invokes examine, which can neither log in nor start a run."""
    invoking = "lambda:InvokeFunction"
    assert roles_that_may(invoking, "ExamineFunction") == set()
    policies = {
        policy: str(statement["Resource"])
        for policy in ("ReadOnlyPolicy", "OperatorPolicy")
        for statement in operator_statements(policy)
        if invoking in many(statement["Action"])
    }
    assert policies.keys() == {"OperatorPolicy"}
    assert "ExamineFunction" in policies["OperatorPolicy"]
    assert granted("ExamineRole", invoking) == {"SessionFunction"}
    assert granted("ExamineRole", "states:StartExecution") == set()


def test_fault_85__doctor_may_check_what_is_deployed() -> None:
    """The bucket and the key of deliveries, where there are some, and no object."""
    for policy in ("ReadOnlyPolicy", "OperatorPolicy"):
        always = [json.dumps(one) for one in operator_statements(policy)]
        all_on = resources("AWS::IAM::ManagedPolicy", *EVERYTHING)[policy]["PolicyDocument"]
        added = [one for one in all_on["Statement"] if json.dumps(one) not in always]
        assert [one["Action"] for one in added] == [
            ["s3:ListBucket", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"],
            "kms:DescribeKey",
        ]
        assert added[1]["Resource"] == {"Ref": "DeliveryKeyArn"}


@pytest.mark.parametrize("policy", ["ReadOnlyPolicy", "OperatorPolicy"])
def test_operators__act_on_named_resources(policy: str) -> None:
    """All but the list of alarms, which IAM cannot limit."""
    anywhere = [s["Action"] for s in operator_statements(policy) if s["Resource"] == "*"]
    assert anywhere == ["cloudwatch:DescribeAlarms"]


def test_operators__may_do_all_that_readers_may() -> None:
    """The operator's policy alone suffices."""
    reader, operator = map(operator_statements, ("ReadOnlyPolicy", "OperatorPolicy"))
    assert operator[: len(reader)] == reader
