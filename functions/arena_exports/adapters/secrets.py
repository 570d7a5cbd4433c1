"""Secrets Manager: one secret, read and written as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.errors import NotNowError
from arena_exports.ports import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_RETRY_AFTER_SECONDS = 30
_CONCEALED_KEYS = ("password", "arenaSessionId")


class ManagedSecret:
    """Fulfils `ports.SecretStore`.

    Its errors name the operation and AWS's code, never a value. `conceal` is told of every password
    and session id that passes through.
    """

    def __init__(self, client: Any, arn: str, conceal: Callable[[str], None]) -> None:  # noqa: ANN401
        self._client = client
        self._arn = arn
        self._conceal = conceal

    def read(self, version: str | None = None) -> Secret | None:
        """Return the current version, or a named one; None when there is none yet."""
        named = {"VersionId": version} if version else {}
        try:
            answer = self._client.get_secret_value(SecretId=self._arn, **named)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        except (BotoCoreError, ClientError) as exc:
            raise _not_now("read", exc) from None
        value = _object(answer.get("SecretString", ""))
        self._conceal_in(value)
        return Secret(answer["VersionId"], value)

    def write(self, value: Mapping[str, Any], version: str) -> None:
        """Make a new current version with the given id."""
        self._conceal_in(value)
        try:
            self._client.put_secret_value(
                SecretId=self._arn, ClientRequestToken=version, SecretString=json.dumps(dict(value))
            )
        except (BotoCoreError, ClientError) as exc:
            raise _not_now("written", exc) from None

    def _conceal_in(self, value: Mapping[str, Any]) -> None:
        for key in _CONCEALED_KEYS:
            self._conceal(str(value.get(key, "")))


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that a secret holds.

    Anything else reads as {}, so that a missing key is what is reported.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _not_now(done: str, exc: Exception) -> NotNowError:
    code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
    return NotNowError(f"secret could not be {done} ({code})", _RETRY_AFTER_SECONDS)
