"""`make deploy` with fakes of the SAM CLI and CloudFormation."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra import deploy
from infra.checks.template import TEMPLATE, translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, list[str], str]]

SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:arena-a1B2c3"
SAM = """#!/bin/sh
printf '%s\\n' "$@" >"$0.arguments"
exit {code}
"""


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


def refusal(code: str, message: str) -> ClientError:
    """Return CloudFormation's refusal to describe a stack."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


class FakeCloudFormation:
    """A client with one stack, in its states before and after `sam deploy`."""

    def __init__(self, *statuses: str | None, alarm_email: str = "") -> None:
        """Store the statuses to describe, in order; None means no stack."""
        self._statuses = list(statuses)
        self._alarm_email = alarm_email
        self._described = 0

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return the stack in its current state."""
        status = self._statuses.pop(0)
        if status is None:
            raise refusal("ValidationError", f"Stack {StackName} does not exist")
        self._described += 1
        parameters = [{"ParameterKey": "AlarmEmail", "ParameterValue": self._alarm_email}]
        stack = {"StackStatus": status, "LastUpdatedTime": self._described}
        return {"Stacks": [stack | {"Parameters": parameters}]}

    def describe_stack_resources(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return the two requested resources."""
        names = {"Ledger": "DELETE_SKIPPED", "SessionFunction": "CREATE_COMPLETE"}
        return {
            "StackResources": [
                {
                    "LogicalResourceId": name,
                    "PhysicalResourceId": f"{StackName}-{name}-1",
                    "ResourceStatus": status,
                }
                for name, status in names.items()
            ]
        }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Deploy; return the exit code, SAM's arguments ([] if it was not called), and the output."""

    def deployed(
        cloudformation: FakeCloudFormation, *arguments: str, typed: str | None = None, code: int = 0
    ) -> tuple[int, list[str], str]:
        sam = tmp_path / "sam"
        sam.write_text(SAM.format(code=code))
        sam.chmod(0o755)
        monkeypatch.setattr(deploy, "SAM", str(sam))
        monkeypatch.setattr(deploy, "TEMPLATE", TEMPLATE)
        monkeypatch.setattr(boto3.Session, "client", lambda *_args: cloudformation)
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        try:
            deploy.main(arguments)
            ended = 0
        except SystemExit as exc:
            ended = int(exc.code or 0)
        notes = sam.with_suffix(".arguments")
        given = notes.read_text().splitlines() if notes.exists() else []
        return ended, given, "".join(capfd.readouterr())

    return deployed


def values(arguments: list[str], option: str) -> list[str]:
    """Return the values of an option with several values."""
    if option not in arguments:
        return []
    following = arguments[arguments.index(option) + 1 :]
    end = next((n for n, word in enumerate(following) if word.startswith("--")), len(following))
    return following[:end]


def test_first_deployment__asks(run: Run) -> None:
    """Invalid answers are asked again, and empty answers keep the default."""
    typed = f"\nnonsense\n{SECRET}\n\n\n\n\nops@example.com\n"
    code, arguments, output = run(FakeCloudFormation(None, "CREATE_COMPLETE"), typed=typed)
    assert code == 0
    assert values(arguments, "--parameter-overrides") == [
        f'ArenaCredentialsSecretArn="{SECRET}"',
        'ArenaCredentialsKeyArn=""',
        'ArenaBaseUrl="https://api.arenasolutions.com/v1"',
        'WorkspaceName="default"',
        'DefaultExportGuid=""',
        'AlarmEmail="ops@example.com"',
    ]
    assert "must be the full ARN of a Secrets Manager secret" in output


def test_first_deployment__asks_for_nothing_that_is_named(run: Run) -> None:
    """A named parameter is not asked for, in each of SAM's formats."""
    named = [
        "ParameterKey=ArenaCredentialsSecretArn,ParameterValue=" + SECRET,
        'AlarmEmail="a@b.cc" WorkspaceName=lab',
        "ScheduledExportExpression=cron(0 6 * * ? *)",
    ]
    stack = FakeCloudFormation(None, "CREATE_COMPLETE")
    _, arguments, _ = run(
        stack, "--parameter-overrides", *named, "--no-confirm-changeset", typed="\n\n\n"
    )
    overrides = values(arguments, "--parameter-overrides")
    asked = [one.partition("=")[0] for one in overrides[:-3]]
    assert asked == ["ArenaCredentialsKeyArn", "ArenaBaseUrl", "DefaultExportGuid"]
    assert overrides[-3:] == named
    assert arguments[-1] == "--no-confirm-changeset"


def test_first_deployment__without_a_terminal(run: Run) -> None:
    """Without a terminal, defaults are used, and parameters without a default are required."""
    code, arguments, output = run(FakeCloudFormation(None))
    assert (code, arguments) == (1, [])
    assert "ArenaCredentialsSecretArn has no default" in output
    named = f"ArenaCredentialsSecretArn={SECRET}"
    stack = FakeCloudFormation(None, "CREATE_COMPLETE")
    code, arguments, _ = run(stack, "--parameter-overrides", named)
    assert (code, values(arguments, "--parameter-overrides")) == (0, [named])


def test_asked__are_parameters_that_have_a_rule() -> None:
    """Each question has an error text, and each parameter without a default is asked for."""
    parameters = translated()["Parameters"]
    for name in deploy.ASKED:
        assert parameters[name].keys() >= {"AllowedPattern", "ConstraintDescription", "Description"}
    assert {name for name, one in parameters.items() if "Default" not in one} <= set(deploy.ASKED)


@pytest.mark.parametrize("named", [[], ["ExportsPaused=true", "MaxItemsPerRun=2000"]])
def test_update__changes_only_what_is_named(run: Run, named: list[str]) -> None:
    """An update asks nothing, and CloudFormation keeps all values that are not named."""
    arguments = ["--parameter-overrides", *named] if named else []
    stack = FakeCloudFormation("UPDATE_COMPLETE", "UPDATE_COMPLETE")
    code, arguments, _ = run(stack, *arguments, typed="")
    assert code == 0
    assert values(arguments, "--parameter-overrides") == named
    assert "--guided" not in arguments


def test_deploy__writes_nothing_into_the_checkout(run: Run) -> None:
    """samconfig.toml, which is in git, is not changed by answers."""
    before = deploy.SAMCONFIG.read_bytes()
    run(FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE"))
    assert deploy.SAMCONFIG.read_bytes() == before
    assert b"parameter_overrides =" not in before


def test_second_stack__has_a_place_of_its_own(run: Run) -> None:
    """`sam delete` empties the S3 prefix; account and region go along to SAM and are printed."""
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE")
    account = ["--region", "eu-central-1"]
    _, arguments, output = run(stack, "--stack-name", "lab", *account)
    assert values(arguments, "--stack-name") == values(arguments, "--s3-prefix") == ["lab"]
    assert values(arguments, "--region") == ["eu-central-1"]
    assert "aws lambda invoke --region eu-central-1 --function-name lab-SessionFunction-1" in output


def test_next_steps__are_printed(run: Run) -> None:
    """The next steps are to confirm or set the alarm's e-mail address, and to test the login."""
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE", alarm_email="ops@example.com")
    _, _, output = run(stack)
    assert "Confirm the alarm e-mail" in output
    assert "ops@example.com" in output
    assert "--payload '{}' /dev/stdout" in output
    _, _, output = run(FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE"))
    assert "Nobody is told of alarms" in output


def test_declined_changes__are_no_deployment(run: Run) -> None:
    """SAM succeeds if its user declines, and only a change set is left."""
    named = ["--parameter-overrides", f"ArenaCredentialsSecretArn={SECRET}"]
    code, _, output = run(FakeCloudFormation(None, "REVIEW_IN_PROGRESS"), *named)
    assert (code, output) == (0, "Nothing was deployed.\n")
    _, arguments, _ = run(FakeCloudFormation("REVIEW_IN_PROGRESS", "CREATE_COMPLETE"), *named)
    assert values(arguments, "--parameter-overrides") == named[1:]


def test_failed_first_deployment__is_told_how_to_clear_up(run: Run) -> None:
    """The protected table of the ledger stays; both must be removed before the next attempt."""
    named = ["--parameter-overrides", f"ArenaCredentialsSecretArn={SECRET}", "--region", "r"]
    stack = FakeCloudFormation(None, "ROLLBACK_COMPLETE")
    code, _, output = run(stack, *named, code=1)
    commands = [line.strip() for line in output.splitlines() if line.startswith("  aws ")]
    table, stack_name = "--table-name arena-exports-Ledger-1", "--stack-name arena-exports"
    assert (code, commands) == (
        1,
        [
            f"aws dynamodb update-table --region r {table} --no-deletion-protection-enabled",
            f"aws dynamodb wait table-exists --region r {table}",
            f"aws dynamodb delete-table --region r {table}",
            f"aws cloudformation delete-stack --region r {stack_name}",
            f"aws cloudformation wait stack-delete-complete --region r {stack_name}",
        ],
    )


def test_failed_first_deployment__is_not_deployed_over(run: Run) -> None:
    """A stack that CloudFormation cannot update is reported before the upload."""
    code, arguments, output = run(FakeCloudFormation("ROLLBACK_COMPLETE"))
    assert (code, arguments) == (1, [])
    assert "aws dynamodb delete-table" in output


def test_error_of_aws__is_one_sentence(run: Run) -> None:
    """Missing permissions and credentials are reported without a stack trace."""

    class Refusing(FakeCloudFormation):
        def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
            raise refusal("AccessDenied", f"not authorized: {StackName}")

    code, arguments, output = run(Refusing())
    assert (code, arguments) == (1, [])
    assert "not authorized: arena-exports" in output
    assert "Traceback" not in output
