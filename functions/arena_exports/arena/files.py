"""Deliver's requests to Arena for the files of a run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arena_exports.arena import protocol
from arena_exports.arena.content import Content
from arena_exports.ports import HttpAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from arena_exports.arena.client import Arena
    from arena_exports.domain.deliveries import Delivery
    from arena_exports.ports import Downloads, HttpRequest

_MAX_FORMAT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaFiles:
    """Reads the files of runs; `Arena` handles session and budget."""

    arena: Arena
    downloads: Downloads
    reserve: int

    def wait_seconds(self, *, first_try: bool) -> int:
        """Return how many seconds to wait before requesting a file (0: none).

        First tries stop when half of the reserve is left, so that runs can be polled to their end;
        later tries stop at the reserve itself.
        """
        return self.arena.budget_wait(self.reserve // 2 if first_try else self.reserve)

    def session_version(self) -> str:
        """Return the version of the session secret that requests use now.

        Raises:
            RetryLaterError: there is no session now.
        """
        return self.arena.sessions.current().version

    @contextmanager
    def open(
        self,
        delivery: Delivery,
        file_guid: str,
        check: Callable[[], object],
        resume: Mapping[str, str] | None = None,
    ) -> Iterator[Content]:
        """GET the content of a file once; a second time only after a 401.

        `check` is called before each read; an exception from it stops the download. `resume` are
        headers that request the rest of the file.

        Raises:
            RequestNotCompletedError: no content came; `status` is 3xx for a redirect.
            ArenaAnswerError: it was refused, with Arena's own code.
            RetryLaterError: nothing was sent.
        """
        request = protocol.read_content(delivery.export_guid, delivery.run_guid, file_guid)
        headers = {"Accept-Encoding": "identity", **(resume or {})}
        with ExitStack() as stack:
            opened: list[Content] = []

            def transmit(request: HttpRequest) -> HttpAnswer:
                content = Content(stack.enter_context(self.downloads.open(request, headers)), check)
                opened.append(content)
                body = content.head if content.is_success else content.error_body()
                return HttpAnswer(content.status, content.headers, body, request.secrets)

            answer = self.arena.send(request, transmit)
            if not protocol.is_success(answer):
                raise protocol.answer_error(request, answer)
            yield opened[-1]

    def size(self, delivery: Delivery, file_guid: str) -> int | None:
        """GET the metadata of a file; return its `size` in bytes, None if Arena gives none.

        Raises:
            RequestNotCompletedError, ArenaAnswerError, RetryLaterError: as for `open`.
        """
        request = protocol.read_file(delivery.export_guid, delivery.run_guid, file_guid)
        content = protocol.answer_json(request, self.arena.send(request))
        size = content.get("size") if isinstance(content, dict) else None
        return size if isinstance(size, int) and not isinstance(size, bool) else None

    def export_format(self, delivery: Delivery) -> str:
        """GET the export definition; return its format, "" if Arena gives none.

        Raises:
            RequestNotCompletedError, ArenaAnswerError, RetryLaterError: as for `open`.
        """
        request = replace(protocol.read_definition(delivery.export_guid), purpose="Deliver")
        content = protocol.answer_json(request, self.arena.send(request))
        options = content.get("options") if isinstance(content, dict) else None
        form = options.get("format") if isinstance(options, dict) else None
        return form[:_MAX_FORMAT] if isinstance(form, str) else ""
