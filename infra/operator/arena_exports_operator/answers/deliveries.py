"""Deliveries to S3 that are pending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.times import format_utc
from arena_exports.ledger import keys
from arena_exports_operator.answers.reasons import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena_exports.ledger import Ledger
    from arena_exports.ports import Item, Table

MAX_DELIVERIES = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run whose files are not all in the bucket yet; `next_at` is the time of the next try."""

    attempt_id: str
    next_at: int | None


@dataclass(frozen=True, slots=True)
class PendingDeliveries:
    """The oldest pending deliveries; until `back_off_until`, none of them is tried."""

    deliveries: Sequence[Delivery]
    back_off_until: int | None


def pending(ledger: Ledger, table: Table, now: float) -> PendingDeliveries:
    """Return the oldest pending deliveries, 200 at most."""
    not_before = ledger.deliveries.lane().not_before
    until = not_before if not_before > now else None
    found = table.query(keys.DELIVER, keys.FIRST, keys.LAST, limit=MAX_DELIVERIES)
    return PendingDeliveries([_delivery(item, until) for item in found], until)


def _delivery(item: Item, back_off_until: int | None) -> Delivery:
    waits = (item.get("notBefore") or 0, back_off_until or 0)
    next_at = 0 if item.get("tryNow") else max(waits)
    return Delivery(item["SK"].rpartition("#")[2], next_at or None)


def reason(delivery: Delivery) -> Reason:
    """Return why the files of a successful run are not in the bucket yet."""
    when = f"at {format_utc(delivery.next_at)}" if delivery.next_at else "within a minute"
    return Reason(
        Cause.DELIVERING,
        "It was exported, and its files are being delivered to the bucket; the next try is "
        f"{when}.",
        delivery.next_at,
    )
