"""Deliver the files of settled runs: the files, then the manifest, then the event (R12).

Every step may be repeated, even by a copy that was thought dead: objects and manifests are created
only once, the first outcome of a file is final, and each copy of an event is made from the
manifest.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from arena_exports.domain.deliveries import FILE_EXPIRED, FIRST_RETRY_SECONDS, FileRecord
from arena_exports.domain.errors import (
    BucketError,
    ConditionFailedError,
    MessagingError,
    ObjectConflictError,
    OutOfTimeError,
    PollsUnansweredError,
    RetryLaterError,
    TransferStoppedError,
)
from arena_exports.domain.lease import LeaseState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from arena_exports.arena.files import ArenaFiles
    from arena_exports.domain.deadline import Deadline
    from arena_exports.domain.deliveries import Delivery, DeliveryLane
    from arena_exports.ledger import Ledger
    from arena_exports.ports import Bucket, Clock, Telemetry
    from arena_exports.services.delivery_report import DeliveryReport
    from arena_exports.services.file_delivery import FileDelivery
    from arena_exports.services.transfer import Transfer

SECONDS_TO_BEGIN = 60  # with less time left, no transfer starts
SECONDS_BETWEEN_CHECKS = 15
MAX_UNANSWERED_POLLS = 2
MAX_WAIT_OF_LONG_SECONDS = 3600  # after this, a long transfer goes before first tries
MAX_DELIVERIES = 200  # in one turn: opening one takes some 100 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryParts:
    """The dependencies of deliveries."""

    ledger: Ledger
    files: ArenaFiles
    bucket: Bucket
    transfer: Transfer
    file_delivery: FileDelivery
    report: DeliveryReport
    clock: Clock
    telemetry: Telemetry


def deliver_files(parts: DeliveryParts, settled_before: float, deadline: Deadline) -> None:
    """Deliver the due files of runs that were settled before a time (epoch seconds).

    It does nothing if another copy is at work, or all deliveries back off. What an operator wants
    tried now has a turn of its own, which waits for no back-off.
    """
    deliveries, now = parts.ledger.deliveries, parts.clock.now()
    seen = deliveries.lane()
    due = [
        delivery
        for delivery in deliveries.pending()
        if delivery.settled_at <= settled_before and delivery.is_due(now)
    ]
    wanted = [delivery for delivery in due if delivery.try_now]
    if seen.held_until > now or (seen.not_before > now and not wanted):
        return
    chosen = wanted or due
    if seen.in_doubt and seen.failures % 2:
        chosen.reverse()  # alternately, because either the oldest or the newest may fail
    with suppress(ConditionFailedError):  # another copy has taken over
        turn = _Turn(parts, deliveries.take_lane(replace(seen, not_before=0)), deadline)
        try:
            turn.deliver(chosen[:MAX_DELIVERIES])
        finally:
            deliveries.keep_lane(replace(turn.lane, held_until=0))


@dataclass(slots=True)
class _OpenDelivery:
    """A delivery, what is known of its files, and whether it was reported."""

    delivery: Delivery
    records: dict[str, FileRecord]
    is_reported: bool = False

    def pending(self) -> list[FileRecord]:
        return [record for record in self.records.values() if not record.is_final]

    def postponed(self, now: float) -> Delivery:
        """Return the delivery as it continues, if it was not reported."""
        pending = self.pending()
        if not pending:
            return self.delivery.waiting_for_report(now)
        due_at = min(record.not_before for record in pending)
        return self.delivery.waiting_for_files(due_at, len(pending))


class _TurnOverError(Exception):
    """Nothing more can be done in this turn."""


class _Turn:
    """What one invocation does while it has the lease on downloads."""

    def __init__(self, parts: DeliveryParts, lane: DeliveryLane, deadline: Deadline) -> None:
        self.lane = lane
        self._parts = parts
        self._deliveries = parts.ledger.deliveries
        self._destination = f"{parts.bucket.name}/{parts.bucket.prefix}"
        self._deadline = deadline
        self._began_at = self._checked_at = parts.clock.now()
        self._transfers = 0

    def deliver(self, due: Iterable[Delivery]) -> None:
        """Try files: first tries, then retries, then those that ran out of time."""
        try:
            self._try_all(due)
        except (_TurnOverError, TransferStoppedError):
            return
        except RetryLaterError as exc:
            not_before = int(self._parts.clock.now() + exc.retry_after_seconds)
            self.lane = replace(self.lane, not_before=not_before)
            self._parts.telemetry.info("no delivery now", reason=exc.reason)
        except BucketError as exc:
            self.lane = self.lane.blocked(self._parts.clock.now())
            self._blocked("the bucket refuses", error=str(exc))

    def _try_all(self, due: Iterable[Delivery]) -> None:
        opened: list[_OpenDelivery] = []
        try:
            for delivery in due:
                if not self._deadline.allows(SECONDS_TO_BEGIN, self._parts.clock.now()):
                    return  # reading back took all the time
                opened.append(self._open(delivery))
            overdue = self._parts.clock.now() - MAX_WAIT_OF_LONG_SECONDS
            for chosen in (
                partial(_transfers_that_were_too_long, due_by=overdue),
                _first_tries,
                _retries,
                _transfers_that_were_too_long,
            ):
                for one, record in chosen(opened):
                    self._try(one, record)
        finally:
            for one in opened:
                self._postpone(one)

    # ---- a delivery ------------------------------------------------------------------------------

    def _open(self, delivery: Delivery) -> _OpenDelivery:
        """Return a delivery with the state of its files; report it if all of them are final."""
        parts = self._parts
        keys = parts.bucket.keys(f"{parts.bucket.prefix}/{delivery.folder}")
        if parts.report.manifest_key(delivery) in keys:
            one = _OpenDelivery(delivery, {})
            self._report(one, lambda: parts.report.publish(delivery))
            return one
        known = self._deliveries.files(delivery, self._destination)
        files = parts.ledger.attempts.files(delivery.attempt_id)
        one = _OpenDelivery(delivery, {f.guid: FileRecord(f.guid, f.title) for f in files} | known)
        if delivery.try_now:
            one.records |= {r.guid: replace(r, not_before=0) for r in one.pending()}
        for record in one.pending():
            self._find(one, record, keys)
        self._report_if_done(one)
        return one

    def _find(self, one: _OpenDelivery, record: FileRecord, keys: Iterable[str]) -> None:
        """Record a file that is already in the bucket; give up one that Arena has deleted."""
        stem = f"{self._parts.bucket.prefix}/{one.delivery.folder}{record.guid}."
        found = next((key for key in keys if key.startswith(stem)), None)
        now = self._parts.clock.now()
        if found and record.not_before <= now:
            self._read_back(one, record, found)
        elif not found and now >= one.delivery.expires_at:
            message = "Arena deletes the files of a run 60 days after its completion"
            self._keep(one, record.undeliverable(FILE_EXPIRED, message))

    def _read_back(self, one: _OpenDelivery, record: FileRecord, key: str) -> None:
        """Record what is in the bucket; if it cannot be read, other files continue."""
        try:
            stored = self._parts.transfer.read_back(key, self._check)
        except (BucketError, OutOfTimeError) as exc:
            self._keep(one, record.failed(self._parts.clock.now()))
            self._blocked("object not read", key=key, error=str(exc))
        else:
            self._keep(one, replace(record, stored=stored))

    def _report_if_done(self, one: _OpenDelivery) -> None:
        if not one.pending():
            files = list(one.records.values())
            self._report(one, lambda: self._parts.report.write(one.delivery, files))

    def _report(self, one: _OpenDelivery, report: Callable[[], None]) -> None:
        """Report a delivery; if that fails, it is tried again later.

        Events with its number may already name another bucket, and an event must never have two
        contents: the delivery then continues with the next number.
        """
        delivery = one.delivery
        try:
            if not self._deliveries.claim(delivery, self._destination):
                self._deliveries.change(delivery, replace(delivery, number=delivery.number + 1))
                return
            report()
        except (MessagingError, BucketError, ValueError) as exc:
            self._blocked("delivery not reported", runGuid=delivery.run_guid, error=str(exc))
        else:
            one.is_reported = True

    def _blocked(self, message: str, **fields: object) -> None:
        """Log and count that a delivery waits for the bucket or the topic (there is an alarm)."""
        self._parts.telemetry.count("DeliveryBlocked")
        self._parts.telemetry.warn(message, **fields)

    def _postpone(self, one: _OpenDelivery) -> None:
        later = one.postponed(self._parts.clock.now())
        if not one.is_reported and later != one.delivery:
            self._deliveries.change(one.delivery, later)

    # ---- a file ----------------------------------------------------------------------------------

    def _try(self, one: _OpenDelivery, record: FileRecord) -> None:
        """Try a file that is due.

        Raises:
            _TurnOverError: no other file is to be tried in this turn.
        """
        now = self._parts.clock.now()
        if record.not_before > now or (record.long and self._transfers):
            return
        if not self._may_begin(now):
            raise _TurnOverError
        wait = self._parts.files.wait_seconds(first_try=record.is_first_try)
        if wait and record.is_first_try:
            raise RetryLaterError("request budget at half of its reserve", wait)
        if wait:
            self._keep(one, replace(record, not_before=int(now + wait)))
            return
        self._transfers += 1
        whole = now - self._began_at < SECONDS_TO_BEGIN
        self._keep(one, self._fetch(one, record, had_whole_time=whole))
        self._report_if_done(one)
        if self.lane.in_doubt or self.lane.not_before > now:
            raise _TurnOverError

    def _may_begin(self, now: float) -> bool:
        """Return whether a transfer may start: there is time, and it is not a run's turn."""
        if not self._deadline.allows(SECONDS_TO_BEGIN, now):
            return False
        if self.lane.turns_until <= now:
            return True
        idle = self._parts.ledger.lease.read().state is LeaseState.IDLE
        if not idle or self._transfers:
            return False
        self.lane = replace(self.lane, run_waits_until=int(now))  # a run is next
        return True

    def _fetch(self, one: _OpenDelivery, record: FileRecord, *, had_whole_time: bool) -> FileRecord:
        delivery, clock = one.delivery, self._parts.clock
        try:
            record, self.lane = self._parts.file_delivery.attempt(
                delivery, record, self.lane, self._check_download
            )
        except ObjectConflictError:
            return self._after_conflict(one, record)
        except OutOfTimeError:
            return record.overran(clock.now(), had_whole_time=had_whole_time)
        except PollsUnansweredError:
            self._parts.telemetry.count("DownloadsAborted")
            self._parts.telemetry.warn("download aborted for polls", runGuid=delivery.run_guid)
            self.lane = self.lane.take_turns(clock.now())
            return replace(record, not_before=int(clock.now()) + FIRST_RETRY_SECONDS)
        return record

    def _after_conflict(self, one: _OpenDelivery, record: FileRecord) -> FileRecord:
        """Record what is in the bucket; if nothing is, try again later."""
        folder = f"{self._parts.bucket.prefix}/{one.delivery.folder}"
        self._find(one, record, self._parts.bucket.keys(folder))
        found, now = one.records[record.guid], self._parts.clock.now()
        if found != record:
            return found
        self.lane = self.lane.failed(record.guid, now)
        return record.failed(now)

    def _keep(self, one: _OpenDelivery, record: FileRecord) -> None:
        if one.records[record.guid] != record:
            kept = self._deliveries.keep_file(one.delivery, self._destination, record)
            one.records[record.guid] = kept
            if kept is record and record.error_code:
                self._parts.telemetry.count("FilesUndeliverable")

    def _check(self) -> int:
        """Stop if the time is up or the lease is lost; return how many polls got no answer."""
        now = self._parts.clock.now()
        if not self._deadline.allows(0, now):
            raise OutOfTimeError("the function's time is up")
        if now - self._checked_at < SECONDS_BETWEEN_CHECKS:
            return 0
        self._checked_at = now
        lane = self._deliveries.lane()
        if lane.token != self.lane.token:
            raise ConditionFailedError
        return lane.unanswered_polls

    def _check_download(self) -> None:
        """Also stop a download that keeps Arena from answering polls."""
        if self._check() >= MAX_UNANSWERED_POLLS:
            raise PollsUnansweredError


def _first_tries(opened: list[_OpenDelivery]) -> Iterator[tuple[_OpenDelivery, FileRecord]]:
    for one in opened:
        yield from ((one, record) for record in one.pending() if record.is_first_try)


def _retries(opened: list[_OpenDelivery]) -> list[tuple[_OpenDelivery, FileRecord]]:
    """Return those that have waited longest first, so that no file delays another forever."""
    found = [(one, r) for one in opened for r in one.pending() if r.tries and not r.long]
    return sorted(found, key=lambda pair: pair[1].not_before)


def _transfers_that_were_too_long(
    opened: list[_OpenDelivery], due_by: float = inf
) -> list[tuple[_OpenDelivery, FileRecord]]:
    """Return those that were due by a time; `_try` tries only one in a turn."""
    pending = ((one, record) for one in opened for record in one.pending())
    return [pair for pair in pending if pair[1].long and pair[1].not_before <= due_by]
