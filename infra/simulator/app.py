"""The web application: Flask over the gateway and the control interface, behind one lock."""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from threading import Lock

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider

from infra.simulator.control_routes import control_blueprint
from infra.simulator.gateway import Answer, Gateway, Request
from infra.simulator.settings import Start
from infra.simulator.workspace import Workspace

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
        with lock:
            fault = gateway.take_fault(received)
        if fault is not None and fault.delay_before_seconds > 0:
            sleep(fault.delay_before_seconds)
        with lock:
            answer = gateway.answer(received, fault)
            compress = _compresses(gateway.workspace.settings.gzip)
            body = answer.body()
        if fault is not None and fault.delay_after_seconds > 0:
            sleep(fault.delay_after_seconds)
        return _response(answer, body, compress=compress)


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
