"""Answers HTTP requests from the workspace by Arena's addresses and rules, without I/O.

The order of the checks: budget, size, address and method, content type, session, body, and then
the operation itself. Every request except login counts against the budget, whatever the answer.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import quote

from infra.simulator import strict_json
from infra.simulator.accounts import User
from infra.simulator.addresses import Address, find_address
from infra.simulator.clock import DATE_FORMS, http_date
from infra.simulator.delivery import deliver
from infra.simulator.errors import ArenaError, invalid_guid, not_found
from infra.simulator.faults import Fault
from infra.simulator.request_log import Record
from infra.simulator.streams import BrokenOffError, Chunk, Reader, Stream
from infra.simulator.workspace import Workspace

Headers = tuple[tuple[str, str], ...]
JSON = "application/json"
HTML = "text/html"
_MAX_NAME_LENGTH = 200
_CODES_NAMING_A_GUID: Mapping[int, Callable[[str], ArenaError]] = MappingProxyType(
    {3011: invalid_guid, 3012: not_found}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request with lower-case header names and a decoded path."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; if `dropped`, the connection closes and nothing arrives.

    The status is 0 if the request was not processed.
    """

    status: int
    payload: object = None
    content: bytes | None = None
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    code: int | None = None
    dropped: bool = False
    stream: Stream | None = None
    """The body of a download, instead of `payload` and `content`."""

    def body(self) -> bytes:
        """Return the bytes that are sent; those of a stream can be had once."""
        if self.stream is not None:
            return self.stream.whole()
        return json.dumps(self.payload).encode() if self.content is None else self.content

    def open(self, sleep: Callable[[float], None], timeout_seconds: float) -> Reader:
        """Return a reader of the body, for a caller in the same process.

        `sleep` lets the time pass that the body takes. Raises BrokenOffError if the answer was
        dropped.
        """
        if self.dropped:
            raise BrokenOffError("the connection closed without an answer")
        stream = self.stream or Stream(iter([Chunk(self.body())]), "close")
        return Reader(stream, self.all_headers, sleep, timeout_seconds)

    @property
    def all_headers(self) -> Mapping[str, str]:
        """The headers by lower-case name, with the content type."""
        headers = {name.lower(): text for name, text in self.headers}
        return {"content-type": self.content_type} | headers


@dataclass(frozen=True, slots=True)
class _Call:
    """A request to a known address, as the operations receive it."""

    request: Request
    guids: Mapping[str, str]
    fault: Fault


class Gateway:
    """Answers requests from a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        """Answer from this workspace."""
        self.workspace = workspace
        self._operations: Mapping[str, Callable[[User, _Call], Answer]] = {
            "logout": lambda user, _call: Answer(200, workspace.log_out(user)),
            "definition": lambda _user, call: Answer(200, workspace.read_definition(**call.guids)),
            "submit": self._submit,
            "list": lambda user, call: Answer(
                200, workspace.list_runs(user, **call.guids, query=call.request.query)
            ),
            "poll": lambda user, call: Answer(200, workspace.read_run(user, **call.guids)),
            "file": lambda user, call: Answer(200, workspace.read_file(user, **call.guids)),
            "download": self._download,
        }

    def take_fault(self, request: Request) -> Fault | None:
        """Return the fault for this request, if any; the caller applies its delays."""
        return self.workspace.faults.take(request, self.workspace.now(), self._age_of_youngest)

    def _age_of_youngest(self, request: Request) -> float | None:
        address = find_address(request.method, request.path)
        if address.purpose not in {"poll", "list"}:
            return None
        return self.workspace.exports.age_of_youngest(**address.guids, now=self.workspace.now())

    def answer(self, request: Request, fault: Fault | None = None) -> Answer:
        """Answer a request and log it."""
        address = find_address(request.method, request.path)
        if self.is_locked(request):
            self._count_request(address)
            answer = Answer(0, content=b"", dropped=True)
        elif fault is None:
            answer = self._arena_answer(request, address, Fault())
        else:
            answer = self._faulty_answer(request, address, fault)
        self._log(request, address, answer, faulted=fault is not None)
        return self._begun(request, answer)

    def is_locked(self, request: Request) -> bool:
        """Return whether a download keeps the session's other requests from being answered."""
        locks = self.workspace.settings.downloads_lock_session
        return locks and request.headers.get("arena_session_id") in self.workspace.downloading

    def _begun(self, request: Request, answer: Answer) -> Answer:
        """Record that a download has begun, until its stream is closed."""
        if answer.stream is None:
            return answer
        downloading = self.workspace.downloading
        session_id = request.headers["arena_session_id"]
        downloading.append(session_id)
        answer.stream.on_close(lambda: downloading.remove(session_id))
        return answer

    def _arena_answer(self, request: Request, address: Address, fault: Fault) -> Answer:
        try:
            answer = self._handle(request, address, fault)
        except ArenaError as error:
            if error.code == 401 and self.workspace.settings.dead_session_form != "error":  # noqa: PLR2004 - an Arena code
                return self._login_page()
            answer = self._refusal(error)
        return replace(answer, headers=(*answer.headers, *self._arena_headers()))

    def _handle(self, request: Request, address: Address, fault: Fault) -> Answer:
        if address.purpose != "login":
            self.workspace.spend_request()
        if self._is_too_large(request):
            return Answer(413, content=b"<h1>413 Request Entity Too Large</h1>", content_type=HTML)
        if address.refusal is not None:
            raise ArenaError(address.refusal)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise ArenaError(415)
        if address.purpose == "login":
            return Answer(200, self.workspace.log_in(_json_of(request)))
        user = self.workspace.user_of(request.headers.get("arena_session_id"))
        return self._operations[address.purpose](user, _Call(request, address.guids, fault))

    def _submit(self, user: User, call: _Call) -> Answer:
        body = _json_of(call.request)
        run = self.workspace.submit_run(
            user, **call.guids, body=body, late_seconds=call.fault.late_seconds
        )
        return Answer(201, run)

    def _download(self, user: User, call: _Call) -> Answer:
        file = self.workspace.download(user, **call.guids)
        if call.fault.download.regenerate:
            file.plan = replace(file.plan, generation=file.plan.generation + 1)
        content = file.content()
        tag = f"{file.guid}-{file.plan.generation}-{content.length}"
        asked, settings = call.request.headers, self.workspace.settings
        if call.fault.truncate:
            content = replace(content, length=content.length // 2)
        delivery = deliver(content, tag, asked, settings, call.fault.download)
        name = quote(file.name[:_MAX_NAME_LENGTH], safe="")
        disposition = ("Content-Disposition", f"attachment; filename*=UTF-8''{name}")
        return Answer(
            delivery.status,
            content_type=file.mime_type,
            headers=(disposition, *delivery.headers),
            stream=delivery.stream,
        )

    def _faulty_answer(self, request: Request, address: Address, fault: Fault) -> Answer:
        if fault.work:
            answer = self._arena_answer(request, address, fault)
        else:
            if fault.counts:
                self._count_request(address)
            answer = Answer(0, content=b"")
        if fault.answers:
            answer = self._described_answer(fault, address)
        elif fault.headers:
            answer = replace(answer, headers=_overridden(answer.headers, fault.headers))
        if fault.leave_out:
            answer = self._without_young_runs(answer, fault.runs_younger_than_seconds)
        if fault.truncate and answer.stream is None:
            body = answer.body()
            answer = replace(answer, content=body[: len(body) // 2])
        return replace(answer, dropped=True, stream=None) if fault.drop else answer

    def _described_answer(self, fault: Fault, address: Address) -> Answer:
        if fault.body is not None or fault.code is None:
            body, status = (fault.body or "").encode(), fault.status or 200
            answer = Answer(status, content=body, content_type=fault.content_type)
        else:
            answer = self._refusal(_described_error(fault, fault.code, address))
        own = self._arena_headers() if fault.arena_headers else ()
        headers = _overridden(own, (*self._retry_after(fault), *fault.headers))
        return replace(answer, headers=headers)

    def _retry_after(self, fault: Fault) -> tuple[tuple[str, str], ...]:
        seconds = fault.retry_after_seconds
        if seconds is None:
            return ()
        date = http_date(self.workspace.arena_time() + seconds)
        return (("Retry-After", date if fault.retry_after_form == "date" else f"{seconds:g}"),)

    def _without_young_runs(self, answer: Answer, younger_than: float | None) -> Answer:
        """Leave young runs out of a list, as a lagging replica does; all runs for None."""
        if not isinstance(answer.payload, dict) or "results" not in answer.payload:
            return answer
        latest = self.workspace.now() - (math.inf if younger_than is None else younger_than)
        runs = [
            view
            for view in answer.payload["results"]
            if (run := self.workspace.exports.any_run(view["guid"])) and run.created_at <= latest
        ]
        return replace(answer, payload={"count": len(runs), "results": runs})

    def _login_page(self) -> Answer:
        """Return a gateway's answer to a dead session, without Arena's headers and errors."""
        if self.workspace.settings.dead_session_form == "redirect":
            location = (("Location", "https://login.example.com/sso"),)
            return Answer(302, content=b"", content_type=HTML, headers=location, code=401)
        page = b"<html><form action='/sso'>Log in</form></html>"
        return Answer(200, content=page, content_type=HTML, code=401)

    def _refusal(self, error: ArenaError) -> Answer:
        payload = error.payload(old_codes=self.workspace.settings.old_codes)
        return Answer(error.status, payload, code=error.code)

    def _count_request(self, address: Address) -> None:
        try:
            if address.purpose != "login":
                self.workspace.spend_request()
        except ArenaError:
            return

    def _is_too_large(self, request: Request) -> bool:
        limit = self.workspace.settings.max_body_bytes
        return limit is not None and len(request.body) > limit

    def _arena_headers(self) -> tuple[tuple[str, str], ...]:
        write = DATE_FORMS[self.workspace.settings.date_form]
        date = (("Date", write(self.workspace.arena_time())),) if write else ()
        return (("Server", "ArenaSolutions"), *date, *self.workspace.budget_headers())

    def _log(self, request: Request, address: Address, answer: Answer, *, faulted: bool) -> None:
        record = Record(
            at=self.workspace.now(),
            purpose=address.purpose,
            method=request.method,
            path=request.path,
            status=answer.status,
            code=answer.code,
            usage_reason=request.headers.get("arena-usage-reason"),
            faulted=faulted,
            dropped=answer.dropped,
            file_guid=address.guids.get("file_guid"),
        )
        self.workspace.request_log.add(record)


def _described_error(fault: Fault, code: int, address: Address) -> ArenaError:
    """Return a fault's error; 3011 and 3012 name the last GUID of the path, as Arena does."""
    if fault.message is not None:
        return ArenaError(code, fault.message, status=fault.status)
    if code in _CODES_NAMING_A_GUID and address.guids:
        named = _CODES_NAMING_A_GUID[code](list(address.guids.values())[-1])
        return ArenaError(code, *named.messages, status=fault.status)
    return ArenaError(code, status=fault.status)


def _overridden(headers: Headers, by: Headers) -> Headers:
    """Return the headers with `by` replacing or extending them."""
    names = {name.lower() for name, _ in by}
    return (*((name, text) for name, text in headers if name.lower() not in names), *by)


def _json_of(request: Request) -> object:
    try:
        return strict_json.loads(request.body)
    except ValueError:
        raise ArenaError(400) from None
