"""Faults 30 to 32 of the table in tests/README.md: the request budget."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import LedgerUnavailableError
from arena_exports.ledger import keys
from infra.simulator import control
from tests.support.world import World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Write


@pytest.mark.parametrize("call", ["POST", "GET"])
def test_fault_30__spent_budget_means_no_request_until_the_reset(call: str) -> None:
    """After a 429 nothing is sent until the budget's reset; then everything continues."""
    world = World()
    world.send(item_guid(1))
    if call == "POST":
        world.settle()
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20_000})
    reset = world.clock.now() + 20_000
    before = len(world.arena.request_log.records)
    assert world.deliver(world.record(item_guid(2))) == []
    world.run_for(reset - world.clock.now() - 1)
    assert [r.code for r in list(world.arena.request_log.records)[before:]] == [4084]
    world.settle()
    assert_exported(world, items(3)[1:])
    later = [r.at for r in list(world.arena.request_log.records)[before + 1 :]]
    assert reset <= later[0] <= reset + 125
    assert not world.dead_letters.letters


def test_fault_30__resumption_has_jitter() -> None:
    """Stacks that share a budget do not all resume in the second of its reset."""
    waits = set()
    for seed in range(5):
        world = World(seed=seed)
        control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20_000})
        world.send(item_guid(1))
        waits.add(world.ledger.lease.read().not_before)
    assert len(waits) > 1
    assert min(waits) >= world.clock.now() + 19_990


def test_fault_30__answer_counts_even_if_the_budget_cannot_be_written() -> None:
    """What an answer says is used, because it cost a request: a run, its end, a spent budget."""
    world = World()
    world.table.intercept("write", _refuse_budgets)
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    purposes = [record.purpose for record in world.arena.request_log.records]
    assert purposes == ["login", "submit", "poll"]
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20_000})
    world.send(item_guid(2))
    assert world.ledger.lease.read().not_before >= world.clock.now() + 19_000


def _refuse_budgets(write: Callable[..., None], *writes: Write) -> None:
    if any(one.key == keys.BUDGET for one in writes):
        raise LedgerUnavailableError("TransactionConflictException")
    write(*writes)


def test_fault_31__reserve_stops_new_runs_and_not_the_polls() -> None:
    """At the reserve no run is started, but the run in progress is polled to its end."""
    world = World()
    control.plan_runs(world.arena, {"runningSeconds": 300})
    world.send(item_guid(1))
    world.run_for(60)
    control.set_budget(world.arena, {"remaining": 90, "resetSeconds": 40_000})
    world.send(item_guid(2))
    world.run_for(3600)
    assert_exported(world, [item_guid(1)])
    world.settle()
    assert_exported(world, [item_guid(1), item_guid(2)])


@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("form", ["garbage", "none", "past", "rfc", "zulu", "documented"])
def test_fault_32__odd_reset_header_leads_to_a_safe_wait(form: str, skew: int) -> None:
    """Whatever the header says, the budget is waited out without a tight loop."""
    world = World()
    control.set_settings(world.arena, {"clockSkewSeconds": skew})
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 8 * 3600, "resetForm": form})
    world.send(item_guid(1))
    world.settle()
    assert_exported(world, [item_guid(1)])
    met = [r.at for r in world.arena.request_log.records if r.code == 4084]
    assert len(met) <= 10
    assert all(later - earlier >= 900 for earlier, later in pairwise(met))
