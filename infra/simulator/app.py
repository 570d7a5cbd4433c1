"""The web application: Flask over the gateway and the control interface, behind one lock."""

import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from threading import Lock

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider

from infra.simulator.control_routes import control_blueprint
from infra.simulator.gateway import Answer, Gateway, Request
from infra.simulator.settings import Start
from infra.simulator.streams import Stream
from infra.simulator.workspace import Workspace

FRAMING = "simulator.framing"
"""The key of the WSGI environment by which a response says how its end is to be known."""
_TICK_SECONDS = 0.25
_LOCKED_TRIES = 240
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class _OrderedJson(DefaultJSONProvider):
    """Preserves the order of the control interface's keys."""

    sort_keys = False


@dataclass(frozen=True, slots=True)
class Environment:
    """The clock, the random numbers, and the sleep function of the application."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    rng: Random | None = None


def create_app(start: Start | None = None, environment: Environment | None = None) -> Flask:
    """Return a simulator with a fresh workspace."""
    environment = environment or Environment()
    workspace = Workspace(environment.clock, environment.rng or Random(), start)  # noqa: S311 - not a secret
    lock = Lock()
    app = Flask("simulator", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json = _OrderedJson(app)
    app.register_blueprint(control_blueprint(workspace, lock))
    _add_arena(app, Gateway(workspace), lock, environment.sleep)
    return app


def _add_arena(app: Flask, gateway: Gateway, lock: Lock, sleep: Callable[[float], None]) -> None:
    @app.route("/", defaults={"path": ""}, methods=_METHODS, provide_automatic_options=False)
    @app.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    def arena(path: str) -> Response:  # noqa: ARG001 - the gateway reads the whole path itself
        """Answer any address outside the control interface as Arena would."""
        received = _request()
        _wait_for_download(gateway, received, sleep)
        with lock:
            fault = gateway.take_fault(received)
        if fault is not None and fault.delay_before_seconds > 0:
            sleep(fault.delay_before_seconds)
        with lock:
            answer = gateway.answer(received, fault)
            compress = _compresses(gateway.workspace.settings.gzip)
            body = b"" if answer.stream else answer.body()
        if fault is not None and fault.delay_after_seconds > 0:
            sleep(fault.delay_after_seconds)
        if answer.stream is not None:
            return _streamed(answer, answer.stream, lock, sleep)
        return _response(answer, body, compress=compress)


def _wait_for_download(gateway: Gateway, received: Request, sleep: Callable[[float], None]) -> None:
    """Keep a locked session's request without an answer; in the end the gateway drops it."""
    for _ in range(_LOCKED_TRIES):
        if not gateway.is_locked(received):
            return
        sleep(_TICK_SECONDS)


def _request() -> Request:
    return Request(
        method=request.method,
        path=request.path,
        headers=_headers(),
        query=request.args.to_dict(),
        body=request.get_data(),
    )


def _headers() -> dict[str, str]:
    """Return the headers by lower-case name, the session header as Arena spells it."""
    headers = {name.lower(): text for name, text in request.headers.items()}
    if "arena-session-id" in headers:
        headers["arena_session_id"] = headers.pop("arena-session-id")
    return headers


def _compresses(mode: str) -> bool:
    accepted = "gzip" in request.headers.get("Accept-Encoding", "")
    return mode == "always" or (mode == "asked" and accepted)


def _response(answer: Answer, body: bytes, *, compress: bool) -> Response:
    """Return the response; an OSError makes the server close the connection without an answer."""
    if answer.dropped:
        raise ConnectionAbortedError
    response = Response(body, answer.status, content_type=answer.content_type)
    response.headers.extend(answer.headers)
    if compress and answer.content is None:
        response.set_data(gzip.compress(body, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _streamed(
    answer: Answer, stream: Stream, lock: Lock, sleep: Callable[[float], None]
) -> Response:
    """Return the response to a download; the server reads the framing from the environment."""
    environment = request.environ
    environment[FRAMING] = stream.framing
    is_gone = environment.get("waitress.client_disconnected", lambda: False)
    body = _Body(stream, answer.all_headers.get("content-length"), lock, sleep, is_gone)
    response = Response(body, answer.status, content_type=answer.content_type)
    response.headers.extend(answer.headers)
    return response


class _Body:
    """The bytes of a stream for the server, which closes it whatever happens.

    An OSError makes the server close the connection.
    """

    def __init__(
        self,
        stream: Stream,
        announced: str | None,
        lock: Lock,
        sleep: Callable[[float], None],
        is_gone: Callable[[], bool],
    ) -> None:
        self._stream = stream
        self._announced = announced
        self._lock = lock
        self._sleep = sleep
        self._is_gone = is_gone

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        for chunk in self._stream.chunks:
            self._wait(chunk.wait_seconds)
            sent += len(chunk.data)
            yield chunk.data
        if self._stream.cut_off or self._announced not in {None, str(sent)}:
            raise ConnectionAbortedError

    def _wait(self, seconds: float) -> None:
        """Wait, unless the client leaves: then its session must not stay locked."""
        while seconds > 0:
            if self._is_gone():
                raise ConnectionAbortedError
            self._sleep(min(seconds, _TICK_SECONDS))
            seconds -= _TICK_SECONDS

    def close(self) -> None:
        """End the download."""
        with self._lock:
            self._stream.close()
