"""A deployed stack on which most faults occur, with a record of every call that it makes.

Each function makes every kind of call that it can make, at log level DEBUG, and Arena's errors
repeat what was sent to Arena: the password and the session id.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports.ledger.keys import DELIVERY_LANE
from infra.local import emulator
from infra.local.demo.tally import OUTCOMES
from infra.local.launch import CREDENTIALS, temporary_stack
from infra.local.stack import StackTimeoutError
from infra.simulator import names
from tests.events import event, sqs_record
from tests.support.recorder import recorded
from tests.support.schemas import validate_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.local.stack import DeadLetter, Stack
    from infra.local.subscriber import Subscriber
    from tests.support.recorder import Call

CANARY = "kanarienvogel4711"
PASSWORD = f'"{CANARY}"\\\né'
"""JSON, repr and URLs each spell it differently, but not the canary in it."""
ECO = "ECO-000023"
GUIDS = [f"ITEM{number:016}" for number in range(9)]
WAIT_SCALE = 0.05
STALL_SECONDS = 20  # deliver waits 25 for the next bytes
MAX_MESSAGE_BYTES = 1024 * 1024  # SQS: body and attributes together


@dataclass(slots=True)
class FaultScenario:
    """The stack and its output: events, dead letters, the functions' answers, AWS calls."""

    stack: Stack
    subscriber: Subscriber
    calls: list[Call]
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def wait_for_events(self, count: int) -> None:
        """Wait until so many events were received since the start, and the stack is idle."""

        def came() -> bool:
            for received in self.subscriber.receive():
                validate_event(received.event, received.attributes)
            return len(self.subscriber.events) >= count

        self.stack.wait_until(f"{count} events", came)
        self.stack.wait_until_idle()
        # A fault of the next step would hit a download, too.
        self.stack.wait_until("no delivery", lambda: not self.stack.ledger_item("DELIVER"))
        self.dead_letters += self.stack.dead_letters()

    def invoke(self, logical_id: str, event: dict[str, Any]) -> None:
        """Invoke a function directly, and keep its answer, even an exception."""
        self.answers.append(self.stack.invoke(logical_id, event))

    def secret(self, name: str) -> str:
        """Read the secret that a variable of the session function names."""
        arn = self._variables()[name]
        return str(self.stack.clients.secrets.get_secret_value(SecretId=arn)["SecretString"])

    def put_credentials(self, text: str) -> None:
        """Put a new version of the credentials secret."""
        arn = self._variables()["ARENA_CREDENTIALS_SECRET_ARN"]
        self.stack.clients.secrets.put_secret_value(SecretId=arn, SecretString=text)

    def session_id(self) -> str:
        """Return the current session id."""
        return str(json.loads(self.secret("SESSION_SECRET_ARN"))["arenaSessionId"])

    def log_in(self, **fault: object) -> None:
        """Invoke a login as if an hour had passed, with a fault in Arena."""
        if fault:
            self.stack.arena.fault(method="POST", path="/v1/login", **fault)
        self.amend_session(notBefore={"N": "0"}, logins={"L": []})
        dead = self.stack.ledger_item("SESSION")["version"]["S"]
        self.invoke("SessionFunction", {"deadVersion": dead})

    def amend_session(self, **values: Any) -> None:
        """Change the ledger's session item."""
        item = dict(self.stack.ledger_item("SESSION")) | values
        table_name = self.stack.outputs["LedgerTableName"]
        self.stack.clients.dynamodb.put_item(TableName=table_name, Item=item)

    def _variables(self) -> dict[str, str]:
        found = self.stack.clients.functions.get_function_configuration(
            FunctionName=self.stack.resources["SessionFunction"]
        )
        return dict(found["Environment"]["Variables"])


@contextmanager
def run_fault_scenario() -> Iterator[FaultScenario]:
    """Yield a stack on which every step has run."""
    with temporary_stack({"LogLevel": "DEBUG"}, lambda _step: None) as stack:
        emulator.scale_waits(stack.endpoint, WAIT_SCALE)
        stack.arena.set(createdSeconds=0.1, runningSeconds=0.2)
        stack.arena.set_account(password=PASSWORD)
        with recorded(stack) as calls:
            scenario = FaultScenario(stack, stack.subscribe("subscriber", *OUTCOMES), calls)
            scenario.put_credentials(json.dumps(CREDENTIALS | {"password": PASSWORD}))
            _run_steps(scenario)
            yield scenario


def _run_steps(scenario: FaultScenario) -> None:
    """Run every step; if a call is denied the scenario ends early, and a test names the call."""
    try:
        for step in STEPS:
            step(scenario)
    except StackTimeoutError:
        if not any(call.denied for call in scenario.calls):
            raise


def messages_good_and_bad(scenario: FaultScenario) -> None:
    """A message is refused beside one that is exported."""
    scenario.stack.send({"itemGuids": GUIDS[:2], "correlationId": ECO}, f"{{broken {ECO}")
    scenario.wait_for_events(2)


def run_in_trouble(scenario: FaultScenario) -> None:
    """During a run, reconcile runs, the session dies, and the execution is stopped by hand."""
    stack, arena = scenario.stack, scenario.stack.arena
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
    scenario.wait_for_events(3)


def runs_without_results(scenario: FaultScenario) -> None:
    """One run fails and then succeeds; another is complete but never shows its files."""
    scenario.stack.arena.plan(status="FAILED")
    scenario.stack.send(GUIDS[3])
    scenario.wait_for_events(4)
    scenario.stack.arena.plan(files=0, criteriaResultsCount=4)
    scenario.stack.send(GUIDS[4])
    scenario.wait_for_events(5)


def item_refused(scenario: FaultScenario) -> None:
    """Arena refuses an item, and its message reveals the session id."""
    message = f'The guid "{GUIDS[5]}" is not valid. ({scenario.session_id()})'
    scenario.stack.arena.fault(method="POST", path="/v1/exports/*/runs", code=3011, message=message)
    scenario.stack.send(GUIDS[5])
    scenario.wait_for_events(6)


def polls_without_answer(scenario: FaultScenario) -> None:
    """A gateway echoes request headers, and Arena's errors reveal the session id."""
    told = f"arena_session_id: {scenario.session_id()}"
    faults: list[dict[str, object]] = [
        {"status": 200, "body": f"<pre>{told}</pre>"},
        {"status": 500, "code": 4085, "message": told},
        {"status": 400, "code": 400, "message": told},
    ]
    for fault in faults:
        scenario.stack.arena.fault(method="GET", path="/v1/exports/*/runs/*", **fault)
    scenario.stack.send(GUIDS[6])
    scenario.wait_for_events(7)


def logins_without_answer(scenario: FaultScenario) -> None:
    """Arena refuses a login, echoes it, or breaks off; the credentials are not JSON."""
    told = f"{names.MACHINE_EMAIL} {PASSWORD}"
    scenario.log_in(code=4001, message=told)
    scenario.put_credentials(f'{{"password": "{PASSWORD}')
    scenario.log_in()
    scenario.put_credentials(json.dumps(CREDENTIALS | {"password": PASSWORD}))
    scenario.log_in(truncate=True)
    scenario.log_in(status=502, body=f"<pre>{told}</pre>")
    scenario.log_in(status=200, body=json.dumps({"told": told}), contentType="application/json")
    scenario.log_in()


def login_that_died(scenario: FaultScenario) -> None:
    """A session function wrote the secret and died before it wrote the ledger."""
    scenario.amend_session(version={"S": ""}, loginExpiresAt={"N": "0"})
    scenario.invoke("SessionFunction", {"deadVersion": "a version before"})


def status_shown(scenario: FaultScenario) -> None:
    """The dashboard shows the status, and somebody searches for an item."""
    for text in ("", GUIDS[0]):
        asked = event("cloudwatch_widget")
        asked["widgetContext"]["forms"]["all"] = {"find": text}
        scenario.invoke("StatusFunction", asked)
    assert "COMPLETE" in scenario.answers[-1]


def events_that_nobody_sends(scenario: FaultScenario) -> None:
    """Each function gets an event that makes it raise an exception."""
    for name in ("SubmitFunction", "PollFunction", "PublishFunction"):
        scenario.invoke(name, {"Records": [{"body": ECO}], "attemptId": ECO})
    scenario.invoke("SessionFunction", {})


def file_cut_off(scenario: FaultScenario) -> None:
    """The session ends before a large file is downloaded, and again before the next try.

    The download stalls while a poll of the next run gets no answer, and then it is cut off.
    """
    stack, arena = scenario.stack, scenario.stack.arena
    stalled = {"stallAfterBytes": 1_000_000, "stallSeconds": STALL_SECONDS}
    arena.plan(contents=[{"size": 20_000_000}])
    arena.plan(status="RUNNING")
    arena.fault(path="*/content", code=401, times=2)
    arena.fault(download={**stalled, "cutAfterBytes": 17_000_000, "etag": "none"})
    downloads = arena.state().requests["download"]
    stack.send(GUIDS[7])
    stack.wait_until("downloads", lambda: arena.state().requests["download"] >= downloads + 3)
    runs = len(arena.state().runs)
    stack.send(GUIDS[0])
    stack.wait_until("the next run", lambda: len(arena.state().runs) > runs)
    run_guid = arena.state().runs[-1].guid
    arena.fault(path=f"*/runs/{run_guid}", status=500, body="<h1>Error</h1>", times=None)
    lane = DELIVERY_LANE[0]
    stack.wait_until(
        "a poll without an answer", lambda: _called(scenario, "poll", "UpdateItem", lane)
    )
    arena.settle()
    arena.set_run(run_guid, "COMPLETE")
    aborted = "AbortMultipartUpload"
    stack.wait_until("an upload given up", lambda: _called(scenario, "deliver", aborted))
    stack.wait_until_idle()


def _called(scenario: FaultScenario, function: str, operation: str, text: str = "") -> bool:
    return any(
        (call.function, call.operation) == (function, operation) and text in call.body
        for call in scenario.calls
    )


def question_of_an_operator(scenario: FaultScenario) -> None:
    """The session is dead when an operator asks about an export definition."""
    scenario.stack.arena.kill_sessions()
    scenario.amend_session(notBefore={"N": "0"}, logins={"L": []})
    question = {"exportGuid": names.DEFAULT_EXPORT_GUID, "sentBy": "arn:aws:iam::000000000000:root"}
    scenario.invoke("ExamineFunction", question)
    assert [answer["status"] for answer in scenario.answers[-1]["answers"]] == [200, 200]


def post_without_answer(scenario: FaultScenario) -> None:
    """A gateway answers a POST, so its result is unknown when the scenario ends."""
    body = f"<pre>arena_session_id: {scenario.session_id()}</pre>"
    scenario.stack.arena.fault(method="POST", path="/v1/exports/*/runs", status=500, body=body)
    scenario.stack.send(GUIDS[8])
    scenario.stack.wait_until("the message taken", lambda: scenario.stack.queue_depth() == 0)
    assert scenario.stack.lease_state() == "submitting"


def refusal_that_does_not_fit(scenario: FaultScenario) -> None:
    """SQS refuses a dead letter as too large, so the message is delivered again soon."""
    body = "x" * (MAX_MESSAGE_BYTES + 1)
    record = sqs_record(ECO, body, time.time()) | {"receiptHandle": ECO}
    scenario.invoke("SubmitFunction", {"Records": [record]})
    assert scenario.answers[-1] == {"batchItemFailures": [{"itemIdentifier": ECO}]}


STEPS: tuple[Callable[[FaultScenario], None], ...] = (
    messages_good_and_bad,
    run_in_trouble,
    runs_without_results,
    item_refused,
    polls_without_answer,
    logins_without_answer,
    login_that_died,
    status_shown,
    events_that_nobody_sends,
    file_cut_off,
    question_of_an_operator,
    post_without_answer,
    refusal_that_does_not_fit,
)


def _execution_of_last_run(stack: Stack) -> str | None:
    """Return the execution of the run in progress; that of the previous run may still exist."""
    machine, last = stack.outputs["StateMachineArn"], stack.arena.state().runs[-1]
    listed = stack.clients.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    watching = [one["executionArn"] for one in listed if one["name"].startswith(last.guid)]
    return watching[0] if watching and last.status == "RUNNING" else None
