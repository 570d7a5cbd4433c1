"""Ask Arena about an export definition, for an operator who wants to know whether it will work."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from arena_exports.arena import protocol
from arena_exports.domain.errors import RequestNotCompletedError, RetryLaterError
from arena_exports.domain.messages import normal_guid
from arena_exports.domain.model import ExportGuid
from arena_exports.domain.redaction import redacted

if TYPE_CHECKING:
    from arena_exports.arena.client import Arena
    from arena_exports.ports import HttpAnswer, HttpRequest, Telemetry, Transport

MAX_REQUESTS = 3  # the definition, its runs, and one of them again in a new session
_RETRY_SECONDS = 60
# The headers that the code reads, and those that show whether a gateway changes them.
_HEADERS = frozenset(
    {
        "content-encoding",
        "content-type",
        "date",
        "x-arena-next-request-limit-reset",
        "x-arena-requests-remaining",
    }
)


@dataclass(frozen=True, slots=True)
class Report:
    """Arena's answers, redacted, in the order of the requests, and why any are missing.

    An answer has `call`, `status`, `headers` and `body` (None if it is not JSON).
    """

    answers: tuple[dict[str, Any], ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the report as the function's answer."""
        return {"answers": list(self.answers), "problem": self.problem}


@dataclass(slots=True)
class _Limited:
    """A transport that sends a few requests and no more, however often a session ends."""

    transport: Transport
    sent: int = field(default=0, init=False)

    def send(self, request: HttpRequest) -> HttpAnswer:
        if self.sent == MAX_REQUESTS:
            reason = f"{MAX_REQUESTS} Arena requests were sent, and no more are allowed"
            raise RetryLaterError(reason, _RETRY_SECONDS)
        self.sent += 1
        return self.transport.send(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Reads a definition and its runs, within the budget's reserve."""

    arena: Arena
    transport: Transport
    telemetry: Telemetry

    def examine(self, export_guid: str, sent_by: str) -> Report:
        """GET a definition and, if it exists, its runs: three requests at most.

        `sent_by` is the ARN of the operator.
        """
        self.telemetry.info("operator asks arena", exportGuid=export_guid, sentBy=sent_by)
        guid = normal_guid(export_guid)
        if guid is None:
            return Report(problem="exportGuid is not a valid GUID")
        definition, runs = protocol.read_definition(guid), protocol.list_runs(ExportGuid(guid), {})
        limited, answers = _Limited(self.transport), list[dict[str, Any]]()
        for request in (definition, replace(runs, purpose="Examine")):
            try:
                self.arena.check_budget_for_run()
                answer = self.arena.send(request, limited.send)
            except (RetryLaterError, RequestNotCompletedError) as exc:
                return Report(tuple(answers), str(exc))
            answers.append(_view(request, answer))
            if not protocol.is_success(answer):
                break
        return Report(tuple(answers))


def _view(request: HttpRequest, answer: HttpAnswer) -> dict[str, Any]:
    """Return an answer as an operator may see it."""
    try:
        body = redacted(json.loads(answer.body), answer.secrets)
    except (ValueError, RecursionError):
        body = None
    headers = {name: answer.headers[name] for name in sorted(_HEADERS & answer.headers.keys())}
    return {"call": request.call, "status": answer.status, "headers": headers, "body": body}
