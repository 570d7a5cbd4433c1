"""The output of `make up`, and the commands for the stack that it left running."""

import re
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from infra.local import background, cli, summary
from infra.local.stack import SendError, Stack
from infra.local.subscriber import ReceivedEvent, follow


class FakeSubscriber:
    """A subscriber with events that have arrived."""

    def __init__(self, *ids: str) -> None:
        """Create events with these ids."""
        self._coming = [ReceivedEvent({"id": event_id}, {}, 0) for event_id in ids]

    def receive(self) -> list[ReceivedEvent]:
        """Return all of them."""
        taken, self._coming = self._coming, []
        return taken


class RefusingQueue:
    """A client of SQS that rejects messages."""

    def send_message_batch(self, **_batch: object) -> dict[str, Any]:
        """Reject the first message."""
        return {"Failed": [{"Id": "0", "Message": "too long"}], "Successful": []}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack without an emulator: its outputs are known, and its queue rejects messages."""
    stack = Stack("s", "http://127.0.0.1:1", "http://127.0.0.1:2/v1", tmp_path)
    names = ("IntakeQueueUrl", "DeadLetterQueueUrl", "OutcomeTopicArn", "StateMachineArn")
    more = ("LedgerTableName", "DeliveryBucketName")
    vars(stack)["outputs"] = {name: name for name in (*names, *more)}
    vars(stack)["clients"] = SimpleNamespace(sqs=RefusingQueue())
    return stack


def test_up__names_whatever_its_commands_and_readme_use(stack: Stack) -> None:
    """Every variable in the printed commands is exported."""
    text = "\n".join(summary.lines(stack, "http://127.0.0.1:3/"))
    exported = dict(re.findall(r"export (\w+)=(\S+)", text))
    assert exported["INTAKE"] == "IntakeQueueUrl"
    assert exported["TOPIC"] == "OutcomeTopicArn"
    assert exported["LEDGER"] == "LedgerTableName"
    assert exported["BUCKET"] == "DeliveryBucketName"
    assert exported["A"] == "http://127.0.0.1:2"
    assert exported["AWS_ENDPOINT_URL"] == stack.endpoint
    assert set(re.findall(r"\$([A-Z_]+)", text)) <= exported.keys()


def test_up__has_the_old_aws_cli_go_to_the_emulator_too(stack: Stack) -> None:
    """Version 1 of the AWS CLI ignores the environment's endpoint for SQS."""
    assert 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }' in "\n".join(
        summary.lines(stack, "http://127.0.0.1:3/")
    )


def test_events__are_seen_again(tmp_path: Path) -> None:
    """A second reader sees the earlier events first, and then the new ones."""
    kept_events = tmp_path / "events.jsonl"
    first = list(islice(follow(FakeSubscriber("1", "2").receive, kept_events), 2))
    again = list(islice(follow(FakeSubscriber("3").receive, kept_events), 3))
    assert first == [{"id": "1"}, {"id": "2"}]
    assert again == [*first, {"id": "3"}]


def test_empty_message__is_refused_in_words(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and no parameter validation of botocore is shown."""
    running = SimpleNamespace(is_running=lambda: True, stack=stack)
    monkeypatch.setattr(background.BackgroundStack, "find", lambda: running)
    result = CliRunner().invoke(cli.commands, ["send", "good", ""])
    assert result.exit_code == 1
    assert result.output.startswith("Error: a message must not be empty")


def test_down__says_at_once_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints a line before it waits for the processes to end."""
    shown: list[str] = []
    monkeypatch.setattr("click.echo", shown.append)
    running = SimpleNamespace(stop=lambda: shown.append("(stop)"))
    monkeypatch.setattr(background.BackgroundStack, "find", lambda: running)
    CliRunner().invoke(cli.commands, ["down"])
    assert shown[:2] == ["Stopping …", "(stop)"]
    assert shown[2].startswith("The local stack is stopped.")


def test_refused_message__is_named(stack: Stack) -> None:
    """The error quotes the beginning of the message, and has the reason."""
    with pytest.raises(SendError, match=r"rejected\n'x{60}…': too long$"):
        stack.send("x" * 100)
