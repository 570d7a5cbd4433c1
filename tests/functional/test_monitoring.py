"""One poll of a run, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from arena_exports.domain.attempts import AttemptOutcome, AttemptState
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.poll_state import PollState
from arena_exports.domain.polling import MAX_DENSITY, MAX_SHARE, PastRuns, first_wait_seconds
from arena_exports.ledger.definitions import definition_put
from infra.simulator import control, names
from poll.handler import poll
from tests.events import event
from tests.support.world import EXPORT, World, item_guid

if TYPE_CHECKING:
    from arena_exports.domain.attempts import Attempt

GET = {"method": "GET", "path": "*/runs/*"}


def started(**plan: object) -> tuple[World, PollState]:
    """Return a world with a run in progress, and the first state of its execution."""
    world = World()
    if plan:
        control.plan_runs(world.arena, plan)
    world.send(*[item_guid(n) for n in range(3)])
    (state,) = world.executions.started.values()
    return world, PollState.from_json(state)


def poll_once(world: World, state: PollState) -> PollState:
    """Poll once."""
    return PollState.from_json(poll(state.to_json(), world.functions.poll))


def attempt_of(world: World, state: PollState) -> Attempt:
    """Return the attempt of a state."""
    return world.ledger.attempts.get(state.attempt_id)


def test_first_state__waits_as_the_history_suggests() -> None:
    """The first state holds names and numbers, and a wait from the definition's history."""
    world, state = started(runningSeconds=300)
    assert list(world.executions.started) == [f"{state.run_guid}-1"]
    attempt_id = world.ledger.lease.read().attempt_id
    assert attempt_id
    expected = PollState(attempt_id, state.export_guid, state.run_guid, 5, own_requests=10)
    assert (state, state.export_guid) == (expected, EXPORT)
    assert world.telemetry.metrics["RunsSubmitted"] == 1
    assert world.telemetry.metrics["ItemsPerRun"] == 3
    world.settle()
    assert world.ledger.definitions.read(state.export_guid).durations == {"1": [300]}
    world.send(item_guid(9))
    second = PollState.from_json(list(world.executions.started.values())[1])
    assert second.wait_seconds == first_wait_seconds(PastRuns([300]))


def test_state__is_the_documented_event() -> None:
    """The state machine passes these keys to poll and publish, and no others."""
    documented = event("step_functions")
    assert PollState.from_json(documented).to_json() == documented
    _, state = started()
    assert state.to_json().keys() == documented.keys()


def test_first_state__learns_each_size_separately() -> None:
    """The history of small runs says little about large ones: the nearest size is a hint."""
    world, state = started()
    world.settle()
    known = world.ledger.definitions.read(state.export_guid)
    world.table.write(definition_put(replace(known, durations={"1": [300] * 9, "2": [900] * 9})))
    waits = []
    for count in (5, 50, 500):
        world.send(*[item_guid(n) for n in range(count)])
        waits.append(list(world.executions.started.values())[-1]["waitSeconds"])
        world.settle()
    hint = first_wait_seconds(PastRuns(similar=[*[900] * 9, 3]))
    assert waits == [302, 907, hint]


def test_first_state__of_a_new_definition_learns_from_the_stack_s_others() -> None:
    """The first poll follows from what runs of other definitions took."""
    world, state = started(runningSeconds=300)
    world.settle()
    world.prove(names.DEFINITION_EXPORT_GUID)
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    second = PollState.from_json(list(world.executions.started.values())[1])
    assert second.export_guid != state.export_guid
    assert second.wait_seconds == first_wait_seconds(PastRuns(similar=[300]))


def known_runs(world: World, state: PollState, *durations: int) -> None:
    """Have the definition know nine runs of each duration."""
    known = world.ledger.definitions.read(state.export_guid)
    world.table.write(definition_put(replace(known, durations={"1": list(durations) * 9})))


def test_poll__spare_requests_bring_polls_closer() -> None:
    """If nobody else spends requests, a third of the usual wait is affordable."""
    world, state = started(runningSeconds=10_000)
    known_runs(world, state, 1000)
    world.clock.sleep(2000)
    assert poll_once(world, state).wait_seconds == round(2000 * MAX_SHARE / MAX_DENSITY)
    assert poll_once(world, replace(state, own_requests=10_000)).wait_seconds == round(
        2000 * MAX_SHARE
    )


def test_poll__others_who_spend_keep_polls_at_the_standard_price() -> None:
    """If others spend the budget before the reset at their rate so far, nothing is spare."""
    world, state = started(runningSeconds=10_000)
    known_runs(world, state, 1000)
    control.set_budget(world.arena, {"remaining": 6000})
    world.clock.sleep(2000)
    assert poll_once(world, state).wait_seconds == round(2000 * MAX_SHARE)


def test_poll__never_takes_more_than_the_share() -> None:
    """Once polls have used half of their share, the rest is spread until the reset."""
    world, state = started(runningSeconds=10_000)
    known_runs(world, state, 1000)
    world.clock.sleep(2000)
    budget = world.ledger.budget.read()
    polled = replace(budget, polls=4950, polls_since=budget.first_seen_at)
    world.ledger.budget.write(polled, polled=True)
    after = poll_once(world, state)
    assert world.ledger.budget.read().polls_of_the_day == 4951
    until_reset = (budget.resets_at or 0) - world.clock.now()
    left = int((budget.first_remaining or 0) * 0.5) - 4951
    assert after.wait_seconds == ceil(until_reset / left)


def test_poll__and_no_other_request_is_counted_as_a_poll() -> None:
    """The POST of the run is a request of the day, but not a poll."""
    world, state = started(runningSeconds=1000)
    assert world.ledger.budget.read().polls_of_the_day == 0
    poll_once(world, state)
    assert world.ledger.budget.read().polls_of_the_day == 1
    world.send(item_guid(77))
    world.settle()
    polls = sum(record.purpose == "poll" for record in world.arena.request_log.records)
    assert world.ledger.budget.read().polls_of_the_day == polls


def test_poll__waits_for_a_pending_run_as_the_policy_says() -> None:
    """Each poll is counted, and the wait follows from the time since the start."""
    world, state = started(runningSeconds=1000)
    world.clock.sleep(100)
    polled = poll_once(world, state)
    assert polled == replace(state, wait_seconds=35, polls=1)
    world.clock.sleep(100)
    assert poll_once(world, polled) == replace(state, wait_seconds=70, polls=2)


def test_poll__waits_follow_the_history_of_the_definition_and_size() -> None:
    """A known definition is polled according to its history."""
    world, state = started(runningSeconds=10_000)
    known = world.ledger.definitions.read(state.export_guid)
    world.table.write(definition_put(replace(known, durations={"1": [300] * 9, "2": [5000] * 9})))
    world.clock.sleep(200)
    assert poll_once(world, state).wait_seconds == 33
    world.clock.sleep(90)
    assert poll_once(world, state).wait_seconds == 13


def test_fault_31__scarce_budget_stretches_the_waits() -> None:
    """When only the reserve is left, polls are a quarter as frequent."""
    world, state = started(runningSeconds=1000)
    control.set_budget(world.arena, {"remaining": 101})
    world.clock.sleep(100)
    assert poll_once(world, state).wait_seconds == 140


def test_poll__without_an_answer_is_repeated_after_a_minute_or_the_wait() -> None:
    """The longer of the two applies, and a poll that was sent is counted."""
    world, state = started(runningSeconds=10_000)
    for waited, expected in ((10, 60), (1000, 355)):
        control.add_faults(world.arena, {**GET, "drop": True, "times": 3})
        world.clock.sleep(waited)
        polled = poll_once(world, state)
        assert polled == replace(
            state, polls=1, unanswered_polls=1, wait_seconds=polled.wait_seconds
        )
        assert polled.wait_seconds == pytest.approx(expected, abs=4)


def test_poll__that_is_not_allowed_is_not_counted() -> None:
    """If the budget forbids a poll, nothing is sent and nothing is counted."""
    world, state = started(runningSeconds=1000)
    control.set_budget(world.arena, {"remaining": 0})
    before = len(world.arena.request_log.records)
    poll_once(world, state)
    waiting = poll_once(world, state)
    assert waiting.polls == 0
    assert waiting.wait_seconds > 60
    assert len(world.arena.request_log.records) == before + 1


def test_poll__that_is_not_allowed_waits_a_hundredth_of_the_time_waited() -> None:
    """A day without a request takes the execution only some hundred steps."""
    world, state = started(runningSeconds=100_000)
    control.set_budget(world.arena, {"remaining": 0, "resetSeconds": 20_050})
    poll_once(world, state)
    world.clock.sleep(20_000)
    assert poll_once(world, state).wait_seconds == 200


def test_poll__of_a_finished_attempt_ends_the_execution() -> None:
    """A late copy of poll does nothing."""
    world, state = started()
    world.settle()
    before = len(world.arena.request_log.records)
    assert poll_once(world, state) == replace(state, ended=True)
    assert len(world.arena.request_log.records) == before


def test_poll__stores_an_ended_run_for_publish() -> None:
    """The ledger holds outcome, times and files, and the polls are counted."""
    world, state = started(runningSeconds=50)
    world.clock.sleep(100)
    ended = poll_once(world, replace(state, polls=4))
    assert ended == replace(state, polls=5, ended=True)
    attempt = attempt_of(world, state)
    assert attempt.state is AttemptState.ENDED
    assert attempt.result
    assert attempt.result.outcome is AttemptOutcome.COMPLETE
    assert attempt.result.status == "COMPLETE"
    assert attempt.result.criteria_results_count == 3
    assert attempt.result.creation_date_time == "2023-11-14T22:13:22Z"
    assert attempt.result.completion_date_time
    assert attempt.result.completion_date_time > attempt.result.creation_date_time
    assert (attempt.result.error_code, attempt.result.error_message) == ("", "")
    assert world.ledger.attempts.files(state.attempt_id)
    assert world.telemetry.metrics["PollsPerRun"] == 5
    assert poll_once(world, state) == replace(state, ended=True)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ("FAILED", "RunFailed", "Arena ended the run as FAILED: it has no results"),
        ("ABORTED", "RunAborted", "Arena's support stopped the run (ABORTED), twice"),
    ],
)
def test_poll__of_a_failed_run_stores_the_reason(status: str, code: str, message: str) -> None:
    """The reason is in the words that subscribers read."""
    world, state = started(runningSeconds=10, status=status)
    world.clock.sleep(100)
    assert poll_once(world, state).ended
    result = attempt_of(world, state).result
    assert result
    assert (result.outcome, result.error_code, result.error_message) == (status, code, message)


def test_poll__of_a_complete_run_without_files_is_repeated_three_times() -> None:
    """The polls follow after 5, 10 and 15 seconds; then the run ends without files."""
    world, state = started(runningSeconds=10, files=0)
    waits = []
    world.clock.sleep(100)
    while not state.ended:
        state = poll_once(world, state)
        waits.append(state.wait_seconds)
        world.clock.sleep(state.wait_seconds)
    assert waits == [5, 10, 15, 15]
    assert (state.polls, state.polls_without_files) == (4, 3)
    result = attempt_of(world, state).result
    assert result
    assert (result.outcome, result.error_code) == (AttemptOutcome.NO_FILES, "NoFiles")
    assert result.error_message == "the run is complete and has results, but Arena shows no files"
    assert result.completion_date_time


def test_fault_36__overdue_run_is_reported_and_polled_on() -> None:
    """Each poll after more than an hour reports it; a poll at exactly an hour does not."""
    world, state = started(runningSeconds=100_000)
    for seconds, expected in ((3600, 0), (1, 1), (1000, 2)):
        world.clock.sleep(seconds)
        assert not poll_once(world, state).ended
        assert world.telemetry.metrics["RunOverdue"] == expected


def test_poll__counts_an_unknown_status_as_pending() -> None:
    """A status that Arena may add later is treated as pending."""
    world, state = started(runningSeconds=1000)
    control.add_faults(
        world.arena,
        {**GET, "status": 200, "body": json.dumps({"guid": state.run_guid, "status": "PAUSED"})},
    )
    assert not poll_once(world, state).ended
    assert world.telemetry.metrics["UnknownStatus"] == 1
    poll_once(world, state)
    assert world.telemetry.metrics["UnknownStatus"] == 1


def test_reconcile__ensures_that_one_execution_is_running() -> None:
    """A stopped execution is followed by the next number; a running one is left alone."""
    world, state = started(runningSeconds=1000)
    world.reconcile()
    assert len(world.executions.started) == 1
    world.stop_execution(f"{state.run_guid}-1")
    world.reconcile()
    world.reconcile()
    assert list(world.executions.started) == [f"{state.run_guid}-1", f"{state.run_guid}-2"]
    assert attempt_of(world, state).execution_number == 2
    world.settle()


def test_reconcile__does_not_restart_an_execution_that_succeeded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This holds even if the run was published between reading lease and execution."""
    world, state = started(runningSeconds=10)
    lease = world.ledger.lease.read()
    assert lease.state is LeaseState.RUNNING
    world.settle()
    monkeypatch.setattr(
        type(world.ledger.lease), "read", _once(lease, type(world.ledger.lease).read)
    )
    world.reconcile()
    assert list(world.executions.started) == [f"{state.run_guid}-1"]


def _once(first: object, real: Any) -> Any:
    """Return a method that first returns `first`, and then what the real one returns."""
    left = [first]

    def read(self: object) -> object:
        return left.pop() if left else real(self)

    return read


def test_poll__measures_the_detection_delay() -> None:
    """The delay is from the end of the run, by Arena's times, to the poll that saw it."""
    world, state = started(runningSeconds=100)
    world.clock.sleep(130)
    assert poll_once(world, state).ended
    assert world.telemetry.metrics["DetectionDelay"] == 30


def test_arena_requests__are_counted_by_purpose() -> None:
    """Each purpose has a metric of its own."""
    world, state = started(runningSeconds=1)
    world.clock.sleep(100)
    poll_once(world, state)
    counted = {n: v for n, v in world.telemetry.metrics.items() if n.startswith("ArenaRequests")}
    assert counted == {"ArenaRequestsToSubmit": 1, "ArenaRequestsToPoll": 1}


def test_log_lines__trace_a_request() -> None:
    """Each line has the keys by which the request can be traced."""
    world = World()
    guids = [item_guid(n) for n in range(2)]
    world.send({"exportGuid": EXPORT, "itemGuids": guids, "correlationId": "ECO-7"})
    world.settle()
    (run,) = {event["data"]["runGuid"] for event in world.events()}
    request = {"requestId": "message-000001", "correlationId": "ECO-7", "exportGuid": EXPORT}
    lines = [(message, fields) for message, fields in world.telemetry.lines]
    assert ("request recorded", {**request, "items": 2}) in lines
    assert ("request exported", {**request, "runGuid": run, "items": 2, "open": 0}) in lines
    about_run = [message for message, fields in lines if fields.get("runGuid") == run]
    assert about_run[0] == "run submitted"
    assert about_run[-2:] == ["run published", "request exported"]


def test_log_lines__trace_a_rejection() -> None:
    """A rejected message and an item that Arena refuses each have a line."""
    world = World()
    control.set_guids(world.arena, {"bad": [item_guid(1)]})
    world.send({"itemGuids": "broken", "correlationId": "ECO-8"}, item_guid(1))
    world.settle()
    rejected = [
        fields for message, fields in world.telemetry.lines if message == "request rejected"
    ]
    named = [(line["requestId"], line["exportGuid"], line["errorCode"]) for line in rejected]
    assert named[0] == ("message-000001", None, "InvalidMessage")
    assert named[1][:2] == ("message-000002", EXPORT)
    assert len(named) == 2
