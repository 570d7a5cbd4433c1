"""Export definitions: what a run exports, and its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.simulator import names

Criterion = Mapping[str, object]
Criteria = Sequence[Sequence[Criterion]]

MAX_ITEMS = 20_000
MAX_LINES = 5_000
_LINED_VIEWS = frozenset({"BOM", "FILES"})


@dataclass(frozen=True, slots=True)
class ExportDefinition:
    """An export definition, with or without its own criteria.

    `lines_per_item` is the number of lines that BOM levels make of one GUID. `max_items` replaces
    the documented limit. `refusal` is the code with which every run of the definition is refused.
    """

    guid: str
    name: str
    views: tuple[str, ...] = ("SPECS",)
    format: str = "CSV"
    criteria: Criteria = ()
    matched_items: int = 25
    lines_per_item: int = 1
    max_items: int | None = None
    refusal: int | None = None

    @property
    def limit(self) -> tuple[int, int]:
        """The maximum number of lines in a run, and the error code for more."""
        lined = not _LINED_VIEWS.isdisjoint(self.views)
        documented, code = (MAX_LINES, 3149) if lined else (MAX_ITEMS, 3148)
        return (documented if self.max_items is None else self.max_items), code


def starting_definitions() -> dict[str, ExportDefinition]:
    """Return the definitions of a fresh workspace by their GUIDs."""
    own = (({"attribute": "lifecyclePhase.name", "operator": "IS_IN", "value": ["Production"]},),)
    definitions = (
        ExportDefinition(names.DEFAULT_EXPORT_GUID, "Items by GUID"),
        ExportDefinition(names.DEFINITION_EXPORT_GUID, "Items in production", criteria=own),
        ExportDefinition(names.FILES_EXPORT_GUID, "Items with files", views=("SPECS", "FILES")),
    )
    return {definition.guid: definition for definition in definitions}
