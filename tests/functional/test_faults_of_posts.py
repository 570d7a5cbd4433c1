"""The faults 12 to 16, 20 of the table in tests/README.md: the POST of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import (
    ConditionFailedError,
)
from arena_exports.domain.lease import LeaseState
from arena_exports.ledger.lease import LeaseStore
from infra.simulator import control
from tests.support.world import World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

POST = {"method": "POST", "path": "*/runs"}


def dies(*_args: object) -> None:
    """Die, as a process does."""
    raise RuntimeError


def test_fault_12__two_submitters_race_for_one_post() -> None:
    """Who comes while another gathers records its batch and leaves: one POST takes both along."""
    world = World()
    others = []

    def overtaken(sleep: Callable[[float], None], seconds: float) -> None:
        world.clock.restore("sleep")
        others.append(world.deliver(world.record(*items(3, 3))))
        sleep(seconds)

    world.clock.intercept("sleep", overtaken)
    world.send(*items(3))
    assert others == [[]]
    world.settle()
    assert_exported(world, items(6))
    assert world.posts() == 1


def test_fault_12__who_saw_the_slot_idle_and_comes_second_posts_nothing() -> None:
    """The lease is taken under a condition: of two that saw it idle, one gets it."""
    world = World()
    seen = world.ledger.lease.read()
    world.ledger.lease.take(seen)
    with pytest.raises(ConditionFailedError):
        world.ledger.lease.take(seen)
    world.send(item_guid(1))
    assert world.posts() == 0


def test_fault_13__export_of_somebody_else_is_waited_for() -> None:
    """A 3144 is a wait: messages are acknowledged, requests stay, and few requests are spent."""
    world = World()
    control.start_foreign_run(world.arena, {"seconds": 900})
    assert world.deliver(world.record(*items(5))) == []
    (head,) = world.ledger.requests.oldest_pages()
    assert (head.position, head.size) == (0, 5)
    world.settle()
    assert_exported(world, items(5))
    assert 1 < world.answers(3144) <= 8
    assert not world.dead_letters.letters


def test_fault_13__waits_are_spread_by_chance() -> None:
    """Two stacks that met the same 3144 do not come back at the same time."""
    waits = set()
    for seed in range(5):
        world = World(seed=seed)
        control.start_foreign_run(world.arena, {"seconds": 900})
        world.send(item_guid(1))
        waits.add(world.ledger.lease.read().not_before)
    assert len(waits) > 1


@pytest.mark.parametrize("late", [0, 20, 55])
def test_fault_14__run_whose_answer_was_lost_is_adopted(late: int) -> None:
    """A run whose POST's answer never came is found and adopted; none is made twice."""
    world = World()
    fault = {**POST, "drop": True, **({"lateSeconds": late} if late else {"work": True})}
    control.add_faults(world.arena, fault)
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert len(list(world.arena.exports.runs)) == 1
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_fault_15__post_that_came_to_nothing_is_sent_once_more_after_two_looks() -> None:
    """Where no run comes to exist, exactly one new POST follows after two empty looks."""
    world = World()
    control.add_faults(world.arena, {**POST, "drop": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 2
    looks = [r for r in world.arena.request_log.records if r.purpose == "list"]
    assert len(looks) == 6
    assert world.answers(3144) == 0


def test_fault_16__crash_between_the_answer_and_the_ledger() -> None:
    """The run that was not written down is found when the lease has run out; no second POST."""
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeaseStore, "started", dies)
        world.send(*items(5))
    lease = world.ledger.lease.read()
    assert lease.state is LeaseState.SUBMITTING
    world.run_for(lease.held_until - world.clock.now() - 1)
    assert world.posts() == 1
    world.settle(errors=1)
    assert_exported(world, items(5))
    assert len(list(world.arena.exports.runs)) == 1
    assert world.posts() == 1
    assert world.telemetry.metrics["RunsAdopted"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 502, "body": "<h1>Bad Gateway</h1>"},
        {"status": 201, "body": "{}"},
        {"status": 200, "body": "<html>"},
        {"code": 3000},
        {"code": 3146},
        {"code": 4087},
        {"truncate": True},
    ],
)
def test_fault_20__garbage_for_an_answer_means_unknown(answer: dict[str, object]) -> None:
    """Whatever is no definite answer to the POST leads to looks, not to a second POST at once."""
    world = World()
    control.add_faults(world.arena, {**POST, **answer, "work": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_fault_20__get_that_brings_no_answer_is_tried_again(status: int) -> None:
    """A poll is an idempotent GET: a few tries with chance between, then it waits a minute."""
    world = World()
    fault = {"method": "GET", "path": "*/runs/*", "status": status, "body": "<h1>", "times": 5}
    control.add_faults(world.arena, fault)
    world.send(*items(3))
    world.settle()
    assert_exported(world, items(3))
    polls = [r.at for r in world.arena.request_log.records if r.purpose == "poll"]
    assert len(polls) == 6
    assert polls[2] - polls[0] < 6
    assert polls[3] - polls[2] >= 60
