"""Runs, definitions, and files in the form of Arena's answers."""

from collections.abc import Mapping

from infra.simulator.clock import format_utc
from infra.simulator.definitions import Criteria, ExportDefinition
from infra.simulator.files import RunFile
from infra.simulator.runs import Run
from infra.simulator.settings import Settings

_EMPTY_FILES: Mapping[str, Mapping[str, object]] = {
    "absent": {},
    "empty": {"files": []},
    "null": {"files": None},
}


def run_view(run: Run, now: float, settings: Settings) -> dict[str, object]:
    """Return a run as Arena shows it, with `files` when it is ready."""
    ended_at, skew = run.ended_at(now), settings.clock_skew_seconds
    creator = run.creator
    view: dict[str, object] = {
        "completionDateTime": None if ended_at is None else format_utc(ended_at + skew),
        "creationDateTime": format_utc(run.created_at + skew),
        "creator": {"email": creator.email, "fullName": creator.full_name, "guid": creator.guid},
        "criteria": _criteria_view(run.criteria, settings),
        "criteriaResultsCount": run.results_count,
    }
    view |= _files_view(run, now, settings)
    view |= {"guid": run.guid, "number": run.number, "status": run.status(now)}
    return view | dict.fromkeys(run.null_fields)


def file_view(run: Run, file: RunFile, now: float, settings: Settings) -> dict[str, object]:
    """Return the metadata of a file as Arena shows it, reduced to its main fields."""
    completed = format_utc((run.ended_at(now) or now) + settings.clock_skew_seconds)
    return {
        "author": None,
        "creationDateTime": completed,
        "description": None,
        "guid": file.guid,
        "lastModifiedDateTime": completed,
        "location": None,
        "locked": False,
        "mimeType": file.mime_type,
        "name": file.name,
        "size": file.metadata_size(),
        "storageMethodName": "FILE",
        "title": file.plan.title,
    }


def definition_view(definition: ExportDefinition) -> dict[str, object]:
    """Return an export definition as Arena shows it, reduced to its main fields."""
    return {
        "criteria": definition.criteria or None,
        "guid": definition.guid,
        "name": definition.name,
        "options": {"exportViews": definition.views, "format": definition.format},
    }


def _criteria_view(criteria: Criteria, settings: Settings) -> object:
    groups = [
        [
            {name: criterion[name] for name in ("attribute", "value", "operator")}
            for criterion in group
        ]
        for group in criteria
    ]
    if settings.criteria_shape == "groups":
        return groups
    return [criterion for group in groups for criterion in group]


def _files_view(run: Run, now: float, settings: Settings) -> Mapping[str, object]:
    if not run.is_ready(now):
        return {}
    if not run.files:
        return _EMPTY_FILES[settings.empty_files]
    files = (*run.files, run.files[0])  # the list can repeat the first one at its end
    entries = zip(run.listed_files(now), files, strict=False)
    return {"files": [_entry(guid, file, settings) for guid, file in entries]}


def _entry(guid: str | None, file: RunFile, settings: Settings) -> Mapping[str, object]:
    name = {"name": file.name} if settings.file_names_listed else {}
    return {"guid": guid, "title": file.plan.title, **name}
