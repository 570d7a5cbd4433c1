"""Runs a built function under AWS's runtime interface client, with a Runtime API of our own.

What Lambda does around a handler, https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html:
the client imports the handler (the init phase), asks for the next event, and posts the answer, or
the error. The process sees the standard library, the artifact, and what Lambda's runtime has.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
_ANSWER_SECONDS = 60
_PROGRAM = """
import sys
artifact, runtime, handler = sys.argv[1:]
sys.path[:] = [artifact, *sys.path, runtime]
from awslambdaric.__main__ import main
main(["awslambdaric", handler])
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What the client posted.

    `kind` is `response`, `error` or `init`; `content` the handler's result or
    `{"errorType", "errorMessage", "stackTrace", …}`.
    """

    kind: str
    content: Any


@dataclass(frozen=True, slots=True)
class Command:
    """The command to run: folders of artifact and runtime, handler, and time-out in seconds."""

    artifact: Path
    runtime: Path
    handler: str
    timeout: float

    def line(self) -> list[str]:
        """Return the command line: an interpreter that writes no bytecode into the artifact."""
        program = [sys.executable, "-ISBc", _PROGRAM]
        return [*program, str(self.artifact), str(self.runtime), self.handler]


class RuntimeApi:
    """The part of Lambda that hands out events and receives the answers."""

    def __init__(self) -> None:
        self.reports: queue.Queue[Report] = queue.Queue()
        self._events: queue.Queue[tuple[bytes, float] | None] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hand_out(self, event: object, seconds: float) -> None:
        """Hand out the next event, for which the function has so many seconds."""
        self._events.put((json.dumps(event).encode(), time.time() + seconds))

    def _handler(api) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler below
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/2018-06-01/runtime/invocation/next"
                if (given := api._events.get()) is None:
                    return  # the function was ended while it waited
                event, deadline = given
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.send_header("Lambda-Runtime-Aws-Request-Id", f"request-{time.time_ns()}")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(1000 * deadline)))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN)
                self.send_header("Lambda-Runtime-Trace-Id", TRACE_ID)
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                *_, where, what = self.path.split("/")
                self.send_response(HTTPStatus.ACCEPTED)
                self.send_header("Content-Length", "0")
                self.end_headers()
                api.reports.put(Report("init" if where == "init" else what, json.loads(content)))

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


class Function:
    """A function of the artifact in its own process, from its cold start on."""

    def __init__(self, command: Command, environment: Mapping[str, str]) -> None:
        self._api = RuntimeApi()
        self._command = command
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._environment = {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_NAME": command.handler,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(command.artifact),
            "_HANDLER": command.handler,
            **environment,
        }

    def __enter__(self) -> Self:
        self._api.__enter__()
        self._process = subprocess.Popen(
            self._command.line(), env=self._environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._api.__exit__()
        self._log.close()

    def invoke(self, event: object) -> Report:
        """Send the function an event and return its answer."""
        self._api.hand_out(event, self._command.timeout)
        return self.report()

    def report(self) -> Report:
        """Return what the function reports next, without an event: an error of its init phase."""
        try:
            return self._api.reports.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            message = "\n".join(["no answer; the function's log:", *self.log()])
            raise AssertionError(message) from None

    def log(self) -> list[str]:
        """Return the lines that the function has written."""
        return Path(self._log.name).read_text().splitlines()

    def exit_code(self) -> int:
        """Wait until the process ends by itself, and return its exit code."""
        return self._process.wait(_ANSWER_SECONDS)

    def peak_megabytes(self) -> float:
        """Return the most memory that the process has had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
