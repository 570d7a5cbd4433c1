"""The session function as submit and poll call it: its answers and its failures."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody
from botocore.session import get_session
from botocore.stub import Stubber

from arena_exports.adapters.session_function import LambdaSessionRenewer
from arena_exports.domain.errors import RetryLaterError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """A client of Lambda with stubbed answers."""
    client = get_session().create_client(
        "lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    with Stubber(client) as stub:
        yield stub


def answers(stub: Stubber, payload: object, **more: object) -> LambdaSessionRenewer:
    """Return a session function that answers with a payload."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    stream = StreamingBody(io.BytesIO(body), len(body))
    asked = {"FunctionName": "session", "Payload": b'{"deadVersion": "v1"}'}
    stub.add_response("invoke", {"StatusCode": 200, "Payload": stream, **more}, asked)
    return LambdaSessionRenewer(lambda: stub.client, "session")


def test_session_function__returns_the_current_version(stub: Stubber) -> None:
    """The request names the version of the dead session."""
    assert answers(stub, {"version": "v2"}).renew("v1") == "v2"


@pytest.mark.parametrize(
    ("payload", "more", "reason", "seconds"),
    [
        ({"reason": "login refused", "retryAfterSeconds": 60}, {}, "login refused", 60),
        ({}, {}, "no reason", 30),
        (["odd"], {}, "no reason", 30),
        (b"not JSON", {}, "no reason", 30),
        (
            {"errorType": "Sandbox.Timedout", "errorMessage": "canary"},
            {"FunctionError": "Unhandled"},
            "failed (Sandbox.Timedout)",
            30,
        ),
        ({"version": "v2"}, {"FunctionError": "Unhandled"}, "failed (no error type)", 30),
        (b"", {"FunctionError": "Unhandled"}, "failed (no error type)", 30),
    ],
)
def test_session_function__that_has_no_session_is_a_wait(
    stub: Stubber, payload: Any, more: dict[str, object], reason: str, seconds: int
) -> None:
    """The reason is the function's own, or an error's type, because its text may reveal more."""
    with pytest.raises(RetryLaterError) as caught:
        answers(stub, payload, **more).renew("v1")
    assert reason in caught.value.reason
    assert caught.value.retry_after_seconds == seconds
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "TooManyRequestsException",
        "ResourceNotFoundException",
        "AccessDeniedException",
        "KMSDisabledException",
        "ServiceException",
    ],
)
def test_session_function__that_cannot_be_invoked_is_a_wait_with_a_cause(
    stub: Stubber, code: str
) -> None:
    """AWS's error code is in the reason, which submit logs."""
    stub.add_client_error("invoke", code)
    with pytest.raises(RetryLaterError, match=code):
        LambdaSessionRenewer(lambda: stub.client, "session").renew("v1")
