"""The pure half of the Arena client: build requests, read answers, name errors.

Source: the vendor's public developer documentation; each rule names Arena's codes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlencode

from arena_exports.domain.budget import none_remaining
from arena_exports.domain.errors import (
    AccountLockedError,
    ArenaAnswerError,
    BudgetSpentError,
    CriteriaRefusedError,
    ExportInProgressError,
    RateLimitedError,
    RequestNotCompletedError,
    SessionInvalidError,
    TooManyItemsError,
)
from arena_exports.domain.events import content_path
from arena_exports.domain.model import ExportGuid, ItemGuid, Kind, RunGuid
from arena_exports.ports import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HTTP_ERROR = 400  # and above
HTTP_UNAUTHORIZED = 401
HTTP_TOO_LARGE = 413
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500
LARGE_BODY_BYTES = 100_000

CODE_SYNTAX = 400
CODES_SESSION = frozenset({401})
CODES_CRITERIA = frozenset({3140, 3142, 3294})
CODES_TOO_MANY = frozenset({3148, 3149})
CODES_UNKNOWN_OUTCOME = frozenset({503, 3000, 3146, 4085, 4087})
CODES_IN_PROGRESS = frozenset({3144})
# Before Winter 2023, today's 4071 … 4090 were 4001 … 4020.
CODES_BUDGET = frozenset({4084, 4014})
CODES_LOCKED = frozenset({4083, 4013})
_NONE: frozenset[int] = frozenset()

_MEANINGS: tuple[tuple[frozenset[int], type[ArenaAnswerError] | None], ...] = (
    (CODES_UNKNOWN_OUTCOME, None),
    (CODES_LOCKED, AccountLockedError),
    (CODES_SESSION, SessionInvalidError),
    (CODES_TOO_MANY, TooManyItemsError),
    (CODES_IN_PROGRESS, ExportInProgressError),
    (CODES_CRITERIA, CriteriaRefusedError),
)
_SESSION_ID = re.compile(r"[!-~]{1,4096}")  # fits a header and a secret


@dataclass(frozen=True, slots=True)
class Login:
    """A session that Arena opened."""

    session_id: str = field(repr=False)
    workspace_id: str | None


def login(credentials: Mapping[str, Any]) -> HttpRequest:
    """`POST /login`, which does not count against the budget."""
    body = {
        key: credentials[key]
        for key in ("email", "password", "workspaceId")
        if credentials.get(key) is not None
    }
    password = str(credentials.get("password", ""))
    return HttpRequest("log in", "POST", "/login", _json_bytes(body), password=password)


def start_run(export_guid: ExportGuid, kind: Kind, item_guids: Sequence[ItemGuid]) -> HttpRequest:
    """`POST /exports/<GUID>/runs`.

    The body has one guid criterion, or is `{}` for a definition with its own criteria.
    """
    criteria = {
        "criteria": [[{"attribute": "guid", "operator": "IS_IN", "value": list(item_guids)}]]
    }
    body = criteria if kind is Kind.ITEMS else {}
    path = f"/exports/{export_guid}/runs"
    return HttpRequest("start an export run", "POST", path, _json_bytes(body), purpose="Submit")


def read_run(export_guid: ExportGuid, run_guid: RunGuid) -> HttpRequest:
    """`GET /exports/<GUID>/runs/<GUID>`."""
    path = f"/exports/{export_guid}/runs/{run_guid}"
    return HttpRequest("poll an export run", "GET", path, purpose="Poll")


def list_runs(export_guid: ExportGuid, filters: Mapping[str, str]) -> HttpRequest:
    """`GET /exports/<GUID>/runs` filtered by `status`, `completionDateTimeFrom` and so on."""
    path = f"/exports/{export_guid}/runs" + (f"?{urlencode(filters)}" if filters else "")
    return HttpRequest("search for an export run", "GET", path, purpose="Search")


def read_definition(export_guid: str) -> HttpRequest:
    """`GET /exports/<GUID>`."""
    path = f"/exports/{export_guid}"
    return HttpRequest("read an export definition", "GET", path, purpose="Examine")


def read_content(export_guid: str, run_guid: str, file_guid: str) -> HttpRequest:
    """`GET /exports/<GUID>/runs/<GUID>/files/<GUID>/content`."""
    path = content_path(export_guid, run_guid, file_guid)
    return HttpRequest("download a file", "GET", path, purpose="Deliver")


def read_file(export_guid: str, run_guid: str, file_guid: str) -> HttpRequest:
    """`GET /exports/<GUID>/runs/<GUID>/files/<GUID>`: what Arena knows about a file."""
    path = content_path(export_guid, run_guid, file_guid).removesuffix("/content")
    return HttpRequest("read a file's metadata", "GET", path, purpose="Deliver")


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def answer_json(request: HttpRequest, answer: HttpAnswer) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the JSON of a successful answer.

    Raises:
        ArenaAnswerError: the answer is an error with a definite code (see `answer_error`).
        RequestNotCompletedError: it is neither; whether the work was done is unknown.
    """
    if not is_success(answer):
        raise answer_error(request, answer)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        message = f"{request.call}: {answer.status} with {len(answer.body)} bytes that are not JSON"
        raise RequestNotCompletedError(message, answer.status) from None


def is_success(answer: HttpAnswer) -> bool:
    """Return whether Arena did what it was asked for."""
    return 200 <= answer.status < 300  # noqa: PLR2004 - the range of success


def answer_error(
    request: HttpRequest, answer: HttpAnswer
) -> ArenaAnswerError | RequestNotCompletedError:
    """Return the most specific error for an unsuccessful answer.

    Of several errors in the answer, it has the code and message of the one that decides.
    """
    errors = errors_in(answer.body)
    codes = {code for code, _ in errors if code is not None}
    meaning, decisive = _meaning(request, answer, codes)
    errors.sort(key=lambda error: (error[0] not in decisive, error[0] is None))
    code, text = errors[0] if errors else (None, "no error that could be read")
    status, text = answer.status, readable(answer, text)
    if meaning is None:
        return RequestNotCompletedError(f"{request.call}: {status}/{code}: {text}", status)
    return meaning(status=status, code=code, message=text, call=request.call)


def _meaning(
    request: HttpRequest, answer: HttpAnswer, codes: set[int]
) -> tuple[type[ArenaAnswerError] | None, frozenset[int]]:
    """Return what an error means (None if the work may have been done), and the codes that say so.

    There are none of these if the status decides, or no code is known.
    """
    if codes & CODES_BUDGET:
        return BudgetSpentError, CODES_BUDGET
    if answer.status == HTTP_TOO_MANY:
        return (BudgetSpentError if none_remaining(answer.headers) else RateLimitedError), _NONE
    if answer.status >= HTTP_SERVER_ERROR:
        return None, _NONE
    for known, meaning in _MEANINGS:
        if codes & known:
            return meaning, known
    if answer.status == HTTP_TOO_LARGE or _syntax_of_large_body(request, answer.status, codes):
        return TooManyItemsError, _NONE
    return (ArenaAnswerError if codes else None), _NONE


def _syntax_of_large_body(request: HttpRequest, status: int, codes: set[int]) -> bool:
    """Return whether a 400 may mean that the body is too large; no limit is documented."""
    return status == CODE_SYNTAX and codes <= {CODE_SYNTAX} and len(request.body) > LARGE_BODY_BYTES


def errors_in(body: bytes) -> list[tuple[int | None, str]]:
    """Read `{"status": 400, "errors": [{"code": 3011, "message": "…"}]}`; [] for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return []
    errors = content.get("errors") if isinstance(content, dict) else None
    if not isinstance(errors, list):
        return []
    return [
        (_code(error.get("code")), str(error.get("message", "")))
        for error in errors
        if isinstance(error, dict)
    ]


def readable(answer: HttpAnswer, text: str) -> str:
    """Return text from an answer for logs and events: short, on one line, without secrets."""
    return _printable(answer.redacted(text)[:300])


def _printable(text: str) -> str:
    """Replace what an SQS message attribute or one log line cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _code(value: object) -> int | None:
    text = str(value)
    short = len(text) <= 6  # noqa: PLR2004 - codes have four digits
    return int(text) if short and text.isascii() and text.isdigit() else None


def read_login(content: Any) -> Login:  # noqa: ANN401 - JSON is anything
    """Read a login's answer.

    The id's key is `arenaSessionId` in practice, `arena_session_id` on one page.

    Raises:
        RequestNotCompletedError: it has no session id.
    """
    fields = content if isinstance(content, dict) else {}
    session_id = fields.get("arenaSessionId") or fields.get("arena_session_id")
    if not is_session_id(session_id):
        message = "log in: the answer has no session id"
        raise RequestNotCompletedError(message)
    workspace_id = fields.get("workspaceId")
    return Login(session_id, None if workspace_id is None else _printable(str(workspace_id)[:64]))


def is_page(answer: HttpAnswer) -> bool:
    """Return whether an answer is meant for a browser: a redirect, or a success with HTML.

    Some gateways send one instead of a 401 when the session has ended.
    """
    redirect = 300 <= answer.status < HTTP_ERROR  # noqa: PLR2004 - the range of redirects
    text = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()  # without a byte order mark
    return redirect or (answer.status < HTTP_ERROR and text.startswith(b"<"))


def is_session_id(value: object) -> TypeGuard[str]:
    """Return whether a value could be a session id, which may contain punctuation such as `|`."""
    return isinstance(value, str) and bool(_SESSION_ID.fullmatch(value))
