"""A day of one deployed stack on which most things go wrong, with every call of it on record.

Each function comes to make every kind of call that it can make, at log level DEBUG, and Arena's
errors tell what Arena was told: the password and the session id.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.local import emulator
from infra.local.launch import CREDENTIALS, temporary_stack
from infra.local.stack import StackTimeoutError
from infra.simulator import names
from tests.support.recorder import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.local.stack import DeadLetter, Stack
    from infra.local.subscriber import Subscriber
    from tests.support.recorder import Call

CANARY = "kanarienvogel4711"
PASSWORD = f'"{CANARY}"\\\né'
"""Spelt differently by JSON, repr and URLs; the canary in it is not."""
ECO = "ECO-000023"
GUIDS = [f"ITEM{number:016}" for number in range(9)]
WAIT_SCALE = 0.05
LARGEST_MESSAGE_BYTES = 1024 * 1024  # SQS: body and attributes together


@dataclass(slots=True)
class Day:
    """The stack, and what came out of it: events, dead letters, functions' answers, AWS calls."""

    stack: Stack
    subscriber: Subscriber
    calls: list[Call]
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def wait_for_events(self, count: int) -> None:
        """Wait until so many have come out since the day began, and the stack is at rest."""

        def came() -> bool:
            self.subscriber.receive()
            return len(self.subscriber.events) >= count

        self.stack.wait_until(f"{count} events", came)
        self.stack.wait_until_idle()
        self.dead_letters += self.stack.dead_letters()

    def invoke(self, logical_id: str, event: dict[str, Any]) -> None:
        """Call a function by itself, and keep what it answers, exceptions too."""
        self.answers.append(self.stack.invoke(logical_id, event))

    def secret(self, name: str) -> str:
        """Read a secret by the variable that names it to the session function."""
        arn = self._variables()[name]
        return str(self.stack.clients.secrets.get_secret_value(SecretId=arn)["SecretString"])

    def put_credentials(self, text: str) -> None:
        """Put a new version of the credentials secret."""
        arn = self._variables()["ARENA_CREDENTIALS_SECRET_ARN"]
        self.stack.clients.secrets.put_secret_value(SecretId=arn, SecretString=text)

    def session_id(self) -> str:
        """Return the session id in force."""
        return str(json.loads(self.secret("SESSION_SECRET_ARN"))["arenaSessionId"])

    def log_in(self, **fault: object) -> None:
        """Have the session function log in, as if an hour had passed, to an Arena at fault."""
        if fault:
            self.stack.arena.fault(method="POST", path="/v1/login", **fault)
        self.amend_session(notBefore={"N": "0"}, logins={"L": []})
        dead = self.stack.ledger_item("SESSION")["version"]["S"]
        self.invoke("SessionFunction", {"deadVersion": dead})

    def amend_session(self, **values: Any) -> None:
        """Change what the ledger says of the session."""
        item = dict(self.stack.ledger_item("SESSION")) | values
        table_name = self.stack.outputs["LedgerTableName"]
        self.stack.clients.dynamodb.put_item(TableName=table_name, Item=item)

    def _variables(self) -> dict[str, str]:
        found = self.stack.clients.functions.get_function_configuration(
            FunctionName=self.stack.resources["SessionFunction"]
        )
        return dict(found["Environment"]["Variables"])


@contextmanager
def live_through() -> Iterator[Day]:
    """Give a stack that has lived through all of it."""
    with temporary_stack({"LogLevel": "DEBUG"}, lambda _step: None) as stack:
        emulator.scale_waits(stack.endpoint, WAIT_SCALE)
        stack.arena.set(createdSeconds=0.1, runningSeconds=0.2)
        stack.arena.set_account(password=PASSWORD)
        with recorded(stack) as calls:
            day = Day(stack, stack.subscribe(), calls)
            day.put_credentials(json.dumps(CREDENTIALS | {"password": PASSWORD}))
            _live_through(day)
            yield day


def _live_through(day: Day) -> None:
    """Let it all happen; where a call is denied the day ends early, and a test says which."""
    try:
        for happening in HAPPENINGS:
            happening(day)
    except StackTimeoutError:
        if not any(call.denied for call in day.calls):
            raise


def messages_good_and_bad(day: Day) -> None:
    """A message is refused beside one that is exported."""
    day.stack.send({"itemGuids": GUIDS[:2], "correlationId": ECO}, f"{{broken {ECO}")
    day.wait_for_events(2)


def run_in_trouble(day: Day) -> None:
    """In mid-run reconcile comes by, the session dies, and the execution is stopped by hand."""
    stack, arena = day.stack, day.stack.arena
    arena.plan(status="RUNNING")
    stack.send(GUIDS[2])
    execution_arn = stack.wait_until("its execution", lambda: _execution_of_last_run(stack))
    logins = arena.state().requests["login"]
    stack.reconcile()
    arena.kill_sessions()
    stack.clients.stepfunctions.stop_execution(executionArn=execution_arn)
    stack.reconcile()
    stack.wait_until("a login", lambda: arena.state().requests["login"] > logins)
    arena.set_run(arena.state().runs[-1].guid, "COMPLETE")
    day.wait_for_events(3)


def runs_without_results(day: Day) -> None:
    """A run fails and succeeds the second time; one is complete but never shows its files."""
    day.stack.arena.plan(status="FAILED")
    day.stack.send(GUIDS[3])
    day.wait_for_events(4)
    day.stack.arena.plan(files=0, criteriaResultsCount=4)
    day.stack.send(GUIDS[4])
    day.wait_for_events(5)


def item_refused(day: Day) -> None:
    """Arena refuses an item, and tells more than it should."""
    message = f'The guid "{GUIDS[5]}" is not valid. ({day.session_id()})'
    day.stack.arena.fault(method="POST", path="/v1/exports/*/runs", code=3011, message=message)
    day.stack.send(GUIDS[5])
    day.wait_for_events(6)


def polls_without_answer(day: Day) -> None:
    """A gateway shows its visitors' headers, and Arena's errors tell too much."""
    told = f"arena_session_id: {day.session_id()}"
    faults: list[dict[str, object]] = [
        {"status": 200, "body": f"<pre>{told}</pre>"},
        {"status": 500, "code": 4085, "message": told},
        {"status": 400, "code": 400, "message": told},
    ]
    for fault in faults:
        day.stack.arena.fault(method="GET", path="/v1/exports/*/runs/*", **fault)
    day.stack.send(GUIDS[6])
    day.wait_for_events(7)


def logins_without_answer(day: Day) -> None:
    """Arena refuses a login, shows what it was sent, breaks off; the credentials are no JSON."""
    told = f"{names.MACHINE_EMAIL} {PASSWORD}"
    day.log_in(code=4001, message=told)
    day.put_credentials(f'{{"password": "{PASSWORD}')
    day.log_in()
    day.put_credentials(json.dumps(CREDENTIALS | {"password": PASSWORD}))
    day.log_in(truncate=True)
    day.log_in(status=502, body=f"<pre>{told}</pre>")
    day.log_in(status=200, body=json.dumps({"told": told}), contentType="application/json")
    day.log_in()


def login_that_died(day: Day) -> None:
    """A session function wrote the secret, and died before it wrote the ledger."""
    day.amend_session(version={"S": ""}, loginExpiresAt={"N": "0"})
    day.invoke("SessionFunction", {"deadVersion": "a version before"})


def events_that_nobody_sends(day: Day) -> None:
    """Each function ends with an exception."""
    for name in ("SubmitFunction", "PollFunction", "PublishFunction"):
        day.invoke(name, {"Records": [{"body": ECO}], "attemptId": ECO})
    day.invoke("SessionFunction", {})


def post_without_answer(day: Day) -> None:
    """A POST's answer is a gateway's: what became of it is not known when the day ends."""
    body = f"<pre>arena_session_id: {day.session_id()}</pre>"
    day.stack.arena.fault(method="POST", path="/v1/exports/*/runs", status=500, body=body)
    day.stack.send(GUIDS[8])
    day.stack.wait_until("the message taken", lambda: day.stack.queue_depth() == 0)
    assert day.stack.lease_state() == "submitting"


def refusal_that_does_not_fit(day: Day) -> None:
    """SQS refuses a dead letter as too large: the message is to be delivered again soon."""
    body = "x" * (LARGEST_MESSAGE_BYTES + 1)
    record = {"messageId": ECO, "receiptHandle": ECO, "body": body}
    day.invoke("SubmitFunction", {"Records": [record]})
    assert day.answers[-1] == {"batchItemFailures": [{"itemIdentifier": ECO}]}


HAPPENINGS: tuple[Callable[[Day], None], ...] = (
    messages_good_and_bad,
    run_in_trouble,
    runs_without_results,
    item_refused,
    polls_without_answer,
    logins_without_answer,
    login_that_died,
    events_that_nobody_sends,
    post_without_answer,
    refusal_that_does_not_fit,
)


def _execution_of_last_run(stack: Stack) -> str | None:
    """Return the execution that watches the run in progress; that of the run before may linger."""
    machine, last = stack.outputs["StateMachineArn"], stack.arena.state().runs[-1]
    listed = stack.clients.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    watching = [one["executionArn"] for one in listed if one["name"].startswith(last.guid)]
    return watching[0] if watching and last.status == "RUNNING" else None
