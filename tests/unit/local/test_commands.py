"""What `make up` prints, and what the commands for the stack that it left running do."""

import re
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from infra.local import background as kept
from infra.local import cli
from infra.local import summary as welcome
from infra.local.events import followed
from infra.local.stack import SendError, Stack
from infra.local.subscriber import ReceivedEvent


class FakeSubscriber:
    """A subscriber for whom events have arrived."""

    def __init__(self, *ids: str) -> None:
        """Name the events by their ids."""
        self._coming = [ReceivedEvent({"id": event_id}, {}, 0) for event_id in ids]

    def receive(self) -> list[ReceivedEvent]:
        """Take all of them."""
        taken, self._coming = self._coming, []
        return taken


class RefusingQueue:
    """A client of SQS that takes no message."""

    def send_message_batch(self, **_batch: object) -> dict[str, Any]:
        """Refuse the first message."""
        return {"Failed": [{"Id": "0", "Message": "too odd"}], "Successful": []}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack that needs no emulator: its outputs are known, its queue takes nothing."""
    stack = Stack("s", "http://127.0.0.1:1", "http://127.0.0.1:2/v1", tmp_path)
    names = ("IntakeQueueUrl", "DeadLetterQueueUrl", "OutcomeTopicArn", "StateMachineArn")
    vars(stack)["outputs"] = {name: name for name in (*names, "LedgerTableName")}
    vars(stack)["clients"] = SimpleNamespace(sqs=RefusingQueue())
    return stack


def test_up__names_whatever_its_commands_and_readme_use(stack: Stack) -> None:
    """Lines that are copied find every variable set."""
    text = "\n".join(welcome.lines(stack))
    exported = dict(re.findall(r"export (\w+)=(\S+)", text))
    assert exported["INTAKE"] == "IntakeQueueUrl"
    assert exported["TOPIC"] == "OutcomeTopicArn"
    assert exported["LEDGER"] == "LedgerTableName"
    assert exported["A"] == "http://127.0.0.1:2"
    assert exported["AWS_ENDPOINT_URL"] == stack.endpoint
    assert set(re.findall(r"\$([A-Z_]+)", text)) <= exported.keys()


def test_up__has_the_old_aws_cli_go_to_the_emulator_too(stack: Stack) -> None:
    """It takes no endpoint from the environment for SQS."""
    assert 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }' in "\n".join(
        welcome.lines(stack)
    )


def test_events__are_seen_again(tmp_path: Path) -> None:
    """Who looks a second time sees those of before, and then what comes."""
    kept_events = tmp_path / "events.jsonl"
    first = list(islice(followed(FakeSubscriber("1", "2"), kept_events), 2))
    again = list(islice(followed(FakeSubscriber("3"), kept_events), 3))
    assert first == [{"id": "1"}, {"id": "2"}]
    assert again == [*first, {"id": "3"}]


def test_empty_message__is_refused_in_words(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and no list of botocore's is shown."""
    running = SimpleNamespace(is_running=lambda: True, stack=stack)
    monkeypatch.setattr(kept.KeptStack, "find", lambda: running)
    result = CliRunner().invoke(cli.commands, ["send", "good", ""])
    assert result.exit_code == 1
    assert result.output.startswith("Error: a message must not be empty")


def test_down__says_at_once_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes take some seconds to end."""
    shown: list[str] = []
    monkeypatch.setattr(cli.click, "echo", shown.append)
    running = SimpleNamespace(stop=lambda: shown.append("(stop)"))
    monkeypatch.setattr(kept.KeptStack, "find", lambda: running)
    CliRunner().invoke(cli.commands, ["down"])
    assert shown[:2] == ["Stopping …", "(stop)"]
    assert shown[2].startswith("Stopped.")


def test_refused_message__is_named(stack: Stack) -> None:
    """The error quotes its beginning, and says why."""
    with pytest.raises(SendError, match=r"does not take\n'x{60}…': too odd$"):
        stack.send("x" * 100)
