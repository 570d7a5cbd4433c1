"""The code of an AWS error, and whether a later call can succeed without an operator."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

AWS_ERRORS = (BotoCoreError, ClientError)

_SERVER_ERROR = 500
# Answered with status 400, like errors that last. Each is a code that botocore retries.
_TEMPORARY = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "RequestTimeoutException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def error_code(error: Exception) -> str:
    """Return AWS's error code; the exception's type where AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__


def is_temporary(error: Exception) -> bool:
    """Tell whether AWS is down, throttles, or did not answer."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= _SERVER_ERROR or error_code(error) in _TEMPORARY
