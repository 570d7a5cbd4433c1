"""An attempt: what is about to be submitted, written before the POST, and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arena_exports.domain.attempts import Attempt, AttemptOutcome, AttemptState, RunResult
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    Group,
    ItemGuid,
    Kind,
    Lane,
    PageId,
    PageSlice,
    SetHistory,
)
from arena_exports.ledger import keys, pages
from arena_exports.ledger.codec import from_item, to_item

if TYPE_CHECKING:
    from arena_exports.ports import Item


def attempt_item(attempt: Attempt) -> Item:
    """Return the ledger item of an attempt: its group flat, long lists compressed."""
    item = to_item(keys.attempt(attempt.attempt_id), attempt)
    del item["attemptId"]
    item |= item.pop("group")
    item["slices"] = pages.pack([[s.page_id, s.start, s.stop, s.size] for s in attempt.slices])
    item["rejected"] = pages.pack(sorted(attempt.rejected))
    return item


def read_attempt(item: Item) -> Attempt:
    """Return the attempt of a ledger item."""
    slices = pages.unpack(item["slices"])
    return from_item(
        Attempt,
        item,
        attempt_id=AttemptId(item["SK"]),
        group=Group(Lane(item["lane"]), ExportGuid(item["exportGuid"]), Kind(item["kind"])),
        slices=tuple(PageSlice(PageId(page), *positions) for page, *positions in slices),
        history=from_item(SetHistory, item["history"]),
        state=AttemptState(item["state"]),
        rejected=frozenset(map(ItemGuid, pages.unpack(item["rejected"]))),
        result=_result(item["result"]),
    )


def _result(values: Item | None) -> RunResult | None:
    if values is None:
        return None
    return from_item(RunResult, values, outcome=AttemptOutcome(values["outcome"]))
