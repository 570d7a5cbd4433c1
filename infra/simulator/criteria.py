"""Reads and checks the criteria of a new run, as Arena does."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.simulator.definitions import Criteria, ExportDefinition
from infra.simulator.errors import ArenaError, invalid_guid, invalid_option
from infra.simulator.settings import Settings

GUID_FORM = re.compile(r"[A-Z0-9]{16,32}")
_FIELDS = ("attribute", "operator", "value")


@dataclass(slots=True)
class GuidSets:
    """GUIDs with a special meaning; all others are items of the workspace."""

    bad: frozenset[str] = field(default=frozenset())
    """Refused with code 3011."""
    unknown: frozenset[str] = field(default=frozenset())
    """Match no item."""
    poison: frozenset[str] = field(default=frozenset())
    """Make every run that contains one fail."""


@dataclass(frozen=True, slots=True)
class RunCriteria:
    """The criteria of a run, and the distinct GUIDs in them."""

    criteria: Criteria
    item_guids: Sequence[str] = ()


def read_criteria(
    definition: ExportDefinition, body: object, sets: GuidSets, settings: Settings
) -> RunCriteria:
    """Read a body; raise the code with which it is refused."""
    given = _criteria_of(body)
    if definition.refusal is not None:
        raise ArenaError(definition.refusal)
    if definition.criteria:
        return _own(definition, given)
    groups = _groups(given)
    item_guids = _item_guids(groups)
    _check_guids(item_guids, sets, settings)
    _check_limit(definition, len(item_guids))
    return RunCriteria(groups, item_guids)


def _criteria_of(body: object) -> object:
    if not isinstance(body, Mapping):
        raise ArenaError(400)
    unknown = next((key for key in body if key != "criteria"), None)
    if unknown is not None:
        raise ArenaError(4004, f'The attribute "{unknown}" is not creatable.')
    return body.get("criteria")


def _own(definition: ExportDefinition, given: object) -> RunCriteria:
    if given is not None:
        raise ArenaError(3142)
    return RunCriteria(definition.criteria)


def _groups(given: object) -> Criteria:
    if given is None or given == []:
        raise ArenaError(3140)
    if not isinstance(given, list):
        raise invalid_option(given, "criteria")
    for group in given:
        if not isinstance(group, list) or not group:
            raise invalid_option(group, "criteria")
        for criterion in group:
            _check_criterion(criterion)
    return given


def _check_criterion(criterion: object) -> None:
    if not isinstance(criterion, Mapping):
        raise invalid_option(criterion, "criteria")
    for name in _FIELDS:
        if name not in criterion:
            raise ArenaError(3006, f'The attribute "{name}" is required.')
    for name in ("attribute", "operator"):
        if not isinstance(criterion[name], str):
            raise ArenaError(3005, f'The value of the attribute "{name}" must be a text.')
    unknown = next((name for name in criterion if name not in _FIELDS), None)
    if unknown is not None:
        raise ArenaError(3002, f'The attribute "{unknown}" is not valid.')


def _item_guids(groups: Criteria) -> Sequence[str]:
    criteria = [criterion for group in groups for criterion in group]
    by_guid = [criterion for criterion in criteria if criterion["attribute"] == "guid"]
    if not by_guid:
        return ()
    if len(criteria) > 1:
        raise ArenaError(3002, 'No other criterion is allowed with the attribute "guid".')
    if by_guid[0]["operator"] != "IS_IN":
        raise invalid_option(by_guid[0]["operator"], "operator")
    return _distinct_texts(by_guid[0]["value"])


def _distinct_texts(value: object) -> Sequence[str]:
    if not isinstance(value, list):
        raise ArenaError(3005, 'The value of the attribute "guid" must be an array of texts.')
    if not value:
        raise ArenaError(3004, 'The value of the attribute "guid" is missing.')
    for guid in value:
        if not isinstance(guid, str):
            raise ArenaError(3005, 'The value of the attribute "guid" must be an array of texts.')
    return tuple(dict.fromkeys(value))


def _check_guids(item_guids: Sequence[str], sets: GuidSets, settings: Settings) -> None:
    refused = [guid for guid in item_guids if guid in sets.bad or not GUID_FORM.fullmatch(guid)]
    if refused:
        named = refused if settings.bad_guids_named == "all" else refused[:1]
        raise invalid_guid(*named, blanks=settings.bad_guid_blanks)


def _check_limit(definition: ExportDefinition, items: int) -> None:
    limit, code = definition.limit
    lines = (items or definition.matched_items) * definition.lines_per_item
    if lines > limit:
        raise ArenaError(code)
