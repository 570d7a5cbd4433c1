"""Schedules of functions that run at once: the short form of `make proofs`."""

from __future__ import annotations

import pytest

from arena_exports.ports import Check, Condition, Put
from tests.simulation.schedules.operations import (
    NOTHING,
    AnnouncedBucket,
    AnnouncedTable,
    Operation,
    changing,
    reading,
)
from tests.simulation.schedules.pairs import PAIRS, Pair
from tests.simulation.schedules.pct import Mix, Sample, all_mixes, steps_of
from tests.support.fake_bucket import InMemoryBucket
from tests.support.fakes import InMemoryTable

RUNS = 4
DEPTHS = (2, 3)
ITEM, OTHER = ("SLOT", "-"), ("BUDGET", "-")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_pair__keeps_the_rules_wherever_it_is_preempted_once(pair: Pair) -> None:
    """Every schedule of a pair with one preemption keeps the rules."""
    trials = list(pair.explore(preemptions=1))
    assert [(trial.schedule, trial.violations) for trial in trials if trial.violations] == []
    assert len(trials) > 2  # some calls of the two conflict


@pytest.mark.parametrize("mix", all_mixes(), ids=lambda mix: " | ".join(mix.names))
def test_mix__keeps_the_rules_in_random_schedules(mix: Mix) -> None:
    """A few random schedules of two or three functions keep the rules."""
    trials = [(seed, depth) for seed in range(RUNS) for depth in DEPTHS]
    broken = {trial: mix.run(*trial, steps_of(mix))[1] for trial in trials}
    assert {trial: found for trial, found in broken.items() if found} == {}


def test_schedule__is_the_same_each_time() -> None:
    """A schedule leads to the same choices each time, so a violation can be repeated."""
    first, second = (list(PAIRS[0].explore(preemptions=0)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (reading(ITEM), reading(ITEM), False),
        (reading(ITEM), changing(ITEM), True),
        (changing(ITEM), changing(ITEM), True),
        (changing(ITEM), changing(OTHER), False),
        (Operation(span=("SLOT", "!", "~")), changing(ITEM), True),
        (Operation(span=("SLOT", "a", "~")), changing(ITEM), False),
        (NOTHING, changing(ITEM), False),
    ],
)
def test_conflict__needs_one_thing_and_a_change(
    one: Operation, other: Operation, *, conflict: bool
) -> None:
    """Two calls conflict if they touch the same thing and one of them changes it."""
    assert one.conflicts_with(other) is conflict
    assert other.conflicts_with(one) is conflict


def test_table__announces_what_a_transaction_checks_and_changes() -> None:
    """A transaction changes the items that it writes, and reads those that it checks."""
    announced: list[Operation] = []
    table = AnnouncedTable(InMemoryTable(), announced.append)
    absent = Condition(absent=("PK",))
    table.write(Put({"PK": "BUDGET", "SK": "-"}), Check(ITEM, absent))
    assert announced == [Operation(reads=frozenset({ITEM}), changes=frozenset({OTHER}))]


def test_bucket__announces_what_a_list_and_the_end_of_uploads_conflict_with() -> None:
    """An object conflicts with the list of its folder, and an upload with the end of all others."""
    announced: list[Operation] = []
    bucket = AnnouncedBucket(InMemoryBucket(), announced.append)
    upload = bucket.begin("arena/v1/a/file", "text/csv")
    bucket.keys("arena/v1/a/")
    bucket.keys("arena/v1/b/")
    bucket.put("arena/v1/a/file", b"", "text/csv")
    bucket.abort(upload)
    bucket.abort_all("arena/v1/a/")
    begun, own_list, other_list, put, aborted, all_aborted = announced
    assert put.conflicts_with(own_list)
    assert not put.conflicts_with(other_list)
    assert all_aborted.conflicts_with(begun)
    assert all_aborted.conflicts_with(aborted)
    assert not begun.conflicts_with(aborted)


def test_bound__is_that_of_the_paper() -> None:
    """Three threads, forty steps, depth two: one run in 120 finds a bug, at least."""
    sample = Sample(Mix(("submit", "poll", "publish")), 2, 40, runs=359)
    assert sample.bound == pytest.approx(1 / 120)
    assert sample.miss == pytest.approx(0.05, abs=0.001)
