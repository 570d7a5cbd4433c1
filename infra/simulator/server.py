"""Serves the application with waitress until it is stopped.

waitress drops every header with an underscore in its name, because a WSGI application cannot
distinguish it from one with a hyphen. Arena's session header is `arena_session_id`, so it is
accepted here, and a header that is spelled with hyphens is not mistaken for it.
"""

import logging
import re
import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]
from waitress.task import WSGITask  # type: ignore[import-untyped]
from waitress.wasyncore import close_all  # type: ignore[import-untyped]

from infra.simulator.app import FRAMING

_THREADS = 32
_BUFFER_BYTES = 4 * 1024 * 1024
"""The most that waits in memory for a slow client; none of it goes into a file."""
_WITH_HYPHENS = re.compile(rb"(?im)^arena-session-id:")
_WITH_UNDERSCORES = re.compile(rb"(?im)^arena_session_id:")


class _ArenaParser(HTTPRequestParser):  # type: ignore[misc]
    """Accepts Arena's session header."""

    def parse_header(self, header_plus: bytes) -> None:
        renamed = _WITH_HYPHENS.sub(b"x-not-a-session:", header_plus)
        super().parse_header(_WITH_UNDERSCORES.sub(b"arena-session-id:", renamed))


class _ArenaTask(WSGITask):  # type: ignore[misc]
    """Sends all bytes of a download, also where they are not what the headers announce."""

    def build_response_header(self) -> bytes:
        """Write the headers; HTTP/1.0 has no other end than that of the connection."""
        framing = (self.environ or {}).get(FRAMING)
        if framing == "close":
            self.version = "1.0"
        header: bytes = super().build_response_header()
        if framing is not None:
            self.content_length = None
        return header


class _ArenaChannel(HTTPChannel):  # type: ignore[misc]
    """Reads requests with the parser above, and answers with the task above."""

    parser_class = _ArenaParser
    task_class = _ArenaTask


def serve(app: Flask, host: str, port: int) -> None:
    """Serve on an IPv4 address (port 0: any free port) until SIGTERM or SIGINT.

    Prints the address as one line when the server is ready.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sockets: dict[int, Any] = {}
    address = socket.gethostbyname(host)
    server = create_server(
        app,
        sockets,
        host=address,
        port=port,
        threads=_THREADS,
        log_socket_errors=False,
        outbuf_high_watermark=_BUFFER_BYTES,
        outbuf_overflow=2 * _BUFFER_BYTES,
        channel_request_lookahead=1,  # notices that a client has gone while it is answered
    )
    server.channel_class = _ArenaChannel
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, _stop)
        print(f"http://{address}:{server.effective_port}", flush=True)
        server.run()
    close_all(sockets)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
