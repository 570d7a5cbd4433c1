"""The control interface's commands: checked JSON in, changes to the workspace, JSON out."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from infra.simulator import control_schemas as schemas
from infra.simulator import names
from infra.simulator.criteria import RunCriteria
from infra.simulator.definitions import ExportDefinition
from infra.simulator.delivery import DownloadFault
from infra.simulator.errors import ArenaError
from infra.simulator.exports import RequestedRun
from infra.simulator.faults import Fault, Queued
from infra.simulator.files import FilePlan
from infra.simulator.runs import RunPlan, Step
from infra.simulator.workspace import Workspace

Body = Mapping[str, Any]
_MAX_MESSAGE_LENGTH = 500


class ControlError(Exception):
    """An invalid command; `field` names the part of its body that is wrong."""

    def __init__(self, message: str, field: str = "body", status: int = 400) -> None:
        """Store the field; `body` stands for the whole body."""
        self.field = field
        self.status = status
        super().__init__(message)


def set_settings(workspace: Workspace, body: object) -> None:
    """Change some of the settings."""
    checked = _checked(body, schemas.SETTINGS)
    workspace.settings = replace(workspace.settings, **_snake(checked))


def plan_runs(workspace: Workspace, body: object) -> None:
    """Plan the next run, or the next `count` runs."""
    checked = dict(_checked(body, schemas.NEXT_RUNS))
    times = checked.pop("count", 1)
    workspace.exports.plans.extend([_plan(checked)] * times)


def start_foreign_run(workspace: Workspace, body: object) -> Body:
    """Start a run of another user, which holds the slot for `seconds`; return its GUID."""
    checked = dict(_checked(body, schemas.FOREIGN_RUN))
    definition = _definition(workspace, checked.pop("exportGuid", names.DEFINITION_EXPORT_GUID))
    criteria = _criteria(definition, checked.pop("itemGuids", None))
    if "seconds" in checked:
        checked |= {"createdSeconds": 0.0, "runningSeconds": checked.pop("seconds")}
    requested = RequestedRun(workspace.accounts.foreign, definition, criteria)
    try:
        run = workspace.start_foreign_run(requested, _plan(checked))
    except ArenaError as error:
        raise ControlError(str(error), status=409) from error
    return {"runGuid": run.guid}


def set_run_status(workspace: Workspace, run_guid: str, body: object) -> None:
    """Change the status of a run immediately."""
    checked = _checked(body, schemas.RUN)
    try:
        workspace.set_run_status(run_guid, checked["status"])
    except ArenaError as error:
        raise ControlError(str(error), "runGuid", status=404) from error


def add_faults(workspace: Workspace, body: object) -> None:
    """Queue a fault or a list of them."""
    faults = body if isinstance(body, list) else [body]
    now = workspace.now()
    workspace.faults.queued.extend([_fault(fault, now) for fault in faults])


def set_file(workspace: Workspace, file_guid: str, body: object) -> None:
    """Change a file, or give it other bytes with another `generation`."""
    checked, file = _checked(body, schemas.FILE), workspace.exports.any_file(file_guid)
    if file is None:
        message = "no such file"
        raise ControlError(message, "fileGuid", status=404)
    file.plan = replace(file.plan, **_snake(checked))


def clear_faults(workspace: Workspace) -> None:
    """Remove all queued faults."""
    workspace.faults.queued.clear()


def clear_plans(workspace: Workspace) -> None:
    """Remove the plans for the next runs."""
    workspace.exports.plans.clear()


def kill_sessions(workspace: Workspace) -> None:
    """End every session, as a login elsewhere would."""
    for user in workspace.accounts.users:
        workspace.accounts.end(user)


def set_budget(workspace: Workspace, body: object) -> None:
    """Set the remaining budget, its reset time, and the form of its headers."""
    checked, budget, now = _checked(body, schemas.BUDGET), workspace.budget, workspace.now()
    limit = checked.get("limit", budget.limit)
    if checked.get("remaining", 0) > limit:
        message = f"more than the limit of {limit}"
        raise ControlError(message, "remaining")
    budget.refresh(now)
    budget.limit = limit
    if "remaining" in checked:
        budget.used = limit - checked["remaining"]
    if "resetSeconds" in checked:
        budget.resets_at = now + checked["resetSeconds"]
    budget.reset_form = checked.get("resetForm", budget.reset_form)
    budget.remaining_form = checked.get("remainingForm", budget.remaining_form)


def set_account(workspace: Workspace, body: object) -> None:
    """Lock the machine user, change the password, or refuse every login with a code."""
    checked, accounts = _checked(body, schemas.ACCOUNT), workspace.accounts
    machine = accounts.machine
    machine.password = checked.get("password", machine.password)
    if "lockedSeconds" in checked:
        machine.locked_until = workspace.now() + checked["lockedSeconds"]
        machine.failed_logins = 0
    accounts.refusal = checked.get("refusal", accounts.refusal)
    accounts.answered_workspace_id = checked.get(
        "answeredWorkspaceId", accounts.answered_workspace_id
    )


def set_guids(workspace: Workspace, body: object) -> None:
    """Replace the named sets: bad, unknown, poison."""
    for name, guids in _checked(body, schemas.GUIDS).items():
        setattr(workspace.exports.guid_sets, name, frozenset(guids))


def put_definition(workspace: Workspace, export_guid: str, body: object) -> None:
    """Add an export definition or replace one."""
    fields = _snake(_checked(body, schemas.DEFINITION))
    fields = {"name": export_guid, **fields}
    if "views" in fields:
        fields["views"] = tuple(fields["views"])
    workspace.exports.definitions[export_guid] = ExportDefinition(export_guid, **fields)


def _plan(checked: Body) -> RunPlan:
    fields = _snake(checked)
    steps = tuple(Step(**step) for step in fields.pop("steps", ()))
    contents = tuple(FilePlan(**_snake(content)) for content in fields.pop("contents", ()))
    null_fields = tuple(fields.pop("null_fields", ()))
    return RunPlan(**fields, steps=steps, contents=contents, null_fields=null_fields)


def _fault(body: object, now: float) -> Queued:
    checked = dict(_checked(body, schemas.FAULT))
    queue: dict[str, Any] = {
        name: checked.pop(name) for name in ("skip", "times") if name in checked
    }
    if "lastsSeconds" in checked:
        queue = {"times": None, "ends_at": now + checked.pop("lastsSeconds"), **queue}
    answers = not checked.keys().isdisjoint({"status", "code", "body", "drop"})
    work = not answers or "lateSeconds" in checked
    arena_headers = "code" in checked and "body" not in checked
    fields = _snake({"work": work, "arenaHeaders": arena_headers, **checked})
    fields["headers"] = tuple(checked.get("headers", {}).items())
    if "download" in checked:
        fields = {"path": "*/content", **fields}
        fields["download"] = DownloadFault(**_snake(checked["download"]))
    for name in ("parameters", "item_guids"):
        fields[name] = tuple(fields.get(name, ()))
    return Queued(Fault(**fields), **queue)


def _definition(workspace: Workspace, export_guid: str) -> ExportDefinition:
    definition = workspace.exports.definitions.get(export_guid)
    if definition is None:
        message = "no such export definition"
        raise ControlError(message, "exportGuid")
    return definition


def _criteria(definition: ExportDefinition, item_guids: list[str] | None) -> RunCriteria:
    if item_guids is None:
        return RunCriteria(definition.criteria)
    criterion = {"attribute": "guid", "operator": "IS_IN", "value": item_guids}
    return RunCriteria(((criterion,),), tuple(dict.fromkeys(item_guids)))


def _checked(body: object, schema: schemas.Schema) -> Body:
    error = best_match(Draft202012Validator(schema).iter_errors(body))
    if error is not None:
        raise ControlError(error.message[:_MAX_MESSAGE_LENGTH], _field(error))
    assert isinstance(body, Mapping)  # noqa: S101 - every schema requires an object
    return body


def _field(error: ValidationError) -> str:
    """Return the dotted path of the wrong field; jsonschema names some keys only in its message."""
    path = [str(part) for part in error.absolute_path]
    if error.validator in {"additionalProperties", "required"}:
        path += re.findall(r"'([^']*)' (?:was|were|is a required)", error.message)[-1:]
    return ".".join(path) or "body"


def _snake(body: Body) -> dict[str, Any]:
    return {re.sub(r"[A-Z]", lambda hit: f"_{hit[0].lower()}", key): body[key] for key in body}
