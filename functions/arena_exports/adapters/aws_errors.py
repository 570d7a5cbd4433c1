"""The code of an AWS error, and whether a later call can succeed without an operator."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

AWS_ERRORS = (BotoCoreError, ClientError)

_SERVER_ERROR = 500
# These have status 400, like permanent errors. botocore retries each of them.
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
    """Return AWS's error code; the exception's type if AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__


def is_temporary(error: Exception) -> bool:
    """Return whether AWS is down, throttles, or did not answer."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= _SERVER_ERROR or error_code(error) in _TEMPORARY
