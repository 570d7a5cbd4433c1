"""The addresses of the control interface, `/_simulator/…`."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from flask import Blueprint, Response, jsonify, request

from infra.simulator import control, state, strict_json
from infra.simulator.control import ControlError
from infra.simulator.workspace import Workspace

Command = Callable[..., object]
PREFIX = "/_simulator"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_VIEWS = (("GET", "/state"), ("GET", "/runs"))
_COMMANDS: tuple[tuple[str, str, Command], ...] = (
    ("PATCH", "/settings", control.set_settings),
    ("POST", "/next-runs", control.plan_runs),
    ("POST", "/foreign-runs", control.start_foreign_run),
    ("PATCH", "/runs/<run_guid>", control.set_run_status),
    ("PATCH", "/files/<file_guid>", control.set_file),
    ("POST", "/faults", control.add_faults),
    ("PATCH", "/budget", control.set_budget),
    ("PATCH", "/account", control.set_account),
    ("PATCH", "/guids", control.set_guids),
    ("PUT", "/definitions/<export_guid>", control.put_definition),
)
_ACTIONS: tuple[tuple[str, str, Command], ...] = (
    ("POST", "/reset", Workspace.reset),
    ("DELETE", "/faults", control.clear_faults),
    ("DELETE", "/next-runs", control.clear_plans),
    ("DELETE", "/sessions", control.kill_sessions),
)


def control_blueprint(workspace: Workspace, lock: Lock) -> Blueprint:
    """Return the control interface of a workspace."""
    blueprint = Blueprint("control", __name__, url_prefix=PREFIX)
    blueprint.register_error_handler(ControlError, _explain)
    _add_views(blueprint, workspace, lock)
    blueprint.add_url_rule("/<path:path>", "unknown", _refuse_unknown, methods=_METHODS)
    for method, path, command in _COMMANDS:
        view = _with_body(command, workspace, lock)
        blueprint.add_url_rule(path, f"{method} {path}", view, methods=[method])
    for method, path, action in _ACTIONS:
        view = _without_body(action, workspace, lock)
        blueprint.add_url_rule(path, f"{method} {path}", view, methods=[method])
    return blueprint


def _add_views(blueprint: Blueprint, workspace: Workspace, lock: Lock) -> None:
    @blueprint.get("/", strict_slashes=False)
    def list_calls() -> Response:
        calls = [*_VIEWS, *((method, path) for method, path, _ in (*_COMMANDS, *_ACTIONS))]
        lines = [f"{method} {PREFIX}{path}" for method, path in calls]
        return jsonify({"calls": lines, "description": "infra/simulator/README.md"})

    @blueprint.get("/state")
    def read_state() -> Response:
        with lock:
            return jsonify(state.state_view(workspace, _latest()))

    @blueprint.get("/runs")
    def read_runs() -> Response:
        with lock:
            return jsonify(state.runs_view(workspace))


def _with_body(command: Command, workspace: Workspace, lock: Lock) -> Callable[..., Response]:
    def view(**guids: str) -> Response:
        body = _body()
        with lock:
            result = command(workspace, *guids.values(), body)
        return jsonify({"done": True} if result is None else result)

    return view


def _without_body(action: Command, workspace: Workspace, lock: Lock) -> Callable[..., Response]:
    def view() -> Response:
        with lock:
            action(workspace)
        return jsonify({"done": True})

    return view


def _body() -> Any:  # noqa: ANN401 - any JSON; the command's schema says which
    try:
        return strict_json.loads(request.get_data() or b"{}")
    except ValueError as error:
        message = f"not JSON: {error}"
        raise ControlError(message) from error


def _refuse_unknown(path: str) -> Response:
    """Reject a mistyped command, which would otherwise count as an Arena request."""
    message = f"no such command: {request.method} {path}"
    raise ControlError(message, "path", status=404)


def _latest() -> int | None:
    text = request.args.get("requests")
    if text is None:
        return None
    if not text.isdecimal():
        message = "must be a number, 0 or above"
        raise ControlError(message, "requests")
    return int(text)


def _explain(error: ControlError) -> tuple[Response, int]:
    return jsonify({"field": error.field, "message": str(error)}), error.status
