"""What a refusal means for each call; `protocol` only names the error. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from arena_exports.arena.protocol import errors_in, readable
from arena_exports.domain.errors import (
    AccountLockedError,
    ArenaAnswerError,
    BudgetSpentError,
    DefinitionRefusedError,
    DefinitionUnknownError,
    ItemsRefusedError,
    LoginRefusedError,
    RateLimitedError,
    RunUnreadableError,
    TooManyItemsError,
)
from arena_exports.domain.model import ItemGuid

if TYPE_CHECKING:
    from arena_exports.ports import HttpAnswer

HTTP_FORBIDDEN = 403
CODE_NO_ACCESS = 3024
CODES_ITEM = frozenset({3011, 3012})

_SAYS_NOTHING_OF_CREDENTIALS = (
    AccountLockedError,
    BudgetSpentError,
    RateLimitedError,
    TooManyItemsError,
)
_NAMED_GUID = re.compile(r"guid\s+\"\s*([A-Za-z0-9]+)\s*\"", re.IGNORECASE)


def start_run_error(
    error: ArenaAnswerError, answer: HttpAnswer, export_guid: str, items: frozenset[ItemGuid]
) -> ArenaAnswerError:
    """Return what a refusal of `start_run` is about: items that Arena names, or the definition.

    Items come first, even if the definition is named too: the next POST, without them, shows
    whether the definition is at fault.
    """
    if type(error) is not ArenaAnswerError:
        return error
    named = [
        (code, text, ItemGuid(match.upper()))
        for code, text in errors_in(answer.body)
        if code in CODES_ITEM
        for match in _NAMED_GUID.findall(text)
    ]
    ours = [(code, text, guid) for code, text, guid in named if guid in items]
    if ours:
        code, text, _ = ours[0]
        return ItemsRefusedError(
            status=error.status,
            code=code,
            message=readable(answer, text),
            call=error.call,
            item_guids=tuple(dict.fromkeys(guid for _, _, guid in ours)),
        )
    for code, text, guid in named:
        if guid == export_guid:
            return DefinitionUnknownError(
                status=error.status, code=code, message=readable(answer, text), call=error.call
            )
    return error.narrowed(DefinitionRefusedError)


def read_run_error(error: ArenaAnswerError) -> ArenaAnswerError:
    """Return what a refusal of `read_run` means.

    403 and 3024 make the run unreadable for good. Any other refusal may be a replica that lags.
    """
    unreadable = error.status == HTTP_FORBIDDEN or error.code == CODE_NO_ACCESS
    if type(error) is not ArenaAnswerError or not unreadable:
        return error
    return error.narrowed(RunUnreadableError)


def login_error(error: ArenaAnswerError) -> ArenaAnswerError | LoginRefusedError:
    """Return what a refusal of `login` means.

    4001, 4079, 4081, 4082 and unknown codes refuse the credentials; 413 comes from a gateway.
    """
    if isinstance(error, _SAYS_NOTHING_OF_CREDENTIALS):
        return error
    return LoginRefusedError(str(error.code or error.status), error.arena_message)
