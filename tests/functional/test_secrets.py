"""Secrets Manager's answers, and what the session function does with them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import get_session
from botocore.stub import Stubber

from arena_exports.adapters.secrets import ManagedSecret
from arena_exports.domain.errors import RetryLaterError, SecretRefusedError
from arena_exports.wiring.dependencies import Aws
from arena_exports.wiring.session import SessionFunction
from infra.simulator import control, names
from tests.support.world import World, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fakes import FakeSecret

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:arena-AbCdEf"
PASSWORD = "hunter2-canary"
EMAIL = "canary@example.com"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD, "workspaceId": 1234}
GOOD = json.dumps(CREDENTIALS)
PERMANENT = [
    ("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    ("InvalidRequestException", "... because it was marked for deletion."),
    ("InvalidRequestException", "You can't access a secret from a different AWS account if ..."),
    ("AccessDeniedException", "... no resource-based policy allows the action"),
    ("AccessDeniedException", "Access to KMS is not allowed"),
    ("DecryptionFailure", "Secrets Manager can't decrypt the secret value"),
    ("InvalidParameterException", "..."),
    ("UnrecognizedClientException", "The security token included in the request is invalid"),
]
TEMPORARY = [
    ("InternalServiceError", 500),
    ("ServiceUnavailable", 503),
    ("ThrottlingException", 400),
    ("RequestLimitExceeded", 400),
]


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """A client of Secrets Manager with stubbed answers."""
    client = get_session().create_client(
        "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    with Stubber(client) as stub:
        yield stub


def secret_of(stub: Stubber, **options: Any) -> ManagedSecret:
    """Return the stubbed secret."""
    return ManagedSecret(stub.client, ARN, lambda _text: None, **options)


def log_in(stub: Stubber) -> tuple[World, str]:
    """Try to log in without success; return the world and everything that was logged."""
    world = World()
    world.dependencies = replace(world.dependencies, credentials=secret_of(stub, must_exist=True))
    with pytest.raises(RetryLaterError):
        world.functions.session.login_service.renew("")
    assert world.logins() == 0
    return world, str(world.telemetry.lines)


@pytest.mark.parametrize(("code", "message"), PERMANENT)
def test_fault_27__a_secret_that_stays_unreadable_is_refused_with_its_cause(
    stub: Stubber, code: str, message: str
) -> None:
    """A deleted secret, a policy or a key needs an operator: the alarm's log names the cause."""
    for _ in range(2):
        stub.add_client_error("get_secret_value", code, message, http_status_code=400)
    world, _ = log_in(stub)
    with pytest.raises(RetryLaterError, match="login refused"):
        world.functions.session.login_service.renew("")
    assert world.telemetry.metrics["LoginRefused"] == 2
    for said, fields in world.telemetry.lines:
        assert said == "login refused"
        assert fields["errorCode"] == "CredentialsUnreadable"
        for word in (ARN, code, message):
            assert word in str(fields["errorMessage"])


def test_login__tries_credentials_that_can_be_read_again(stub: Stubber) -> None:
    """After the operator's repair, the refusal is forgotten."""
    stub.add_client_error("get_secret_value", "AccessDeniedException", http_status_code=400)
    world, _ = log_in(stub)
    value = {"email": names.MACHINE_EMAIL, "password": names.PASSWORD}
    stub.add_response(
        "get_secret_value", {"VersionId": "v" * 32, "SecretString": json.dumps(value)}
    )
    assert world.functions.session.login_service.renew("")
    assert world.ledger.session.read().refused_version == ""


@pytest.mark.parametrize(("code", "status"), TEMPORARY)
def test_fault_27__secrets_manager_that_is_down_is_a_wait(
    stub: Stubber, code: str, status: int
) -> None:
    """A temporary error is no refused login, so there is no alarm."""
    stub.add_client_error("get_secret_value", code, http_status_code=status)
    world, _ = log_in(stub)
    assert world.telemetry.metrics["LoginRefused"] == 0
    stub.add_client_error("get_secret_value", code, http_status_code=status)
    with pytest.raises(RetryLaterError, match=code) as caught:
        secret_of(stub).read()
    assert type(caught.value) is RetryLaterError


def test_session_secret__that_cannot_be_written_raises_an_alarm(stub: Stubber) -> None:
    """A login whose session cannot be stored is lost: the log says why, without the session."""
    world = World()
    stub.add_client_error(
        "put_secret_value", "EncryptionFailure", f"value {PASSWORD}", http_status_code=400
    )
    world.session_secret.intercept("write", lambda _real, *args: secret_of(stub).write(*args))
    with pytest.raises(SecretRefusedError):
        world.functions.session.login_service.renew("")
    assert world.telemetry.metrics["LoginRefused"] == 1
    (fields,) = [fields for said, fields in world.telemetry.lines if "session secret" in said]
    assert "EncryptionFailure" in str(fields["errorMessage"])
    assert PASSWORD not in str(fields)


def test_session_secret__without_a_version_is_empty(stub: Stubber) -> None:
    """The secret of a new stack has no value, which is no error but leads to the first login."""
    stub.add_client_error(
        "get_secret_value", "ResourceNotFoundException", "... staging label: AWSCURRENT"
    )
    assert secret_of(stub).read() is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"SecretBinary": GOOD.encode()}, "is binary"),
        ({"SecretString": "\ufeff \n"}, "is empty"),
        ({"SecretString": json.dumps(GOOD)}, "encoded twice"),
        ({"SecretString": json.dumps([CREDENTIALS])}, "is not a JSON object but a JSON list"),
        ({"SecretString": json.dumps(PASSWORD)}, "is not a JSON object but a JSON text"),
        ({"SecretString": "4711"}, "is not a JSON object but a JSON number"),
        ({"SecretString": "null"}, "is not a JSON object but a JSON null"),
        ({"SecretString": f"'{GOOD}'"}, "in quotes"),
        ({"SecretString": f"\u201c{GOOD}\u201d"}, "in quotes"),
        ({"SecretString": PASSWORD}, "is not JSON: Expecting value (line 1, column 1)"),
        ({"SecretString": GOOD[:-1] + ",}"}, "(line 1, column "),
        ({"SecretString": GOOD[:-1].replace(PASSWORD, "\\" + PASSWORD)}, "Invalid "),
        ({"SecretString": GOOD[:-1] + f', "password": "{PASSWORD}"}}'}, "a key occurs twice"),
        ({"SecretString": "9" * 5000}, "is not JSON that can be read"),
        ({"SecretString": "[" * 60_000}, "is not JSON that can be read"),
    ],
)
def test_login__refuses_credentials_that_are_not_a_json_object(
    stub: Stubber, answer: dict[str, Any], said: str
) -> None:
    """The reason says what is wrong with the secret, and reveals no part of it."""
    stub.add_response("get_secret_value", {"VersionId": "v" * 32, **answer})
    world, shown = log_in(stub)
    assert said in shown
    assert world.telemetry.metrics["LoginRefused"] == 1
    assert world.ledger.session.read().refused_version == "v" * 32
    for canary in (PASSWORD, EMAIL, "4711", "1234"):
        assert canary not in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": None}, "has no password"),
        ({"password": ""}, "has an empty password"),
        ({"password": " \n"}, "has an empty password"),
        ({"password": 4711}, "has a password that is not text"),
        ({"password": [PASSWORD]}, "has a password that is not text"),
        ({"password": PASSWORD + "\n"}, "has a password with white space around it"),
        ({"email": " " + EMAIL}, "has an email with white space around it"),
        ({"email": 5, "password": ""}, "has an email that is not text and an empty password"),
        ({"workspaceId": ""}, "has an empty workspaceId"),
        ({"workspaceId": "1234 "}, "has a workspaceId with white space around it"),
        ({"workspaceId": True}, "has a workspaceId that is not text"),
        ({"workspaceId": 1.5}, "has a workspaceId that is not text"),
    ],
)
def test_login__refuses_credentials_with_a_wrong_value(
    stub: Stubber, change: dict[str, Any], said: str
) -> None:
    """A value that is missing, empty, padded or of another type is named and never tried."""
    value = json.dumps(CREDENTIALS | change)
    stub.add_response("get_secret_value", {"VersionId": "v" * 32, "SecretString": value})
    world, shown = log_in(stub)
    assert f"the credentials secret {said}'" in shown
    assert world.telemetry.metrics["LoginRefused"] == 1
    for canary in (PASSWORD, EMAIL, "4711", "1234"):
        assert canary not in shown


@pytest.mark.parametrize("name", ["Email", "PASSWORD", "workspaceID", "email "])
def test_login__refuses_credentials_with_a_misspelled_key(stub: Stubber, name: str) -> None:
    """A misspelled workspaceId would let a login reach any workspace (FAULT 28)."""
    keys = {key.lower(): key for key in CREDENTIALS}
    value = {k: v for k, v in CREDENTIALS.items() if k != keys[name.strip().lower()]}
    text = json.dumps(value | {name: "x"})
    stub.add_response("get_secret_value", {"VersionId": "v" * 32, "SecretString": text})
    _, shown = log_in(stub)
    assert f"but {name.strip()} (white space and capitals count)" in shown


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        f"\n{GOOD}\n",
        json.dumps(CREDENTIALS | {"workspaceId": "1234", "comment": 7}),
        json.dumps(CREDENTIALS | {"workspaceId": None}),
    ],
)
def test_login__accepts_credentials_with_harmless_differences(stub: Stubber, text: str) -> None:
    """A byte order mark, white space around the JSON, and other keys are accepted."""
    stub.add_response("get_secret_value", {"VersionId": "v" * 32, "SecretString": text})
    read = secret_of(stub).read()
    assert read is not None
    assert (read.problem, read.value["password"]) == ("", PASSWORD)


@pytest.mark.parametrize("name", ["credentials", "session_secret"])
def test_secret__that_is_refused_for_a_day_loses_no_message(name: str) -> None:
    """R7, R11: requests wait without a login, and are exported once the secret is readable."""
    world = World()
    control.kill_sessions(world.arena)
    secret: FakeSecret = getattr(world, name)
    secret.refusal = "secret x could not be read (AccessDeniedException)"
    world.send(*items(3))
    world.run_for(86_400)
    assert world.logins() == 0
    assert not world.dead_letters.letters
    assert "AccessDeniedException" in str(world.telemetry.lines)
    secret.refusal = ""
    world.settle()
    assert dict(world.exported()) == dict.fromkeys(items(3), 1)
    assert world.logins() == 1


class RegionalSecrets:
    """A client of Secrets Manager in one region, which notes the secrets that it is asked for."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __init__(self, region: str) -> None:
        self.meta = SimpleNamespace(region_name=region)
        self.asked: list[str] = []

    def get_secret_value(self, **arguments: str) -> dict[str, str]:
        self.asked.append(arguments["SecretId"])
        return {"SecretString": "{}", "VersionId": "v1"}


class Regions(Aws):
    """Makes such clients; the function's own region is us-east-1."""

    def __init__(self) -> None:
        self.clients: dict[str, RegionalSecrets] = {}

    def client(self, service: str, *, region: str | None = None, **_options: object) -> Any:
        assert service == "secretsmanager"
        name = region or "us-east-1"
        return self.clients.setdefault(name, RegionalSecrets(name))


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_session_function__reads_the_credentials_in_their_region(region: str) -> None:
    """Secrets Manager knows only the secrets of its own region."""
    arn = f"arn:aws:secretsmanager:{region}:000000000000:secret:credentials-AbCdEf"
    world, aws = World(settings={"credentials_secret_arn": arn}), Regions()
    connected = SessionFunction.connect(world.dependencies, aws)
    connected.credentials.read()
    connected.session_secret.read()
    assert aws.clients[region].asked[:1] == [arn]
    assert aws.clients["us-east-1"].asked[-1:] == ["session"]
