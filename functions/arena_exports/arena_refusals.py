"""What a refusal of each call is about. Pure; `arena_protocol` names the errors alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from arena_exports.arena_protocol import errors_in
from arena_exports.errors import (
    AccountLockedError,
    ArenaAnswerError,
    BudgetSpentError,
    DefinitionRefusedError,
    ItemsRefusedError,
    LoginRefusedError,
    RunUnreadableError,
    TooManyItemsError,
)
from arena_exports.model import ItemGuid

if TYPE_CHECKING:
    from arena_exports.arena_protocol import HttpAnswer

HTTP_FORBIDDEN = 403
CODES_ITEM = frozenset({3011, 3012})
CODES_NO_ACCESS = frozenset({404, 3024})
CODES_UNREADABLE = CODES_NO_ACCESS | CODES_ITEM

_NAMED_GUID = re.compile(r"guid\s+\"\s*([A-Za-z0-9]+)\s*\"", re.IGNORECASE)


def start_run_error(
    error: ArenaAnswerError, answer: HttpAnswer, export_guid: str, items: frozenset[ItemGuid]
) -> ArenaAnswerError:
    """Say what a refusal of `start_run` is about: items that Arena names, or the definition."""
    if type(error) is not ArenaAnswerError:
        return error
    named = [
        ItemGuid(match.upper())
        for code, text in errors_in(answer.body)
        if code in CODES_ITEM
        for match in _NAMED_GUID.findall(text)
    ]
    ours = tuple(dict.fromkeys(guid for guid in named if guid in items))
    if ours and export_guid not in named:
        return ItemsRefusedError(
            status=error.status,
            code=error.code,
            message=error.arena_message,
            call=error.call,
            item_guids=ours,
        )
    return DefinitionRefusedError(
        status=error.status, code=error.code, message=error.arena_message, call=error.call
    )


def read_run_error(error: ArenaAnswerError) -> ArenaAnswerError:
    """Say what a refusal of `read_run` is about.

    403, 404, 3011, 3012, 3024 make the run unreadable for good.
    """
    if type(error) is not ArenaAnswerError:
        return error
    if error.status != HTTP_FORBIDDEN and error.code not in CODES_UNREADABLE:
        return error
    return RunUnreadableError(
        status=error.status, code=error.code, message=error.arena_message, call=error.call
    )


def list_runs_error(error: ArenaAnswerError, export_guid: str) -> ArenaAnswerError:
    """Say what a refusal of `list_runs` is about.

    403 and 404, and 3011 and 3012 that name the definition: this user can never read a run of it.
    Anything else, as a filter that Arena does not like, says nothing about the runs.
    """
    if type(error) is not ArenaAnswerError:
        return error
    names_it = error.code in CODES_ITEM and export_guid in error.arena_message.upper()
    if error.status != HTTP_FORBIDDEN and error.code not in CODES_NO_ACCESS and not names_it:
        return error
    return RunUnreadableError(
        status=error.status, code=error.code, message=error.arena_message, call=error.call
    )


def login_error(error: ArenaAnswerError) -> ArenaAnswerError | LoginRefusedError:
    """Say what a refusal of `login` is about.

    4001, 4079, 4081, 4082 and whatever is not known refuse the credentials; 413 is a gateway's.
    """
    if isinstance(error, (AccountLockedError, BudgetSpentError, TooManyItemsError)):
        return error
    return LoginRefusedError(str(error.code or error.status), error.arena_message)
