"""Secrets Manager: one secret, read and written as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from arena_exports.adapters.aws_errors import AWS_ERRORS, error_code, is_temporary
from arena_exports.domain.errors import RetryLaterError, SecretRefusedError
from arena_exports.ports import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_RETRY_AFTER_SECONDS = 30
_REDACTED_KEYS = ("password", "arenaSessionId")
_QUOTES = "'\u2018\u2019\u201c\u201d`"  # from a shell or a word processor
_KINDS = {str: "text", list: "list", bool: "boolean", int: "number", float: "number"}


class ManagedSecret:
    """Implements `ports.SecretStore`.

    Its errors name the secret and AWS's code, never a value. `redact` is called with every
    password and session id.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3 clients have no type
        arn: str,
        redact: Callable[[str], None],
        *,
        must_exist: bool = False,
    ) -> None:
        """Take a client for the region of the ARN.

        `must_exist`: a secret without a current version is an error, not an empty secret.
        """
        self._client = client
        self._arn = arn
        self._redact = redact
        self._must_exist = must_exist

    def read(self, version: str | None = None) -> Secret | None:
        """Return the current version, or a named one; None if there is none yet."""
        named = {"VersionId": version} if version else {}
        try:
            answer = self._client.get_secret_value(SecretId=self._arn, **named)
        except self._client.exceptions.ResourceNotFoundException as exc:
            if self._must_exist:
                raise self._not_now("read", exc) from None
            return None
        except AWS_ERRORS as exc:
            raise self._not_now("read", exc) from None
        value, problem = _object(answer)
        self._redact_in(value)
        return Secret(answer["VersionId"], value, problem)

    def write(self, value: Mapping[str, Any], version: str) -> None:
        """Make a new current version with the given id."""
        self._redact_in(value)
        try:
            self._client.put_secret_value(
                SecretId=self._arn, ClientRequestToken=version, SecretString=json.dumps(dict(value))
            )
        except AWS_ERRORS as exc:
            raise self._not_now("written", exc) from None

    def _redact_in(self, value: Mapping[str, Any]) -> None:
        for key in _REDACTED_KEYS:
            self._redact(str(value.get(key, "")))

    def _not_now(self, done: str, error: Exception) -> RetryLaterError:
        reason = f"secret {self._arn} could not be {done} ({error_code(error)}{_said(done, error)})"
        kind = RetryLaterError if is_temporary(error) else SecretRefusedError
        return kind(reason, _RETRY_AFTER_SECONDS)


def _said(done: str, error: Exception) -> str:
    """Return AWS's message about a read; one about a write might quote the value."""
    message = getattr(error, "response", {}).get("Error", {}).get("Message")
    return f": {message}" if message and done == "read" else ""


class _ProblemError(Exception):
    """What is wrong with a value, without any part of it."""


def _object(answer: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the JSON object in a secret and "", or {} and what is wrong with it."""
    try:
        value = _parsed(_text(answer))
    except _ProblemError as exc:
        return {}, str(exc)
    return (value, "") if isinstance(value, dict) else ({}, _not_an_object(value))


def _text(answer: Mapping[str, Any]) -> str:
    if "SecretString" not in answer:
        raise _ProblemError("is binary: store it as text (SecretString)")
    text = str(answer["SecretString"]).removeprefix("\ufeff").strip()
    if not text:
        raise _ProblemError("is empty")
    if text[0] in _QUOTES:
        raise _ProblemError("is not JSON: it is in quotes, which a shell or an editor left there")
    return text


def _parsed(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as exc:
        what = exc.msg.partition(":")[0]  # after a colon it may quote a character
        where = f"line {exc.lineno}, column {exc.colno}"
        raise _ProblemError(f"is not JSON: {what} ({where})") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or deeply nested
        raise _ProblemError("is not JSON that can be read") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _ProblemError("is JSON in which a key occurs twice")
    return value


def _not_an_object(value: object) -> str:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return "is not a JSON object: it is a JSON text that holds JSON, encoded twice"
    return f"is not a JSON object but a JSON {_KINDS.get(type(value), 'null')}"
