"""Days with requests to spare, and days without."""

from __future__ import annotations

from functools import partial
from math import log
from random import Random

import pytest

from infra.simulator import control
from infra.simulator.runs import ENDED, Run
from tests.support.world import World, item_guid

HOURS = 9  # less than until the reset
MEDIAN_SECONDS = 480


def lived(requests_of_others: int, share: int = 50) -> World:
    """Return a world after nine hours of constant runs, beside others who spend each minute."""
    world = World(settings={"request_budget_poll_share": share})
    live(world, requests_of_others)
    return world


def live(world: World, requests_of_others: int, **run: object) -> None:
    """Let nine hours of constant runs pass, beside others who spend each minute."""
    random = Random(5)
    for _ in range(200):
        seconds = random.lognormvariate(log(MEDIAN_SECONDS), 0.5)
        control.plan_runs(world.arena, {"runningSeconds": seconds, "count": 1, **run})
    for minute in range(HOURS * 60):
        world.at(60 * minute, partial(world.send, item_guid(minute)))
        world.at(60 * minute, partial(spend, world, requests_of_others))
    world.run_for(HOURS * 3600)


def spend(world: World, count: int) -> None:
    """Let others use the workspace's budget."""
    budget = world.arena.budget
    budget.refresh(world.clock.now())
    budget.used = min(budget.used + count, budget.limit)


def polls_a_run(world: World) -> float:
    """Return the mean of the polls of the later half of the runs."""
    later = {run.guid for run in seen_runs(world)}
    polls = [r for r in world.arena.request_log.records if r.path.rsplit("/", 1)[1] in later]
    return len(polls) / len(later)


def seen_runs(world: World) -> list[Run]:
    """Return the later half of the runs that were seen to have ended."""
    runs = list(world.arena.exports.runs)
    return runs[len(runs) // 2 : -1]


def mean_delay(world: World) -> float:
    """Return how much later than their ends the runs were seen to have ended, as a share."""
    seen = {r.path.rsplit("/", 1)[1]: r.at for r in world.arena.request_log.records}
    delays = list[float]()
    for run in seen_runs(world):
        ended = min(at for at, status in run.timeline if status in ENDED)
        delays.append((seen[run.guid] - ended) / (ended - run.created_at))
    return sum(delays) / len(delays)


def test_plentiful_day__runs_are_seen_to_end_within_three_percent() -> None:
    """Requests that would expire unused buy speed."""
    world = lived(requests_of_others=0)
    assert mean_delay(world) <= 0.03
    assert 20 < polls_a_run(world) < 35


def test_scarce_day__costs_no_more_polls_than_one_price_did() -> None:
    """Others who spend the budget leave a run some seven polls, and the delay is worth them."""
    world = lived(requests_of_others=17)
    assert polls_a_run(world) < 8
    assert 0.05 < mean_delay(world) < 0.1


@pytest.mark.parametrize("share", [1, 5])
def test_share__bounds_the_polls_of_a_day(share: int) -> None:
    """On a plentiful day polls take no more than their share, and every run is seen to end."""
    world = lived(requests_of_others=0, share=share)
    polls = sum(record.purpose == "poll" for record in world.arena.request_log.records)
    assert polls <= world.arena.budget.limit * share / 100
    assert len(world.events("run.completed")) > 10


def test_share__that_is_lowered_stops_no_run() -> None:
    """Polls that have taken more than the new share continue, one an hour, until the reset."""
    world = World()
    world.arena.budget.resets_at += 6 * 3600
    live(world, requests_of_others=0)
    world.settle()
    world.redeploy(request_budget_poll_share=1)
    late = item_guid(10_000)
    world.send(late)
    world.run_for(2 * 3600)
    assert world.exported()[late] == 1


def polls_with_files(files: int) -> float:
    """Return the polls of a run on a day on which deliver does not work, by the files of a run."""
    world = World(settings={"delivers_files": True})
    world.deliver_function.intercept("start", lambda *_: None)
    live(world, requests_of_others=12, files=files)
    return polls_a_run(world)


def test_pending_files__make_polls_rarer_where_requests_are_scarce() -> None:
    """Each file that is not in the bucket yet needs a request, which no poll may take."""
    assert polls_with_files(50) < polls_with_files(1) / 2
