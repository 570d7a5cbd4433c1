"""`make deploy` with fakes of the SAM CLI and CloudFormation."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from infra.checks.template import TEMPLATE, translated
from infra.deploy import deployment, questions
from infra.deploy.__main__ import main
from infra.deploy.target import SAMCONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Run = Callable[..., tuple[int, list[str], str]]

SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:arena-a1B2c3"
NAMED = ["--parameter-overrides", f"ArenaCredentialsSecretArn={SECRET}"]
UNASKED = "--no-confirm-changeset"
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

    def __init__(
        self, *statuses: str | None, alarm_emails: Sequence[str] = ("",), runtime: str = ""
    ) -> None:
        """Store the statuses to describe (None means no stack) and the addresses, in order."""
        self._statuses = list(statuses)
        self._alarm_emails = alarm_emails
        self._runtime = runtime or questions.BUILD_RUNTIME
        self._described = 0

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return the stack in its current state."""
        status = self._statuses.pop(0)
        if status is None:
            raise refusal("ValidationError", f"Stack {StackName} does not exist")
        email = self._alarm_emails[min(self._described, len(self._alarm_emails) - 1)]
        self._described += 1
        parameters = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in (("AlarmEmail", email), ("Runtime", self._runtime))
        ]
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
    """Deploy; return the exit code, SAM's arguments ([] if it was not called), and the output.

    Without `typed` there is no terminal. Then SAM is told not to ask, unless it shall `confirm`.
    """

    def deployed(
        cloudformation: FakeCloudFormation,
        *arguments: str,
        typed: str | None = None,
        code: int = 0,
        confirm: bool = False,
    ) -> tuple[int, list[str], str]:
        unasked = [] if confirm or typed is not None else [UNASKED]
        sam = tmp_path / "sam"
        sam.write_text(SAM.format(code=code))
        sam.chmod(0o755)
        monkeypatch.setattr(deployment, "SAM", str(sam))
        monkeypatch.setattr(deployment, "TEMPLATE", TEMPLATE)
        monkeypatch.setattr(boto3.Session, "client", lambda *_args: cloudformation)
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        try:
            main([*arguments, *unasked])
            ended = 0
        except SystemExit as exc:
            ended = int(exc.code or 0)
        notes = sam.with_suffix(".arguments")
        given = notes.read_text().splitlines() if notes.exists() else []
        return ended, given, "".join(capfd.readouterr())

    return deployed


def refuse_without_credentials(*_arguments: object, **_names: object) -> None:
    """Fail as boto3 does."""
    raise NoCredentialsError


def values(arguments: list[str], option: str) -> list[str]:
    """Return the values of an option with several values."""
    if option not in arguments:
        return []
    following = arguments[arguments.index(option) + 1 :]
    end = next((n for n, word in enumerate(following) if word.startswith("--")), len(following))
    return following[:end]


def test_first_deployment__asks(run: Run) -> None:
    """Invalid answers are asked again, and empty answers keep the default."""
    typed = f"\nnonsense\n{SECRET}\n\n\n\n\nops@example.com\npython2.7\n\n"
    code, arguments, output = run(FakeCloudFormation(None, "CREATE_COMPLETE"), typed=typed)
    assert code == 0
    assert values(arguments, "--parameter-overrides") == [
        f'ArenaCredentialsSecretArn="{SECRET}"',
        'ArenaCredentialsKeyArn=""',
        'ArenaBaseUrl="https://api.arenasolutions.com/v1"',
        'WorkspaceName="default"',
        'DefaultExportGuid=""',
        'AlarmEmail="ops@example.com"',
        f'Runtime="{questions.BUILD_RUNTIME}"',
    ]
    assert "must be the full ARN of a Secrets Manager secret" in output
    assert "must be one of python3.11," in output
    assert "aws secretsmanager describe-secret --secret-id arena" in output


def test_first_deployment__asks_for_nothing_that_is_named(run: Run) -> None:
    """A named parameter is not asked for, in each of SAM's formats."""
    named = [
        "ParameterKey=ArenaCredentialsSecretArn,ParameterValue=" + SECRET,
        'AlarmEmail="a@b.cc" WorkspaceName=lab',
        'ScheduledExportExpression="cron(0 6 * * ? *)"',
    ]
    stack = FakeCloudFormation(None, "CREATE_COMPLETE")
    _, arguments, _ = run(stack, "--parameter-overrides", *named, UNASKED, typed="\n\n\n\n")
    overrides = values(arguments, "--parameter-overrides")
    asked = [one.partition("=")[0] for one in overrides[:-3]]
    assert asked == ["ArenaCredentialsKeyArn", "ArenaBaseUrl", "DefaultExportGuid", "Runtime"]
    assert overrides[-3:] == named
    assert arguments[-1] == UNASKED


def test_first_deployment__without_a_terminal(run: Run) -> None:
    """Without a terminal, defaults are used, and parameters without a default are required."""
    code, arguments, output = run(FakeCloudFormation(None))
    assert (code, arguments) == (1, [])
    assert "ArenaCredentialsSecretArn has no default" in output
    code, arguments, _ = run(FakeCloudFormation(None, "CREATE_COMPLETE"), *NAMED)
    overrides = values(arguments, "--parameter-overrides")
    assert code == 0
    assert overrides[-1] == NAMED[1]
    assert 'ArenaBaseUrl="https://api.arenasolutions.com/v1"' in overrides
    assert f'Runtime="{questions.BUILD_RUNTIME}"' in overrides


def test_deploy__without_a_terminal_to_confirm_in(run: Run) -> None:
    """A missing terminal is reported before SAM uploads and creates a change set."""
    code, arguments, output = run(FakeCloudFormation(), confirm=True)
    assert (code, arguments) == (1, [])
    assert 'make deploy ARGS="--no-confirm-changeset"' in output


@pytest.mark.parametrize("option", [UNASKED, "--no-execute-changeset"])
def test_deploy__that_asks_for_no_confirmation_needs_no_terminal(run: Run, option: str) -> None:
    """A pipeline can deploy with either of these options."""
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE")
    code, arguments, _ = run(stack, option, confirm=True)
    assert (code, arguments[-1]) == (0, option)


def test_asked__are_parameters_that_have_a_rule() -> None:
    """Each question has an error text, and each parameter without a default is asked for."""
    parameters = translated()["Parameters"]
    for name in questions.ASKED:
        keys = parameters[name].keys()
        assert "Description" in keys
        assert "AllowedValues" in keys or keys >= {"AllowedPattern", "ConstraintDescription"}
    assert {name for name, one in parameters.items() if "Default" not in one} <= set(
        questions.ASKED
    )


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
    before = SAMCONFIG.read_bytes()
    run(FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE"))
    assert SAMCONFIG.read_bytes() == before
    assert b"parameter_overrides =" not in before


def test_second_stack__has_a_place_of_its_own(run: Run) -> None:
    """`sam delete` empties the S3 prefix; account and region go along to SAM and are printed."""
    stack = FakeCloudFormation(None, "CREATE_COMPLETE")
    account = ["--region", "eu-central-1"]
    _, arguments, output = run(stack, *NAMED, "--stack-name", "lab", *account)
    assert values(arguments, "--stack-name") == values(arguments, "--s3-prefix") == ["lab"]
    assert values(arguments, "--region") == ["eu-central-1"]
    assert "aws lambda invoke --region eu-central-1 --function-name lab-SessionFunction-1" in output


def test_region__of_the_environment_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION, which boto3 ignores, is used unless --region is given."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    stack = FakeCloudFormation(None, "CREATE_COMPLETE")
    _, arguments, output = run(stack, *NAMED)
    assert values(arguments, "--region") == ["eu-west-1"]
    assert "aws lambda invoke --region eu-west-1 " in output
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE")
    _, arguments, _ = run(stack, "--region", "eu-north-1")
    assert values(arguments, "--region") == ["eu-north-1"]


def test_overrides__of_every_option_are_used(run: Run) -> None:
    """A second --parameter-overrides adds to the first."""
    given = ["--parameter-overrides", "MaxItemsPerRun=9", "--parameter-overrides", "LogLevel=DEBUG"]
    _, arguments, _ = run(FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE"), *given)
    assert values(arguments, "--parameter-overrides") == ["MaxItemsPerRun=9", "LogLevel=DEBUG"]


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("ScheduledExportExpression=rate(1 day)", 'ScheduledExportExpression="rate(1 day)"'),
        (
            "ParameterKey=ScheduledExportExpression,ParameterValue=rate(1 day)",
            'ParameterKey=ScheduledExportExpression,ParameterValue="rate(1 day)"',
        ),
        ('ScheduledExportExpression="rate(1 day)"', 'ScheduledExportExpression="rate(1 day)"'),
        ("LogLevel=DEBUG MaxItemsPerRun=9", "LogLevel=DEBUG MaxItemsPerRun=9"),
        ("ScheduledExportExpression=rate(1\\ day)", "ScheduledExportExpression=rate(1\\ day)"),
    ],
)
def test_overrides__with_blanks_reach_sam_whole(run: Run, given: str, passed_on: str) -> None:
    """A value with blanks is quoted for SAM, which would otherwise cut it at the first blank."""
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE")
    _, arguments, _ = run(stack, "--parameter-overrides", given)
    assert values(arguments, "--parameter-overrides") == [passed_on]


@pytest.mark.parametrize(
    "token", ["MaxItemPerRun=9", "LogLevel=DEBUG MaxItemPerRun=9", "ParameterKey=MaxItemPerRun,"]
)
def test_overrides__of_unknown_parameters_are_refused(run: Run, token: str) -> None:
    """A misspelled parameter, which SAM would ignore, is refused."""
    token += "ParameterValue=9" if token.endswith(",") else ""
    code, arguments, output = run(FakeCloudFormation(), "--parameter-overrides", token)
    assert (code, arguments) == (1, [])
    assert "no parameter MaxItemPerRun. Did you mean MaxItemsPerRun?" in output


@pytest.mark.parametrize(
    "token",
    [
        'WorkspaceName="a b=c"',
        "WorkspaceName='a b=c' LogLevel=\"DEBUG\"",
        'WorkspaceName="a \\" b=c"',
        "WorkspaceName=a\\ b=c",
        'ParameterKey="WorkspaceName",ParameterValue="a b=c"',
        "SenderAccountIds=111122223333,444455556666",
    ],
)
def test_overrides__have_no_names_in_their_values(run: Run, token: str) -> None:
    """Text in a quoted value is not mistaken for a parameter."""
    stack = FakeCloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE")
    code, arguments, output = run(stack, "--parameter-overrides", token)
    assert (code, values(arguments, "--parameter-overrides")) == (0, [token]), output


@pytest.mark.parametrize("before", [None, "UPDATE_COMPLETE"])
def test_runtime__that_does_not_match_the_build_is_warned_of(run: Run, before: str | None) -> None:
    """A build whose bytecode Lambda would ignore is deployed with a warning."""
    other = "python3.13" if questions.BUILD_RUNTIME != "python3.13" else "python3.12"
    stack = FakeCloudFormation(before, "UPDATE_COMPLETE", runtime=other)
    named = [] if before else [*NAMED, f"Runtime={other}"]
    _, _, output = run(stack, *named)
    assert f"bytecode of {questions.BUILD_RUNTIME}, but the stack's Runtime is {other}" in output
    assert f"make PYTHON={other} deploy" in output
    stack = FakeCloudFormation("UPDATE_COMPLETE", "UPDATE_COMPLETE", runtime=other)
    named = ["--parameter-overrides", f"Runtime={questions.BUILD_RUNTIME}"]
    assert "Warning" not in run(stack, *named)[2]


def test_runtime__that_lambda_does_not_have_is_not_offered(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build with a newer Python is deployed with the template's default and a warning."""
    monkeypatch.setattr(questions, "BUILD_RUNTIME", "python3.99")
    _, arguments, output = run(FakeCloudFormation(None, "CREATE_COMPLETE"), *NAMED)
    default = translated()["Parameters"]["Runtime"]["Default"]
    assert f'Runtime="{default}"' in values(arguments, "--parameter-overrides")
    assert "bytecode of python3.99" in output


def test_next_steps__are_printed_after_the_first_deployment(run: Run) -> None:
    """The next steps are to confirm or set the alarm's e-mail address, and to test the login."""
    stack = FakeCloudFormation(None, "CREATE_COMPLETE", alarm_emails=["ops@example.com"])
    _, _, output = run(stack, *NAMED)
    assert "Open the link in the e-mail that AWS sent to ops@example.com" in output
    assert "--payload '{}' /dev/stdout | cat\n" in output  # a file would be truncated
    _, _, output = run(FakeCloudFormation(None, "CREATE_COMPLETE"), *NAMED)
    assert "Nobody is notified of alarms" in output


def test_update__says_no_more_than_what_is_new(run: Run) -> None:
    """An update does not repeat the first steps, but a new address must be confirmed."""
    complete = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    _, _, output = run(FakeCloudFormation(*complete, alarm_emails=["ops@example.com"]))
    assert output == "The stack arena-exports is updated.\n"
    _, _, output = run(FakeCloudFormation(*complete, alarm_emails=["", "ops@example.com"]))
    assert "is updated. Open the link in the e-mail that AWS sent to ops@example.com" in output


def test_declined_changes__are_no_deployment(run: Run) -> None:
    """SAM succeeds if its user declines, and an empty stack is left of a first deployment."""
    stack = FakeCloudFormation(None, "REVIEW_IN_PROGRESS")
    code, _, output = run(stack, *NAMED, "--region", "r")
    assert code == 0
    assert output.startswith("Nothing was deployed. The stack arena-exports is empty.")
    assert "aws cloudformation delete-stack --region r --stack-name arena-exports\n" in output
    stack = FakeCloudFormation("REVIEW_IN_PROGRESS", "CREATE_COMPLETE")
    _, arguments, output = run(stack, *NAMED)
    assert NAMED[1] in values(arguments, "--parameter-overrides")
    assert "Next steps" in output


def test_interrupted_first_deployment__leaves_an_empty_stack(run: Run) -> None:
    """A failure before the change set is executed leaves an empty stack, which is reported."""
    stack = FakeCloudFormation(None, "REVIEW_IN_PROGRESS")
    code, _, output = run(stack, *NAMED, code=1)
    assert code == 1
    assert "The stack arena-exports is empty." in output


def test_failed_first_deployment__is_told_how_to_clear_up(run: Run) -> None:
    """The protected table of the ledger stays; both must be removed before the next attempt."""
    stack = FakeCloudFormation(None, "ROLLBACK_COMPLETE")
    code, _, output = run(stack, *NAMED, "--region", "r", code=1)
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


def test_error_without_credentials__ends_with_a_full_stop(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is a sentence, and is followed by where credentials come from."""
    monkeypatch.setattr(FakeCloudFormation, "describe_stacks", refuse_without_credentials)
    code, _, output = run(FakeCloudFormation())
    assert code == 1
    assert "Unable to locate credentials. Account and region come from AWS_PROFILE" in output
