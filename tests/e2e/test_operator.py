"""`arena-exports`, installed from its wheel, at work on a deployed stack under its own policies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner

from arena_exports_operator.command.main import main
from infra.local.aws import environment
from infra.local.paths import ROOT, executable
from infra.simulator import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.local.stack import Stack
    from infra.local.subscriber import ReceivedEvent
    from tests.e2e.conftest import Case

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PATIENCE_SECONDS = 120  # deliveries begin with the next reconcile
POLICIES = ("ReadOnlyPolicy", "OperatorPolicy")
_users = count()
# Names of botocore and of IAM, where they differ.
SERVICES = {"monitoring": "cloudwatch", "stepfunctions": "states"}
ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
NEEDS_NO_PERMISSION = {"sts:GetCallerIdentity"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def tool(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command in an environment that has the wheel and what it depends on, nothing else."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    uv = executable("tools", "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
    pins = str(ROOT / "tests" / "requirements.txt")
    install = [uv, "pip", "install", "--quiet", "--python", str(place), "--constraints", pins]
    subprocess.run([*install, str(wheel)], check=True)
    return str(place / "bin" / "arena-exports")


@pytest.fixture
def users(stack: Stack) -> Callable[[str], dict[str, str]]:
    """Make a user with one of the shipped policies; return the environment that it works in."""
    iam = boto3.client("iam", endpoint_url=stack.endpoint)

    def make(policy: str) -> dict[str, str]:
        name = f"operator-{next(_users)}"
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn=stack.resources[policy])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return environment(stack.endpoint) | {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "ARENA_EXPORTS_STACK": stack.name,
        }

    return make


def run(tool: str, where: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in an empty folder, as a user would."""
    return subprocess.run(
        [tool, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, **where},
        cwd=Path(tool).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def wait_for(case: Case, kind: str, count: int = 1) -> None:
    """Wait for so many events of a type, and until the stack is idle."""

    def enough(events: list[ReceivedEvent]) -> bool:
        return len([e for e in events if str(e.event["type"]).endswith(kind)]) >= count

    case.wait_for(f"{count} {kind}", enough)
    case.stack.wait_until_idle()


def test_wheel__installs_in_an_empty_environment(tool: str) -> None:
    """Help, version and completion work without AWS, and the schemas are inside."""
    version = run(tool, {}, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("arena-exports, version 0.")
    assert "Exit codes" in run(tool, {}, "--help").stdout
    completion = run(tool, {"_ARENA_EXPORTS_COMPLETE": "bash_source"})
    assert "complete -o nosort -F _arena_exports_completion arena-exports" in completion.stdout
    names = {path.name.partition(".")[0] for path in (ROOT / "infra" / "schemas").glob("*.json")}
    assert names <= set(run(tool, {}, "schema").stdout.split())


def test_tool__without_aws_exits_with_4(tool: str) -> None:
    """No region, no credentials, or no answer: one line."""
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true"}
    for where in (nowhere, nowhere | {"AWS_REGION": "us-east-1"}):
        result = run(tool, where, "status")
        assert (result.returncode, result.stdout) == (4, "")
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1


def test_tool__finds_its_stack(tool: str, case: Case, tmp_path: Path) -> None:
    """The only stack with the outputs; a name that does not exist is exit code 3."""
    root = environment(case.stack.endpoint)
    found = run(tool, root, "status", "--output", "json")
    assert json.loads(found.stdout)["word"] in ("OK", "DEGRADED"), found.stderr
    missing = run(tool, root, "status", "--stack", "nosuchstack")
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "there is no stack nosuchstack in us-east-1" in missing.stderr
    (tmp_path / "samconfig.toml").write_text(
        f'[default.deploy.parameters]\nstack_name = "{case.stack.name}"\n'
    )
    inside = subprocess.run(
        [tool, "status"], env=root, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert inside.stdout.startswith(("OK", "DEGRADED"))


def test_fault_85__an_operator_exports_items_and_sees_what_became_of_them(
    tool: str,
    case: Case,
    users: Callable[[str], dict[str, str]],
    new_guids: Callable[[int], list[str]],
    tmp_path: Path,
) -> None:
    """With the shipped policy alone: send, why, find, run, backfill with a progress bar."""
    me, guids = users("OperatorPolicy"), new_guids(30)
    sent = run(tool, me, "send", guids[0], "--correlation-id", "ECO-85", "--yes")
    assert sent.returncode == 0, sent.stderr
    wait_for(case, "run.completed")
    case.stack.wait_until(
        "the files",
        lambda: "It was exported by run " in run(tool, me, "why", "ECO-85").stdout,
        PATIENCE_SECONDS,
    )
    found = json.loads(run(tool, me, "find", guids[0], "--output", "json").stdout)
    (request,) = found["requests"]
    assert request["requestId"] == sent.stdout.strip()
    number = str(request["runs"][0]["run"]["runNumber"])
    detail = json.loads(run(tool, me, "run", number, "--output", "json").stdout)
    assert detail["files"]
    (tmp_path / "items.csv").write_text("guid\n" + "\n".join(guids[1:]))
    filled = run(tool, me, "backfill", str(tmp_path / "items.csv"), "--wait", "--yes")
    assert filled.returncode == 0, filled.stderr
    assert run(tool, me, "status").stdout.splitlines()[0][:3] in ("OK ", "DEG")


def test_fault_85__an_operator_pauses_and_resumes(
    tool: str, case: Case, users: Callable[[str], dict[str, str]], new_guids: Callable[..., Any]
) -> None:
    """A pause takes effect at once, and so does its end, with a reconcile."""
    me = users("OperatorPolicy")
    assert run(tool, me, "pause", "--reason", "test", "--for", "1h", "--yes").returncode == 0
    (message_id,) = case.stack.send({"itemGuids": new_guids(1)})
    case.stack.wait_until("a record", lambda: run(tool, me, "find", message_id).stdout)
    assert "Exports are paused until " in run(tool, me, "why", message_id).stdout
    assert not case.runs
    assert run(tool, me, "resume", "--yes").returncode == 0
    assert run(tool, me, "reconcile", "--yes").returncode == 0
    wait_for(case, "run.completed")


def test_fault_85__an_operator_sends_a_dead_letter_again(
    tool: str, case: Case, users: Callable[[str], dict[str, str]], new_guids: Callable[..., Any]
) -> None:
    """After its cause is gone, the request is exported."""
    me, guids = users("OperatorPolicy"), new_guids(1)
    case.stack.arena.set_guids(bad=guids)
    case.stack.send({"itemGuids": guids})
    wait_for(case, "request.rejected")
    listed = json.loads(run(tool, me, "dead-letters", "list", "--output", "json").stdout)
    (entry,) = listed["entries"]
    case.stack.arena.set_guids(bad=[])
    dry = run(tool, me, "dead-letters", "redrive", "--code", entry["errorCode"], "--dry-run")
    assert "Send 1 entry to the intake queue again" in dry.stderr
    done = run(tool, me, "dead-letters", "redrive", "--code", entry["errorCode"], "--yes")
    assert done.returncode == 0, done.stderr
    wait_for(case, "run.completed")
    assert case.stack.dead_letters() == []
    for command in (("list",), ("redrive", "--yes")):
        assert run(tool, me, "dead-letters", *command).stderr == "No entry matches.\n"


def test_fault_85__doctor_says_what_it_could_not_check(
    tool: str, case: Case, users: Callable[[str], dict[str, str]]
) -> None:
    """With the read-only policy every check of a deployed stack is made, but those of Arena.

    The emulator asks for another permission than AWS to read an event source mapping.
    """
    result = run(tool, users("ReadOnlyPolicy"), "doctor", "--output", "json")
    checks = json.loads(result.stdout)["checks"]
    denied = [check["name"] for check in checks if check["verdict"] == "not checked"]
    assert denied == ["intake", "arena"]
    assert not [check for check in checks if check["verdict"] == "failure"]
    arena = run(tool, users("ReadOnlyPolicy"), "doctor", "--arena", "--yes", "--output", "json")
    texts = [c["text"] for c in json.loads(arena.stdout)["checks"] if c["name"] == "arena"]
    assert "InvokeFunction" in texts[0]
    before = run(tool, users("ReadOnlyPolicy"), "doctor", "--before", "--output", "json")
    denied = [c for c in json.loads(before.stdout)["checks"] if c["verdict"] == "not checked"]
    assert {"secret", "arena"} <= {check["name"] for check in denied}
    assert case.stack.queue_depth() == 0


def test_fault_85__an_operator_asks_arena_through_the_stack(
    tool: str, case: Case, users: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    """At most three requests; what is recorded names nobody, and no run is started."""
    me, folder = users("OperatorPolicy"), tmp_path / "fixtures"
    asked = run(tool, me, "doctor", "--arena", "--yes", "--record", str(folder))
    assert f"Arena knows {names.DEFAULT_EXPORT_GUID}" in asked.stdout, asked.stderr
    assert "at most 3 Arena requests" in asked.stderr
    recorded = [path.read_text() for path in sorted(folder.iterdir())]
    assert len(recorded) == 2
    assert not any("@" in text or "Machine User" in text for text in recorded)
    assert not case.runs


def test_fault_85__a_reader_changes_nothing(
    tool: str, case: Case, users: Callable[[str], dict[str, str]]
) -> None:
    """With the read-only policy the writing commands end with exit code 4."""
    me = users("ReadOnlyPolicy")
    for command in (["send", "A" * 20], ["pause", "--reason", "x"], ["reconcile"]):
        denied = run(tool, me, *command, "--yes")
        assert denied.returncode == 4, (command, denied.stderr)
        assert denied.stderr.count("Error: ") == 1
    assert run(tool, me, "why").returncode == 0
    assert not case.runs


FORBIDDEN: dict[str, Callable[[Any, Stack], object]] = {
    "session secret": lambda aws, stack: aws.client("secretsmanager").get_secret_value(
        SecretId=stack.outputs["SessionSecretArn"]
    ),
    "credentials": lambda aws, stack: aws.client("secretsmanager").get_secret_value(
        SecretId=f"{stack.name}-credentials"
    ),
    # The emulator knows no condition on the key: tests/infrastructure/test_permissions.py.
    "update the ledger": lambda aws, stack: aws.client("dynamodb").update_item(
        TableName=stack.outputs["LedgerTableName"],
        Key={"PK": {"S": "PAUSE"}, "SK": {"S": "-"}},
    ),
    "log in": lambda aws, stack: aws.client("lambda").invoke(
        FunctionName=stack.resources["SessionFunction"], Payload=b"{}"
    ),
    "take a message": lambda aws, stack: aws.client("sqs").receive_message(
        QueueUrl=stack.outputs["IntakeQueueUrl"]
    ),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("deed", FORBIDDEN)
def test_fault_85__no_policy_permits(
    case: Case, users: Callable[[str], dict[str, str]], policy: str, deed: str
) -> None:
    """Neither to read a secret, nor to change an item, nor to log in, nor to take a message."""
    me = users(policy)
    session = boto3.Session(me["AWS_ACCESS_KEY_ID"], me["AWS_SECRET_ACCESS_KEY"])
    aws = _At(session, case.stack.endpoint)
    with pytest.raises(Exception, match=r"AccessDenied|not authorized"):
        FORBIDDEN[deed](aws, case.stack)


class _At:
    """Clients of one session at one address."""

    def __init__(self, session: boto3.Session, endpoint: str) -> None:
        self._session, self._endpoint = session, endpoint

    def client(self, service: str) -> Any:
        """Return a client."""
        return self._session.client(service, endpoint_url=self._endpoint)  # type: ignore[call-overload] # any name


COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "ReadOnlyPolicy": (
        ("status",),
        ("why",),
        ("why", "{item}"),
        ("find", "{item}"),
        ("runs",),
        ("run", "1"),
        ("dead-letters", "list"),
        ("doctor",),
    ),
    "OperatorPolicy": (
        ("send", "{item}", "--yes"),
        ("doctor", "--arena", "--yes"),
        ("pause", "--reason", "x", "--yes"),
        ("resume", "--yes"),
        ("reconcile", "--yes"),
        ("dead-letters", "redrive", "--yes"),
    ),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IAM actions of every call that the tool makes in this process."""
    made: set[str] = set()

    class Recording(boto3.Session):
        """A session whose calls are recorded."""

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.events.register("before-call", self._record)

        @staticmethod
        def _record(model: Any, **_: Any) -> None:
            service = model.service_model.endpoint_prefix
            action = f"{SERVICES.get(service, service)}:{model.name}"
            made.add(ACTIONS.get(action, action))

    monkeypatch.setattr(boto3, "Session", Recording)
    return made


@pytest.mark.parametrize("policy", POLICIES)
def test_fault_85__each_policy_grants_what_its_commands_call_and_no_more(
    case: Case,
    calls: set[str],
    monkeypatch: pytest.MonkeyPatch,
    new_guids: Callable[[int], list[str]],
    policy: str,
) -> None:
    """Actions are compared in both directions; the operator's also has those of the reader."""
    _prepare(case, new_guids)
    for name, value in environment(case.stack.endpoint).items():
        monkeypatch.setenv(name, value)
    (item,) = new_guids(1)
    for command in (c for name in POLICIES[: POLICIES.index(policy) + 1] for c in COMMANDS[name]):
        result = CliRunner().invoke(main, [part.format(item=item) for part in command])
        assert result.exit_code != 4, (command, result.output)
    case.stack.wait_until_idle()
    granted = set(_granted(case.stack, policy))
    assert calls - NEEDS_NO_PERMISSION == granted


def _prepare(case: Case, new_guids: Callable[[int], list[str]]) -> None:
    """Leave a dead letter to list, one run that has ended, and one in progress for doctor."""
    guids = new_guids(3)
    case.stack.send({"itemGuids": guids[:1]}, *(["no GUID"] * 3))
    wait_for(case, "request.rejected", 3)
    wait_for(case, "run.completed")
    case.stack.arena.set(createdSeconds=0.2, runningSeconds=8)
    case.stack.send({"itemGuids": guids[1:]})
    case.wait_for_run("RUNNING")
    case.stack.wait_until("the lease", lambda: case.stack.lease_state() == "running")


def _granted(stack: Stack, policy: str) -> Iterator[str]:
    """Yield the actions of a policy, as it is in force."""
    iam = boto3.client("iam", endpoint_url=stack.endpoint)
    arn = stack.resources[policy]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    document = json.loads(found) if isinstance(found, str) else found
    for statement in document["Statement"]:
        actions = statement["Action"]
        yield from [actions] if isinstance(actions, str) else actions


def test_reading__takes_less_than_three_seconds(
    tool: str, case: Case, users: Callable[[str], dict[str, str]]
) -> None:
    """The start of the command included; tests/functional counts the reads of a full ledger."""
    me = users("ReadOnlyPolicy")
    for command in (["status"], ["why"], ["runs"], ["dead-letters", "list"]):
        began = time.monotonic()
        assert run(tool, me, *command).returncode in (0, 1)
        assert time.monotonic() - began < 3, command
    assert case.stack.queue_depth() == 0
