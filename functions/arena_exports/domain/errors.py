"""All errors, as one tree.

::

    ArenaExportsError
    ├── SettingsError                  a function's environment is not valid
    ├── InvalidMessageError            an intake message that can never be exported
    ├── LedgerError
    │   ├── ConditionFailedError       another copy was first
    │   └── LedgerUnavailableError     throttled, in conflict or down: try again later
    ├── BucketError                    S3 or KMS refuses, or did not answer
    │   └── ObjectConflictError        the key may have an object already: read what is there
    ├── TransferStoppedError           we stopped a download; this says nothing about the file
    │   ├── OutOfTimeError             the function's time is up
    │   └── PollsUnansweredError       polls get no answer while the download runs
    ├── MessagingError                 SNS, SQS or Lambda did not take everything
    ├── ArenaError
    │   ├── RequestNotCompletedError   no answer, or one that cannot be read
    │   │   └── IncompleteFileError    a body that is not the whole file
    │   ├── ArenaAnswerError           Arena answered with an error (its branches: see below)
    │   └── RetryLaterError            no request was sent: budget spent, or no session
    │       └── SecretRefusedError     AWS refuses a secret until an operator acts
    └── LoginRefusedError              Arena refuses the credentials, or they cannot be used

The type of an answer's error says what can be done about it. The error carries the status, Arena's
code and message, and the name of the call; never headers, body or session id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.domain.model import ItemGuid


_AnswerError = TypeVar("_AnswerError", bound="ArenaAnswerError")


class ArenaExportsError(Exception):
    """The root of all errors of this package."""


class SettingsError(ArenaExportsError):
    """An environment variable is missing or out of range; the message names it."""


class InvalidMessageError(ArenaExportsError):
    """An intake message, or a part of it, that can never be exported.

    `code` is one of `InvalidMessage`, `WrongWorkspace`, `NoExportDefinition`; the message names the
    field. `export_guid` and `correlation_id` are the message's, if they can be read. If
    `is_own_event`, the message is one of our own events, and no event follows.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.export_guid: str | None = None
        self.correlation_id: str | None = None
        self.is_own_event = False


class LedgerError(ArenaExportsError):
    """The ledger refused a write or did not answer."""


class ConditionFailedError(LedgerError):
    """A condition did not hold; `failed` has the positions of the writes concerned."""

    def __init__(self, failed: Sequence[int] = (0,)) -> None:
        super().__init__(f"condition of write {', '.join(map(str, failed))} did not hold")
        self.failed = tuple(failed)


class LedgerUnavailableError(LedgerError):
    """Throttled, in conflict with another transaction, or down; probably nothing was written."""


class MessagingError(ArenaExportsError):
    """The topic, a queue or Lambda did not accept a message within the bounded retries."""


class BucketError(ArenaExportsError):
    """S3 or KMS refuses a call, or did not answer; the message has the operation and AWS's code."""


class ObjectConflictError(BucketError):
    """A conditional write failed, or its outcome is unknown: what is in the bucket decides."""


class TransferStoppedError(ArenaExportsError):
    """We stopped a download; this says nothing about the file."""


class OutOfTimeError(TransferStoppedError):
    """The function's time is up."""


class PollsUnansweredError(TransferStoppedError):
    """Two polls in a row got no answer while the download was in progress."""


class LoginRefusedError(ArenaExportsError):
    """The credentials cannot log in: Arena refuses them, or they are unreadable or invalid.

    `code` is Arena's (4001, 4079, 4081, 4082) or `CredentialsUnreadable`, `CredentialsInvalid` or
    `WrongWorkspace`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ArenaError(ArenaExportsError):
    """A call to Arena did not succeed."""


class RequestNotCompletedError(ArenaError):
    """No answer, or one that cannot be read: whether Arena did the work is unknown.

    Timeout, dropped connection, 5xx, not JSON, a 201 without a guid, and the codes 3000, 3146,
    4085, 4087. `status` is the answer's HTTP status, 0 if there was no answer.
    """

    def __init__(self, message: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class IncompleteFileError(RequestNotCompletedError):
    """Arena answered 2xx for a file, with something that is not the whole file.

    `length` is how many bytes arrived, None if that says nothing; `size` is the size in the file's
    metadata, None if it was not requested.
    """

    def __init__(self, message: str, length: int | None, size: int | None = None) -> None:
        super().__init__(message, 200)
        self.length = length
        self.size = size


class RetryLaterError(ArenaError):
    """No request may be sent now; `reason` is a phrase, `retry_after_seconds` says when."""

    def __init__(self, reason: str, retry_after_seconds: int) -> None:
        super().__init__(f"{reason}; try again in {retry_after_seconds} s")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class SecretRefusedError(RetryLaterError):
    """AWS refuses to read or write a secret until an operator acts.

    It was deleted, its policy or its KMS key denies access, or it belongs to another account. The
    reason names the secret and AWS's code, never a value.
    """


class ArenaAnswerError(ArenaError):
    """Arena answered with an error that has a definite code: the work was not done.

    This class itself stands for an undocumented code, which counts as a fault of the definition.
    """

    def __init__(self, *, status: int, code: int | None, message: str, call: str) -> None:
        super().__init__(f"{call}: {status}/{code}: {message}")
        self.status = status
        self.code = code
        self.arena_message = message
        self.call = call

    def narrowed(self, kind: type[_AnswerError]) -> _AnswerError:
        """Return this error as a more specific one."""
        return kind(status=self.status, code=self.code, message=self.arena_message, call=self.call)


class SessionInvalidError(ArenaAnswerError):
    """401: there is no session, or it is dead."""


class BudgetSpentError(ArenaAnswerError):
    """4084 (4014 before Winter 2023), or a 429 with no request left: the day's budget is spent."""


class RateLimitedError(ArenaAnswerError):
    """Any other 429: too many requests at once, as counted by a gateway in front of Arena."""


class ExportInProgressError(ArenaAnswerError):
    """3144: another export is in progress."""


class TooManyItemsError(ArenaAnswerError):
    """3148, 3149, 413, or a 400 on a very large body: fewer items may pass."""


class CriteriaRefusedError(ArenaAnswerError):
    """3140, 3142, 3294: the definition's kind never matches the request."""


class DefinitionRefusedError(ArenaAnswerError):
    """3145, 403, or another fault of the definition, which an operator can correct."""


class DefinitionUnknownError(DefinitionRefusedError):
    """3011 or 3012 that names the export definition itself."""


class ItemsRefusedError(ArenaAnswerError):
    """3011 or 3012 that names items of ours: `item_guids` can never be exported."""

    def __init__(
        self,
        *,
        status: int,
        code: int | None,
        message: str,
        call: str,
        item_guids: tuple[ItemGuid, ...],
    ) -> None:
        super().__init__(status=status, code=code, message=message, call=call)
        self.item_guids = item_guids


class RunUnreadableError(ArenaAnswerError):
    """403 or 3024 on a run of our own: this user can never read it."""


class AccountLockedError(ArenaAnswerError):
    """4083 (4013 before Winter 2023): failed logins locked the account for five minutes."""
