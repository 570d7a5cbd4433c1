"""What is known about an export definition."""

from __future__ import annotations

from dataclasses import replace

from arena_exports.domain.definitions import Definition, StackDurations, Trials, similar_durations
from tests.support.ledger_desk import EXPORT, NOW


def test_definition__limit_grows_by_a_quarter() -> None:
    """The limit grows by at least one, and is half the size that was too large."""
    definition = Definition(EXPORT)
    assert definition.succeeded(NOW, 5, None).limit == 0
    assert definition.too_large(9).limit == 4
    assert definition.too_large(1).limit == 1
    assert [
        Definition(EXPORT, limit=limit).succeeded(NOW, 5, None).limit for limit in (1, 2, 4, 9, 100)
    ] == [2, 3, 5, 11, 125]


def test_similar_durations__are_those_of_the_nearest_size() -> None:
    """Sizes are compared by their number of digits; without any, there is nothing similar."""
    durations = {"1": [10], "4": [4000]}
    assert similar_durations(durations, 5) == similar_durations(durations, 50) == [10]
    assert similar_durations(durations, 500) == similar_durations(durations, 50_000) == [4000]
    assert similar_durations({}, 5) == []


def test_stack_durations__keep_the_last_ones_by_size() -> None:
    """The last 50 durations of each size are kept, whatever definition they are of."""
    known = StackDurations()
    for seconds in range(60):
        known = known.following(7, seconds + 0.4)
    known = known.following(12, 99)
    assert known.durations == {"1": list(range(10, 60)), "2": [99]}


def test_definition__keeps_the_last_durations_by_size() -> None:
    """The last 50 durations of each size class are kept, separately for each class."""
    definition = Definition(EXPORT)
    assert definition.durations_for(7) == []
    for seconds in range(55):
        definition = definition.succeeded(NOW, 7, seconds + 0.4)
    assert definition.durations == {"1": list(range(5, 55))}
    more = definition.succeeded(NOW, 10, 600.6).succeeded(NOW, 99, None)
    assert more.durations == {"1": list(range(5, 55)), "2": [601]}
    assert more.durations_for(10) == more.durations_for(99) == [601]
    assert more.durations_for(100) == []


def test_definition__success_forgets_every_failure() -> None:
    """A success resets everything except the durations."""
    troubled = Definition(EXPORT, 5, 4, 3, NOW + 9, NOW + 9, 2)
    assert troubled.succeeded(NOW + 0.7, 5, None) == Definition(
        EXPORT, last_success_at=NOW, served_at=NOW
    )
    assert troubled.served(NOW + 0.7) == Definition(
        EXPORT, failures=5, last_success_at=3, suspects_not_before=NOW + 9, served_at=NOW
    )


def test_definition__refusals_double_the_wait() -> None:
    """The wait starts at a minute and doubles up to the longest."""
    definition, waits = Definition(EXPORT), []
    for _ in range(8):
        definition = definition.refused(NOW + 0.5, 3600)
        waits.append(definition.not_before - NOW)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert definition.refusals == 8


def test_definition__more_failures_than_one_bad_item_causes_lead_to_a_wait() -> None:
    """One item may cause three failures in a row; each further failure doubles the wait."""

    def waits(*, alone: bool) -> list[int]:
        definition, found = Definition(EXPORT), []
        for _ in range(11):
            definition = definition.failed(NOW + 0.5, alone=alone)
            found.append(definition.suspects_not_before - NOW)
        assert definition.failures == 11
        return found

    assert waits(alone=False) == [0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert waits(alone=True) == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_definition__suspects_are_delayed_and_never_brought_forward() -> None:
    """An aborted run delays suspect sets."""
    definition = Definition(EXPORT).delay_suspects(NOW, 60)
    assert (definition.suspects_not_before, definition.served_at) == (NOW + 60, NOW)
    assert definition.delay_suspects(NOW - 30, 60).suspects_not_before == NOW + 60
    assert definition.delay_suspects(NOW + 30, 60).suspects_not_before == NOW + 90


def test_definition__failures_without_a_run_delay_ordinary_requests_too() -> None:
    """FAULT 86: unless the suspect was a single item, the whole definition waits up to an hour."""
    definition, waits = Definition(EXPORT), []
    for _ in range(11):
        definition = definition.failed(NOW + 0.5, alone=False, without_run=True)
        waits.append(definition.not_before - NOW)
    assert waits == [0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert definition.suspects_not_before == definition.not_before
    assert definition.failed(NOW, alone=True, without_run=True).not_before == 0
    assert definition.failed(NOW, alone=False).not_before == 0


def test_definition__is_in_doubt_after_more_failures_than_one_item_causes() -> None:
    """FAULT 86: the doubt lasts from the third failure in a row until a run succeeds."""
    definition = Definition(EXPORT, failures=2)
    assert not definition.in_doubt
    definition = definition.failed(NOW, alone=True, without_run=True)
    assert definition.in_doubt
    assert not definition.succeeded(NOW, 5, None).in_doubt


def test_fault_19__definition_is_unknown_after_the_second_refusal() -> None:
    """The second refusal counts a minute or more after the first, if no run has succeeded."""
    unknown = Definition(EXPORT).unknown(NOW + 0.5)
    assert (unknown.unknown_at, unknown.not_before) == (NOW, NOW + 60)
    assert not unknown.is_unknown(NOW + 59)
    assert unknown.is_unknown(NOW + 60)
    assert unknown.unknown(NOW + 90).unknown_at == NOW
    assert not unknown.served(NOW).is_unknown(NOW + 60)
    assert not replace(unknown, last_success_at=1).is_unknown(NOW + 60)


def test_fault_83__trials_are_one_a_minute_and_200_a_day() -> None:
    """The limit applies to any 24 hours, and older POSTs are forgotten."""
    trials = Trials()
    assert trials.allow(NOW)
    trials = trials.following(NOW)
    assert not trials.allow(NOW + 59)
    assert trials.allow(NOW + 60)
    for n in range(1, 200):
        assert not trials.spent(NOW + 60 * n)
        trials = trials.following(NOW + 60 * n)
    assert trials.spent(NOW + 60 * 200)
    assert not trials.allow(NOW + 86_399)
    assert trials.allow(NOW + 86_400)
    assert len(trials.following(NOW + 86_400).posts) == 200
