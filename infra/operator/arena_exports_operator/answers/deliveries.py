"""Deliveries to S3 that are pending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.times import format_utc
from arena_exports.ledger import keys
from arena_exports_operator.answers.reasons import Cause, Reason

if TYPE_CHECKING:
    from arena_exports.ports import Item, Table

MAX_DELIVERIES = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run whose files are not all in the bucket yet; `next_at` is the time of the next try."""

    attempt_id: str
    next_at: int | None


def pending(table: Table) -> list[Delivery]:
    """Return the oldest pending deliveries, 200 at most."""
    found = table.query(keys.DELIVER, keys.FIRST, keys.LAST, limit=MAX_DELIVERIES)
    return [_delivery(item) for item in found]


def _delivery(item: Item) -> Delivery:
    return Delivery(item["SK"].rpartition("#")[2], item.get("notBefore") or None)


def reason(delivery: Delivery) -> Reason:
    """Return why the files of a successful run are not in the bucket yet."""
    when = f"at {format_utc(delivery.next_at)}" if delivery.next_at else "within a minute"
    return Reason(
        Cause.DELIVERING,
        "It was exported, and its files are being delivered to the bucket; the next try is "
        f"{when}.",
        delivery.next_at,
    )
