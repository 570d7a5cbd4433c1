"""Every write that follows from the lease is conditional on still holding it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.definitions import Definition
from arena_exports.domain.errors import ConditionFailedError
from arena_exports.domain.lease import Lease
from arena_exports.domain.model import AttemptId, SetHistory
from arena_exports.ledger import keys
from arena_exports.ledger.lease import fence
from arena_exports.ports import Put
from tests.support.ledger_desk import EXPORT, FULL_ATTEMPT, GROUP, NOW, RESULT, Desk, run
from tests.support.world import item_guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.domain.attempts import Attempt


def steps(desk: Desk, lease: Lease, attempt: Attempt) -> dict[str, Callable[[], Any]]:
    """Return every write that follows from holding the lease."""
    attempts = desk.ledger.attempts
    return {
        "take": lambda: desk.ledger.lease.take(lease),
        "begin": lambda: attempts.begin(lease, desk.select()),
        "begin again": lambda: attempts.begin_again(lease, attempt),
        "reject items": lambda: attempts.reject_items(lease, attempt, frozenset({item_guid(1)})),
        "started": lambda: attempts.started(lease, attempt, run("RUN0000000000000000C")),
        "postpone": lambda: attempts.postpone(lease, attempt, not_before=1, failed_searches=1),
        "abandon": lambda: attempts.void(lease, attempt, definition=Definition(EXPORT, 5)),
        "ended": lambda: attempts.ended(attempt, RESULT),
        "settled": lambda: attempts.settled(
            desk.ledger.lease.read(), attempt, Definition(EXPORT, 5)
        ),
        "put set": lambda: desk.ledger.requests.write_suspect_set(
            GROUP, "set", desk.select().entries, SetHistory(), fence(attempt)
        ),
    }


@pytest.mark.parametrize("name", list(steps(Desk(), Lease(), FULL_ATTEMPT)))
def test_fence__stops_a_holder_that_was_thought_dead(name: str) -> None:
    """A function that lost the lease and its attempt writes nothing."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(200)
    newer = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.attempts.begin_again(newer, attempt)
    before = repr(desk.table.items)
    with pytest.raises(ConditionFailedError):
        steps(desk, lease, attempt)[name]()
    assert repr(desk.table.items) == before


def test_fence__gives_a_new_lease_to_one_of_two() -> None:
    """Of two functions that saw no lease item, one gets the lease."""
    desk = Desk()
    desk.ledger.lease.take(Lease())
    with pytest.raises(ConditionFailedError):
        desk.ledger.lease.take(Lease())


def test_fence__allows_one_end_and_one_restart() -> None:
    """An attempt ends once, and one of two functions restarts its execution."""
    desk = Desk()
    attempt = desk.start()
    assert desk.ledger.attempts.restart_execution(attempt).execution_number == 2
    with pytest.raises(ConditionFailedError):
        desk.ledger.attempts.restart_execution(attempt)
    again = desk.ledger.attempts.get(attempt.attempt_id)
    assert again.execution_number == 2
    ended = desk.ledger.attempts.ended(again, RESULT)
    with pytest.raises(ConditionFailedError):
        desk.ledger.attempts.ended(again, RESULT)
    with pytest.raises(ConditionFailedError):
        desk.ledger.attempts.restart_execution(again)
    assert desk.ledger.attempts.get(attempt.attempt_id) == ended


@pytest.mark.parametrize("name", ["begin", "begin again"])
def test_fence__keeps_an_attempt_whose_id_is_used_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt is never overwritten by another with the same id."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.clock.sleep(1)
    monkeypatch.setattr(desk.clock, "new_token", lambda: "f" * 32)
    pk, sk = keys.attempt(AttemptId(keys.new_id(NOW + 1, "f" * 32)))
    desk.table.write(Put({"PK": pk, "SK": sk}))
    with pytest.raises(ConditionFailedError):
        steps(desk, lease, attempt)[name]()


def test_started__keeps_the_known_user() -> None:
    """A run without a creator leaves our user known; a run with one updates it."""
    desk = Desk()
    desk.ledger.settle(desk.ledger.attempts.ended(desk.start(), RESULT), Definition(EXPORT))
    desk.record("r2", item_guid(5))
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    lease, attempt = desk.ledger.attempts.begin(lease, desk.select())
    desk.ledger.attempts.started(lease, attempt, run("RUN0000000000000000B", creator=None))
    assert desk.ledger.lease.read().creator_guid == "USER"


def test_started__resets_the_lease_s_counters() -> None:
    """The start of a run resets busy answers, failed searches and times."""
    desk = Desk()
    lease, attempt = desk.begin()
    desk.ledger.attempts.void(lease, attempt, not_before=NOW + 5, busy=3)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    lease, attempt = desk.ledger.attempts.begin(lease, desk.select())
    assert (lease.busy, lease.not_before) == (3, NOW + 5)
    desk.ledger.attempts.postpone(lease, attempt, not_before=NOW, failed_searches=4)
    lease = desk.ledger.lease.take(desk.ledger.lease.read())
    desk.ledger.attempts.started(lease, attempt, run())
    read = desk.ledger.lease.read()
    assert (read.busy, read.not_before, read.failed_searches, read.held_until) == (0, 0, 0, 0)
