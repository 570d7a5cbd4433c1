"""Arena's answers about an export definition, and what they mean for the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arena_exports_operator.answers.checks import failure, not_checked, ok, warning
from arena_exports_operator.answers.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arena_exports_operator.answers.checks import Check

MAX_LINES = 5_000  # in a run with one of these views; Arena refuses more with code 3149
LINED_VIEWS = frozenset({"BOM", "FILES"})
_NAME = "definition"
_OK, _ERROR, _FORBIDDEN = 200, 400, 403
_UNKNOWN_CODES = frozenset({3011, 3012})
_NO_ACCESS_CODE = 3024


def named_by(parameters: Mapping[str, str]) -> list[str]:
    """Return the definitions that a stack's parameters name, each once."""
    named = (parameters.get(name) for name in ("DefaultExportGuid", "ScheduledExportGuid"))
    return list(dict.fromkeys(filter(None, named)))


def checks_of(
    guid: str, answers: Sequence[Mapping[str, Any]], problem: str, parameters: Mapping[str, str]
) -> Iterator[Check]:
    """Yield what Arena's answers say: the definition, then its runs.

    `problem` is why there are no more of them; `parameters` are the stack's.
    """
    if answers:
        yield from _definition(guid, answers[0], parameters)
    if len(answers) > 1:
        yield _runs(answers[1])
    if problem:
        yield not_checked("arena", f"not all requests were sent to Arena: {problem}")


def _definition(
    guid: str, answer: Mapping[str, Any], parameters: Mapping[str, str]
) -> Iterator[Check]:
    body, status = answer["body"], answer["status"]
    if status >= _ERROR:
        yield _refusal(guid, status, _codes(body))
    elif status != _OK or not isinstance(body, dict):
        yield not_checked(_NAME, f"Arena's answer about {guid} ({status}) is not a definition")
    else:
        yield ok(_NAME, f"Arena knows {guid}, and the machine user may read it")
        yield _criteria(guid, body, parameters)
        yield from _views(guid, body, parameters)


def _codes(body: Any) -> set[Any]:  # noqa: ANN401 - JSON
    errors = body.get("errors") if isinstance(body, dict) else None
    found = errors if isinstance(errors, list) else []
    return {error.get("code") for error in found if isinstance(error, dict)}


def _refusal(guid: str, status: int, codes: set[Any]) -> Check:
    if codes & _UNKNOWN_CODES:
        text = f"Arena does not know {guid}"
        return failure(_NAME, text, "take the GUID of an export definition in this workspace")
    if status == _FORBIDDEN or _NO_ACCESS_CODE in codes:
        text = f"the machine user may not read {guid}"
        return failure(_NAME, text, "give the user access to the export in Arena")
    named = ", ".join(sorted(map(str, codes))) or "no code"
    return not_checked(_NAME, f"Arena answered {status} ({named}) about {guid}")


def _criteria(guid: str, body: Mapping[str, Any], parameters: Mapping[str, str]) -> Check:
    if "criteria" not in body:
        return not_checked("criteria", "Arena's answer does not say whether it has criteria")
    has_own = bool(body["criteria"])
    if has_own and guid == parameters.get("DefaultExportGuid"):
        return warning(
            "criteria",
            f"{guid} has criteria of its own, so requests that name items are rejected (3142)",
            "make a definition without criteria the default (DefaultExportGuid)",
        )
    if not has_own and guid == parameters.get("ScheduledExportGuid"):
        return failure(
            "criteria",
            f"{guid} has no criteria, so each scheduled export is rejected (3140)",
            "schedule a definition with criteria (ScheduledExportGuid)",
        )
    if has_own:
        return ok("criteria", "it has criteria of its own: request it without items")
    return ok("criteria", "it has no criteria: requests name the items")


def _views(guid: str, body: Mapping[str, Any], parameters: Mapping[str, str]) -> Iterator[Check]:
    options = body.get("options")
    listed = options.get("exportViews") if isinstance(options, dict) else None
    if not isinstance(options, dict) or not isinstance(listed, list):
        yield not_checked("views", "Arena's answer does not list the definition's views")
        return
    views = set(map(str, listed))
    yield _size(views, int(parameters.get("MaxItemsPerRun", MAX_LINES)))
    empty = _always_empty(views, options)
    if empty is None:
        yield ok("views", f"{guid} has no options that are known to give empty files")
    else:
        yield warning("views", f"{guid} gives empty files: {empty}", "create another definition")


def _size(views: set[str], max_items: int) -> Check:
    lined = " and ".join(sorted(views & LINED_VIEWS))
    if not lined:
        return ok("views", "no view limits a run to 5,000 items")
    if max_items <= MAX_LINES:
        return ok("views", f"a run has at most 5,000 lines, because of {lined}")
    return warning(
        "views",
        f"a run has at most 5,000 lines, because of {lined}, and MaxItemsPerRun is {max_items}",
        "set MaxItemsPerRun to 5000 or less: a larger run is refused first, then halved",
    )


def _always_empty(views: set[str], options: Mapping[str, Any]) -> str | None:
    """Return why a definition gives empty files, whatever is exported; None if it need not."""
    if views == {"BOM"} and options.get("bomLevels") == "NONE":
        return "BOM is its only view, and bomLevels is NONE"
    if "BOM_SUBSTITUTES" in views and "BOM" not in views:
        return "it has the view BOM_SUBSTITUTES without BOM"
    contents = options.get("fileContent")
    contents = contents if isinstance(contents, dict) else {}
    if (contents.get("item"), contents.get("supplierItem")) == ("NONE", "NONE"):
        for view in ("FILES", "SOURCING_SUPPLIERITEM_FILES"):
            if view in views:
                return f"it has the view {view}, and fileContent is NONE for both kinds of items"
    return None


def _runs(answer: Mapping[str, Any]) -> Check:
    body = answer["body"]
    found = body.get("results") if isinstance(body, dict) else None
    if answer["status"] != _OK or not isinstance(found, list):
        return not_checked("runs", f"Arena's answer ({answer['status']}) does not list its runs")
    count = body.get("count")
    number = count if isinstance(count, int) else len(found)
    return ok("runs", f"the machine user sees {counted(number, 'run')} of it")
