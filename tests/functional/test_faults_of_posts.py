"""Faults 12 to 16 and 20 of the table in tests/README.md: the POST of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import (
    ConditionFailedError,
)
from arena_exports.domain.lease import LeaseState
from arena_exports.ledger.attempts import AttemptStore
from infra.simulator import control
from tests.support.world import World, assert_exported, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

POST = {"method": "POST", "path": "*/runs"}


def dies(*_args: object) -> None:
    """Raise an error, as a process that dies does."""
    raise RuntimeError


def test_fault_12__two_submitters_race_for_one_post() -> None:
    """A submit that meets another one lingering records its batch; one POST serves both."""
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


def test_fault_12__submit_that_loses_the_race_for_the_lease_posts_nothing() -> None:
    """The lease is taken conditionally: of two functions that saw it idle, one gets it."""
    world = World()
    seen = world.ledger.lease.read()
    world.ledger.lease.take(seen)
    with pytest.raises(ConditionFailedError):
        world.ledger.lease.take(seen)
    world.send(item_guid(1))
    assert world.posts() == 0


def test_fault_13__another_user_s_export_is_waited_for() -> None:
    """A 3144 is waited out: messages are acknowledged, and few Arena requests are spent."""
    world = World()
    control.start_foreign_run(world.arena, {"seconds": 900})
    assert world.deliver(world.record(*items(5))) == []
    (head,) = world.ledger.requests.oldest_pages()
    assert (head.position, head.size) == (0, 5)
    world.settle()
    assert_exported(world, items(5))
    assert 1 < world.answers(3144) <= 8
    assert not world.dead_letters.letters


def test_fault_13__waits_have_jitter() -> None:
    """Stacks that met the same 3144 do not all retry at the same time."""
    waits = set()
    for seed in range(5):
        world = World(seed=seed)
        control.start_foreign_run(world.arena, {"seconds": 900})
        world.send(item_guid(1))
        waits.add(world.ledger.lease.read().not_before)
    assert len(waits) > 1


@pytest.mark.parametrize("late", [0, 20, 55])
def test_fault_14__run_whose_answer_was_lost_is_adopted(late: int) -> None:
    """A run whose answer was lost is found and adopted, and no second run is started."""
    world = World()
    fault = {**POST, "drop": True, **({"lateSeconds": late} if late else {"work": True})}
    control.add_faults(world.arena, fault)
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert len(list(world.arena.exports.runs)) == 1
    assert world.telemetry.metrics["RunsAdopted"] == 1


def test_fault_15__post_without_a_run_is_sent_again_after_two_empty_searches() -> None:
    """If no run appears, exactly one new POST follows after two empty searches."""
    world = World()
    control.add_faults(world.arena, {**POST, "drop": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 2
    searches = [r for r in world.arena.request_log.records if r.purpose == "list"]
    assert len(searches) == 6
    assert world.answers(3144) == 0


def test_fault_16__crash_between_the_answer_and_the_ledger() -> None:
    """A run that was not recorded is found after the lease expires, without a second POST."""
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttemptStore, "started", dies)
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
def test_fault_20__garbled_answer_means_unknown(answer: dict[str, object]) -> None:
    """An indefinite answer to the POST leads to searches, not to a second POST at once."""
    world = World()
    control.add_faults(world.arena, {**POST, **answer, "work": True})
    world.send(*items(5))
    world.settle()
    assert_exported(world, items(5))
    assert world.posts() == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_fault_20__get_without_an_answer_is_retried(status: int) -> None:
    """A poll is an idempotent GET: it is retried a few times with jitter, then after a minute."""
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
