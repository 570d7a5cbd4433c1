"""What is known of each export definition: durations, sizes that worked, failures.

It is written under the lease alone.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from arena_exports.domain.definitions import Definition, Trials
from arena_exports.domain.model import camel_case
from arena_exports.ledger import keys
from arena_exports.ports import Put

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena_exports.domain.model import ExportGuid
    from arena_exports.ports import Table


class Definitions:
    """The definitions' items."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, export_guid: ExportGuid) -> Definition:
        """Return what is known of a definition: nothing, for a new one."""
        return _definition(export_guid, self._table.get(keys.definition(export_guid)) or {})

    def read_many(self, export_guids: Iterable[ExportGuid]) -> dict[ExportGuid, Definition]:
        """Return what is known of several."""
        wanted = list(dict.fromkeys(export_guids))
        items = self._table.get_many([keys.definition(guid) for guid in wanted])
        return {guid: _definition(guid, items.get(keys.definition(guid), {})) for guid in wanted}

    def trials(self) -> Trials:
        """Return the POSTs for definitions that are not proven."""
        item = self._table.get(keys.TRIALS)
        return Trials(tuple(item["posts"]) if item else ())

    def count_trial(self, now: float) -> None:
        """Write down that a POST for a definition that is not proven is about to be sent."""
        self._keep(self.trials().following(now))

    def take_back_trial(self) -> None:
        """Write down that the POST that was counted last was not sent."""
        self._keep(self.trials().without_last())

    def _keep(self, trials: Trials) -> None:
        pk, sk = keys.TRIALS
        self._table.write(Put({"PK": pk, "SK": sk, "v": keys.VERSION, "posts": list(trials.posts)}))


def definition_put(definition: Definition) -> Put:
    """Return the write that keeps a definition; it belongs into a transaction with the lease."""
    pk, sk = keys.definition(definition.export_guid)
    values = {camel_case(name): value for name, value in asdict(definition).items()}
    return Put({"PK": pk, "SK": sk, "v": keys.VERSION, **values})


def _definition(export_guid: ExportGuid, item: dict[str, Any]) -> Definition:
    known = {
        f.name: item[camel_case(f.name)] for f in fields(Definition) if camel_case(f.name) in item
    }
    return Definition(**{"export_guid": export_guid, **known})
