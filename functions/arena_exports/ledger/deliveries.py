"""Deliveries in the ledger: what is due, the state of each file, and the lease on downloads.

`DELIVER` / `<yyyymmddHHMMSS of the run's end>#<attempt id>`
    Pointer to a run whose files are due, with what its manifest says about the run.
`DELIVERED` / `<attempt id>#<number>`
    A delivery that was reported.
`RUN#<yyyymm>` / `<attempt id>#OPEN#<n>`
    How many items of each request were open when the run was settled, if any.
`RUN#<yyyymm>` / `<attempt id>#NOGUID`
    How many files of the run have no GUID, if any.
`RUN#<yyyymm>` / `<attempt id>#FILE#<number>#<destination>#<file guid>`
    The state of one file of one delivery to one bucket and prefix.
`RUN#<yyyymm>` / `<attempt id>#REPORT#<number>`
    The bucket and prefix of the manifest and the events of a delivery.
`FORMAT` / `<export guid>`
    The format of an export definition; "" for a day if Arena gave none.
`LANE` / `DELIVER`
    The lease on downloads.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from arena_exports.domain.deliveries import Delivery, DeliveryLane, FileRecord, StoredFile
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.model import AttemptId, Kind
from arena_exports.ledger import keys, pages
from arena_exports.ledger.codec import from_item, new_item, to_attributes, to_item
from arena_exports.ports import NEW, Condition, Delete, Put, Update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arena_exports.ports import Clock, Item, Table

LANE_SECONDS = 960  # longer than deliver's timeout (900 s)
_COUNTS_ON_AN_ITEM = 1000
_POINTERS_COUNTED = 1000
_FORMAT = "FORMAT"
_DAY_SECONDS = 86_400
_NO_OUTCOME = Condition(absent=("final",))


class DeliveryStore:
    """Deliveries, their files, and the lease on downloads."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    # ---- pointers --------------------------------------------------------------------------------

    def pending(self) -> list[Delivery]:
        """Return the deliveries that are pending, the oldest run first."""
        return [
            read_delivery(item) for item in self._table.query(keys.DELIVER, keys.FIRST, keys.LAST)
        ]

    def files_left(self) -> int:
        """Return how many files are not in the bucket yet, of the oldest 1,000 pending runs."""
        found = self._table.query(keys.DELIVER, keys.FIRST, keys.LAST, limit=_POINTERS_COUNTED)
        return sum(read_delivery(item).files_left for item in found)

    def request(self, delivery: Delivery) -> bool:
        """Request a delivery; return false if the run has a pending one."""
        try:
            self._table.write(replace(delivery_put(delivery), condition=NEW))
        except ConditionFailedError:
            return False
        return True

    def try_now(self, seen: Delivery) -> bool:
        """Make a pending delivery due now; return false if it is finished.

        The whole pointer is put, because an operator's policy permits no update of an item.
        """
        same = Condition(equals={"number": seen.number})
        try:
            self._table.write(replace(delivery_put(replace(seen, try_now=True)), condition=same))
        except ConditionFailedError:
            return False
        return True

    def change(self, seen: Delivery, changed: Delivery) -> bool:
        """Write what has changed in a delivery since it was read; return false if it is finished.

        What an operator has written meanwhile is kept.
        """
        known = to_attributes(seen)
        values = {k: v for k, v in to_attributes(changed).items() if v != known[k]}
        key = keys.delivery(seen.ended_at, seen.attempt_id)
        same = Condition(equals={"number": seen.number})
        try:
            self._table.write(Update(key, values, condition=same))
        except ConditionFailedError:
            return False
        return True

    def claim(self, delivery: Delivery, destination: str) -> bool:
        """Claim a delivery's number, and so its events, for a destination: the first one gets it.

        Return false if another destination has it.
        """
        pk, sk = keys.attempt(delivery.attempt_id)
        key = pk, f"{sk}#REPORT#{delivery.number:04}"
        expiry = int(self._clock.now()) + keys.LIFE_SECONDS
        item = new_item(key, destination=destination, expiresAt=expiry)
        try:
            self._table.write(Put(item, NEW))
        except ConditionFailedError:
            known = self._table.get(key)
            return known is not None and bool(known["destination"] == destination)
        return True

    def finish(self, delivery: Delivery, bucket: str, manifest_key: str, *, complete: bool) -> None:
        """Record that a delivery was reported, and remove its pointer; safe to repeat."""
        now = int(self._clock.now())
        done = new_item(
            keys.delivered(delivery.attempt_id, delivery.number),
            outcome="delivered" if complete else "undelivered",
            bucket=bucket,
            manifestKey=manifest_key,
            at=now,
            expiresAt=now + keys.LIFE_SECONDS,
        )
        key = keys.delivery(delivery.ended_at, delivery.attempt_id)
        same = Condition(equals={"number": delivery.number})
        with suppress(ConditionFailedError):  # another copy has finished it
            self._table.write(Put(done), Delete(key, same))

    def find(self, delivery: Delivery) -> Delivery | None:
        """Return the pending delivery of the same run; None if there is none."""
        item = self._table.get(keys.delivery(delivery.ended_at, delivery.attempt_id))
        return read_delivery(item) if item else None

    def history(self, attempt_id: AttemptId) -> list[Item]:
        """Return the reported deliveries of a run, each with its `number`, in order."""
        pk, first = keys.delivered(attempt_id, 0)
        found = self._table.query(pk, first, f"{attempt_id}#{keys.LAST}")
        return [{**item, "number": int(item["SK"].rpartition("#")[2])} for item in found]

    # ---- files -----------------------------------------------------------------------------------

    def files(self, delivery: Delivery, destination: str) -> dict[str, FileRecord]:
        """Return the states of the files of a delivery, by GUID."""
        pk, prefix = self._file_key(delivery, destination, "")
        items = self._table.query(pk, prefix, prefix + keys.LAST)
        return {record.guid: record for record in map(_read_file, items)}

    def keep_file(self, delivery: Delivery, destination: str, record: FileRecord) -> FileRecord:
        """Write the state of a file; the first outcome is final. Return what is kept."""
        key = self._file_key(delivery, destination, record.guid)
        item = to_item(key, record)
        item["expiresAt"] = int(self._clock.now()) + keys.LIFE_SECONDS
        if record.is_final:
            item["final"] = 1
        try:
            self._table.write(Put(item, _NO_OUTCOME))
        except ConditionFailedError:
            known = self._table.get(key)
            return _read_file(known) if known else record
        return record

    def _file_key(self, delivery: Delivery, destination: str, guid: str) -> tuple[str, str]:
        place = hashlib.sha256(destination.encode()).hexdigest()[:8]
        pk, sk = keys.attempt(delivery.attempt_id)
        return pk, f"{sk}#FILE#{delivery.number:04}#{place}#{guid}"

    # ---- formats ---------------------------------------------------------------------------------

    def export_format(self, export_guid: str) -> str | None:
        """Return the format of an export definition, "" if Arena gave none; None if unknown."""
        item = self._table.get((_FORMAT, export_guid))
        current = item is not None and item["expiresAt"] > self._clock.now()
        return str(item["format"]) if item and current else None

    def keep_export_format(self, export_guid: str, form: str) -> None:
        """Keep the format of an export definition; "" only for a day."""
        expiry = int(self._clock.now()) + (keys.LIFE_SECONDS if form else _DAY_SECONDS)
        self._table.write(Put(new_item((_FORMAT, export_guid), format=form, expiresAt=expiry)))

    # ---- what run.completed said is open ---------------------------------------------------------

    def keep_open_counts(self, attempt_id: AttemptId, counts: Mapping[str, int]) -> None:
        """Keep how many items of each request are open after a run, for requests that have any."""
        rows = [[request_id, count] for request_id, count in counts.items() if count]
        expiry = int(self._clock.now()) + keys.LIFE_SECONDS
        for number, start in enumerate(range(0, len(rows), _COUNTS_ON_AN_ITEM), start=1):
            packed = pages.pack(rows[start : start + _COUNTS_ON_AN_ITEM])
            key = keys.open_counts(attempt_id, number)
            self._table.write(Put(new_item(key, open=packed, expiresAt=expiry)))

    def open_counts(self, attempt_id: AttemptId) -> dict[str, int]:
        """Return how many items of each request were open; requests without any are left out."""
        pk, first = keys.open_counts(attempt_id, 0)
        found = self._table.query(pk, first, keys.open_counts(attempt_id, 9999)[1])
        return {name: count for item in found for name, count in pages.unpack(item["open"])}

    # ---- files that cannot be requested ----------------------------------------------------------

    def keep_files_without_guid(self, attempt_id: AttemptId, count: int) -> None:
        """Keep how many files of an ended run have no GUID."""
        key = keys.files_without_guid(attempt_id)
        expiry = int(self._clock.now()) + keys.LIFE_SECONDS
        self._table.write(Put(new_item(key, count=count, expiresAt=expiry)))

    def files_without_guid(self, attempt_id: AttemptId) -> int:
        """Return how many files of an ended run have no GUID."""
        item = self._table.get(keys.files_without_guid(attempt_id))
        return int(item["count"]) if item else 0

    # ---- the lease on downloads ------------------------------------------------------------------

    def lane(self) -> DeliveryLane:
        """Return the lease on downloads; a free one if it was never taken."""
        item = self._table.get(keys.DELIVERY_LANE) or {}
        return from_item(DeliveryLane, item, failed_guids=tuple(item.get("failedGuids", ())))

    def take_lane(self, seen: DeliveryLane) -> DeliveryLane:
        """Take a lease that was free or expired when it was read, with a new token.

        Raises:
            ConditionFailedError: another copy took it since.
        """
        held_until = int(self._clock.now()) + LANE_SECONDS
        taken = replace(
            seen, token=self._clock.new_token(), held_until=held_until, unanswered_polls=0
        )
        unchanged = (
            Condition(equals={"token": seen.token, "heldUntil": seen.held_until})
            if seen.token
            else NEW
        )
        self._table.write(Put(to_item(keys.DELIVERY_LANE, taken), unchanged))
        return taken

    def keep_lane(self, lane: DeliveryLane) -> None:
        """Write the state of the lease while it is held, or free it.

        Raises:
            ConditionFailedError: another copy has it.
        """
        held = Condition(equals={"token": lane.token})
        self._table.write(Put(to_item(keys.DELIVERY_LANE, lane), held))

    def count_unanswered_polls(self, polls: int) -> None:
        """Tell a download in progress how many polls in a row got no answer.

        Those from before it started do not count.
        """
        lane = self.lane()
        if lane.held_until <= self._clock.now():
            return
        since_it_began = min(polls, lane.unanswered_polls + 1)
        held = Condition(equals={"token": lane.token})
        with suppress(ConditionFailedError):
            self._table.write(
                Update(keys.DELIVERY_LANE, {"unansweredPolls": since_it_began}, condition=held)
            )


def delivery_put(delivery: Delivery) -> Put:
    """Return the write of a pointer, which belongs in the transaction that settles the run."""
    return Put(to_item(keys.delivery(delivery.ended_at, delivery.attempt_id), delivery))


def read_delivery(item: Item) -> Delivery:
    """Read the delivery in a pointer."""
    return from_item(Delivery, item, kind=Kind(item["kind"]))


def _read_file(item: Item) -> FileRecord:
    stored = item["stored"]
    return from_item(FileRecord, item, stored=stored and from_item(StoredFile, stored))
