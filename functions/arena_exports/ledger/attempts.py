"""An attempt: what is about to be submitted, written before the POST, and its run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from arena_exports.domain.attempts import Attempt, AttemptState, Outcome, Result
from arena_exports.domain.model import (
    AttemptId,
    ExportGuid,
    Group,
    ItemGuid,
    Kind,
    Lane,
    PageId,
    PageSlice,
    RunGuid,
    SetHistory,
)
from arena_exports.ledger import keys, pages

if TYPE_CHECKING:
    from arena_exports.ports import Item


def attempt_item(attempt: Attempt) -> Item:
    """Return the ledger item of an attempt."""
    pk, sk = keys.attempt(attempt.attempt_id)
    return {
        "PK": pk,
        "SK": sk,
        "v": keys.VERSION,
        "lane": attempt.group.lane.value,
        "exportGuid": attempt.group.export_guid,
        "kind": attempt.group.kind.value,
        "slices": pages.pack([[s.page_id, s.start, s.stop, s.size] for s in attempt.slices]),
        "history": asdict(attempt.history),
        "itemCount": attempt.item_count,
        "state": attempt.state.value,
        "sentAt": attempt.sent_at,
        "firstSentAt": attempt.first_sent_at,
        "refusals": attempt.refusals,
        "looks": attempt.looks,
        "unanswered": attempt.unanswered,
        "lastStatus": attempt.last_status,
        "refusedLooks": attempt.refused_looks,
        "rejected": pages.pack(sorted(attempt.rejected)),
        "runGuid": attempt.run_guid,
        "runNumber": attempt.run_number,
        "startedAt": attempt.started_at,
        "watch": attempt.watch,
        "result": None if attempt.result is None else asdict(attempt.result),
    }


def read_attempt(item: Item) -> Attempt:
    """Return the attempt of a ledger item."""
    return Attempt(
        attempt_id=AttemptId(item["SK"]),
        group=Group(Lane(item["lane"]), ExportGuid(item["exportGuid"]), Kind(item["kind"])),
        slices=tuple(
            PageSlice(PageId(p), *positions) for p, *positions in pages.unpack(item["slices"])
        ),
        history=SetHistory(**item["history"]),
        item_count=item["itemCount"],
        state=AttemptState(item["state"]),
        sent_at=item["sentAt"],
        first_sent_at=item["firstSentAt"],
        refusals=item["refusals"],
        looks=item["looks"],
        rejected=frozenset(map(ItemGuid, pages.unpack(item["rejected"]))),
        run_guid=RunGuid(item["runGuid"]) if item["runGuid"] else None,
        run_number=item["runNumber"],
        started_at=item["startedAt"],
        watch=item["watch"],
        result=_result(item["result"]),
        unanswered=item.get("unanswered", 1),
        last_status=item.get("lastStatus", 0),
        refused_looks=item.get("refusedLooks", 0),
    )


def _result(values: dict[str, Any] | None) -> Result | None:
    return None if values is None else Result(**{**values, "outcome": Outcome(values["outcome"])})
