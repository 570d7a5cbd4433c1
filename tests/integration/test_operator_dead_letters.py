"""`dead-letters`: entries are read without hiding them all, sent first, and deleted after."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports_operator.aws.dead_letters import DeadLetters, Entry

if TYPE_CHECKING:
    from infra.local.aws import Clients

pytestmark = pytest.mark.integration

CALLER = "arn:aws:iam::123456789012:user/operator"
_names = count()


class KilledError(BaseException):
    """The process was killed: not even its clean-up ran."""


class Queues:
    """A dead-letter queue and an intake queue, watched while they are being worked on."""

    def __init__(self, sqs: Any) -> None:
        name = f"queue-{next(_names)}"
        self.sqs = sqs
        self.dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        self.intake = sqs.create_queue(QueueName=f"{name}-intake")["QueueUrl"]
        self.letters = DeadLetters(self, self.dead, self.intake)
        self.calls = 0
        self.killed_at = -1
        self.least_visible = 10**6

    def fill(self, number: int) -> list[str]:
        """Put so many entries on the dead-letter queue; return their bodies."""
        bodies = [f'{{"itemGuids": ["ITEM{n:016d}"]}}' for n in range(number)]
        for n, body in enumerate(bodies):
            reason = {"requestId": f"request-{n}", "errorCode": "3011", "errorMessage": "no item"}
            attributes = {
                key: {"DataType": "String", "StringValue": value} for key, value in reason.items()
            }
            self.sqs.send_message(
                QueueUrl=self.dead, MessageBody=body, MessageAttributes=attributes
            )
        return bodies

    def visible(self, url: str) -> int:
        """Count the messages that the alarm of a queue would see."""
        name = "ApproximateNumberOfMessages"
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(found["Attributes"][name])

    def everything(self, url: str) -> list[dict[str, Any]]:
        """Take all visible messages from a queue."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
        return found

    def __getattr__(self, name: str) -> Any:
        """Watch every call that the tool makes; from one of them on, none is made any more."""
        real = getattr(self.sqs, name)

        def call(**arguments: Any) -> Any:
            if 0 <= self.killed_at <= self.calls:
                raise KilledError
            self.calls += 1
            answer = real(**arguments)
            self.least_visible = min(self.least_visible, self.visible(self.dead))
            return answer

        return call


@pytest.fixture
def queues(aws: Clients) -> Queues:
    """Queues on the one stand-in for AWS, then on the other."""
    return Queues(aws.sqs)


@pytest.mark.parametrize("number", [0, 1, 2, 11, 25])
def test_fault_84__list_shows_all_entries_and_hides_none_from_the_alarm(
    queues: Queues, number: int
) -> None:
    """At every moment the alarm sees an entry, and afterwards it sees all of them."""
    bodies = queues.fill(number)
    with queues.letters.read(1000) as read:
        entries, complete = read.entries, read.complete
    assert sorted(entry.body for entry in entries) == bodies
    assert complete
    assert queues.least_visible >= min(number, 1)
    assert queues.visible(queues.dead) == number
    assert all(entry.error_code == "3011" for entry in entries)
    assert {entry.request_id for entry in entries} == {f"request-{n}" for n in range(number)}


def test_list__stops_at_its_limit_and_says_so(queues: Queues) -> None:
    """The queue may hold any number of entries."""
    queues.fill(25)
    with queues.letters.read(12) as read:
        assert 12 <= len(read.entries) < 25
        assert not read.complete
    assert queues.visible(queues.dead) == 25


def test_redrive__sends_with_the_caller_and_deletes(queues: Queues) -> None:
    """Entries that do not match stay; the others arrive unchanged."""
    bodies = queues.fill(12)
    with queues.letters.read(1000) as read:
        chosen = [entry for entry in read.entries if entry.body in bodies[:5]]
        sent = list(queues.letters.redrive(chosen, CALLER))
    arrived = queues.everything(queues.intake)
    assert sorted(message["Body"] for message in arrived) == bodies[:5]
    assert {m["MessageAttributes"]["sentBy"]["StringValue"] for m in arrived} == {CALLER}
    assert {request_id for _, request_id in sent} == {m["MessageId"] for m in arrived}
    assert sorted(m["Body"] for m in queues.everything(queues.dead)) == sorted(bodies[5:])


@pytest.mark.parametrize("number", [1, 3])
def test_fault_84__redrive_killed_at_any_moment_loses_nothing(queues: Queues, number: int) -> None:
    """Each entry is on one of the queues, at worst on both, and the alarm still sees one."""
    for killed_at in count():
        again = Queues(queues.sqs)
        bodies, again.killed_at = again.fill(number), killed_at
        try:
            with again.letters.read(1000) as read:
                list(again.letters.redrive(read.entries, CALLER))
        except KilledError:
            finished = False
        else:
            finished = True
        sent = [message["Body"] for message in again.everything(again.intake)]
        kept = _left(again, number)
        assert set(sent) | kept == set(bodies)
        assert finished or again.visible(again.dead) >= (0 if set(sent) == set(bodies) else 1)
        if finished:
            assert (sorted(sent), kept) == (sorted(bodies), set())
            break


def test_fault_84__what_a_killed_list_has_hidden_comes_back_by_itself(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry stays visible meanwhile, so that the alarm goes on."""
    monkeypatch.setattr("arena_exports_operator.aws.dead_letters.HIDDEN_SECONDS", 1)
    queues.fill(4)
    with pytest.raises(KilledError):
        _read_until_killed(queues)
    assert queues.visible(queues.dead) == 1
    time.sleep(1.1)
    assert queues.visible(queues.dead) == 4


def _read_until_killed(queues: Queues) -> None:
    with queues.letters.read(1000):
        queues.killed_at = queues.calls


def _left(queues: Queues, number: int) -> set[str]:
    """Return what is on the dead-letter queue, hidden or not: nothing of it may be taken out."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = queues.sqs.get_queue_attributes(QueueUrl=queues.dead, AttributeNames=names)
    left = sum(int(found["Attributes"][name]) for name in names)
    # Entries are deleted in the order in which they were read; so many of them are left.
    all_bodies = [f'{{"itemGuids": ["ITEM{n:016d}"]}}' for n in range(number)]
    return set(all_bodies[number - left :]) if left else set()


def test_entry__that_sqs_moved_has_no_reason(queues: Queues) -> None:
    """SQS's own redrive adds no attributes."""
    queues.sqs.send_message(QueueUrl=queues.dead, MessageBody="x")
    with queues.letters.read(10) as read:
        (entry,) = read.entries
    assert isinstance(entry, Entry)
    assert (entry.request_id, entry.error_code, entry.error_message) == (None, None, None)
    assert entry.handle not in repr(entry)
