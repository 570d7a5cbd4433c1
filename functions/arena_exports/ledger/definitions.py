"""What is known about each export definition; written only under the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.definitions import (
    Definition,
    StackDurations,
    Trials,
    similar_durations,
)
from arena_exports.domain.polling import PastRuns
from arena_exports.ledger import keys
from arena_exports.ledger.codec import from_item, to_item
from arena_exports.ports import Put

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena_exports.domain.model import ExportGuid
    from arena_exports.ports import Item, Table


class DefinitionStore:
    """The definitions' items."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, export_guid: ExportGuid) -> Definition:
        """Return a definition; an empty one if it is new."""
        return _definition(export_guid, self._table.get(keys.definition(export_guid)))

    def read_many(self, export_guids: Iterable[ExportGuid]) -> dict[ExportGuid, Definition]:
        """Return several definitions."""
        wanted = list(dict.fromkeys(export_guids))
        items = self._table.get_many([keys.definition(guid) for guid in wanted])
        return {guid: _definition(guid, items.get(keys.definition(guid))) for guid in wanted}

    def past_runs(self, export_guid: ExportGuid, items: int) -> PastRuns:
        """Return the durations that show how long a run of `items` items may take.

        For a definition without any run they are those of the stack's other definitions.
        """
        known = self.read(export_guid)
        same = known.durations_for(items)
        if same:
            return PastRuns(same)
        similar = similar_durations(known.durations or self._of_the_stack().durations, items)
        return PastRuns(similar=similar)

    def note_duration(self, items: int, seconds: float) -> None:
        """Keep how long a run took, for the first runs of other definitions."""
        noted = self._of_the_stack().following(items, seconds)
        self._table.write(Put(to_item(keys.DURATIONS, noted)))

    def _of_the_stack(self) -> StackDurations:
        return from_item(StackDurations, self._table.get(keys.DURATIONS))

    def trials(self) -> Trials:
        """Return the POSTs for unproven definitions."""
        item = self._table.get(keys.TRIALS)
        return Trials(tuple(item["posts"]) if item else ())

    def count_trial(self, now: float) -> None:
        """Record that a POST for an unproven definition is about to be sent."""
        self._keep(self.trials().following(now))

    def take_back_trial(self) -> None:
        """Record that the last counted POST was not sent."""
        self._keep(self.trials().without_last())

    def _keep(self, trials: Trials) -> None:
        self._table.write(Put(to_item(keys.TRIALS, trials)))


def definition_put(definition: Definition) -> Put:
    """Return the write of a definition, for a transaction with the lease."""
    return Put(to_item(keys.definition(definition.export_guid), definition))


def _definition(export_guid: ExportGuid, item: Item | None) -> Definition:
    return from_item(Definition, item, export_guid=export_guid)
