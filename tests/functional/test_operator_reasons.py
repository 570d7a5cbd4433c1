"""`why`: every state in which a request can wait has one sentence and the time of the next try."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.attempts import AttemptOutcome, RunResult
from arena_exports.domain.deliveries import DeliveryLane
from arena_exports.domain.lease import Lease
from arena_exports.domain.model import ExportGuid
from arena_exports.domain.pause import Pause
from arena_exports.domain.times import format_utc
from arena_exports.ledger import keys
from arena_exports.ledger.codec import to_item
from arena_exports.ports import Put
from arena_exports_operator.answers.reasons import Cause
from arena_exports_operator.answers.why import Why, why_not_exported, why_nothing_moves
from infra.simulator import control, names
from tests.support.operator import stack_state
from tests.support.world import EXPORT, World, attempt_with_lease, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Callable

POST = {"method": "POST", "path": "*/runs"}
BROKEN = "BROKENDEFINITION0001"
UNKNOWN = "NOSUCHDEFINITION0001"
NOBODY = "arn:aws:sts::123456789012:assumed-role/Operators/jane@example.com"


def in_progress(world: World) -> str:
    """A request that is part of the run in progress."""
    return world.send({"itemGuids": items(3)})[0]


def behind_a_run(world: World) -> str:
    """A request that arrived while a run is in progress."""
    in_progress(world)
    return world.send(item_guid(50))[0]


def overdue(world: World) -> str:
    """A request whose run takes longer than its timeout."""
    request_id = in_progress(world)
    world.clock.sleep(3700)
    return request_id


def published(world: World) -> str:
    """A request whose run has ended, and is not published yet."""
    request_id = in_progress(world)
    attempt = attempt_with_lease(world)
    world.ledger.attempts.ended(attempt, RunResult(AttemptOutcome.COMPLETE, "COMPLETE"))
    return request_id


def prepared(world: World) -> str:
    """A request while somebody holds the lease without an attempt."""
    world.ledger.lease.take(Lease())
    return in_progress(world)


def unresolved(world: World) -> str:
    """A request whose POST was answered without a run and without a definite code."""
    control.add_faults(world.arena, {**POST, "code": 3000})
    return in_progress(world)


def arena_busy(world: World) -> str:
    """A request while somebody else's export runs."""
    control.add_faults(world.arena, {**POST, "code": 3144})
    return in_progress(world)


def backing_off(world: World) -> str:
    """A request while AWS does not permit to read the session secret."""
    world.session_secret.refusal = "AccessDeniedException"
    return in_progress(world)


def rate_limited(world: World) -> str:
    """A request whose POST exceeded Arena's limit of requests in a short time."""
    control.add_faults(
        world.arena, {**POST, "status": 429, "body": "slow down", "arenaHeaders": True}
    )
    return in_progress(world)


def paused(world: World) -> str:
    """A request while an operator pauses exports for an hour."""
    until = int(world.clock.now()) + 3600
    world.ledger.pause.write(Pause("maintenance", NOBODY, until))
    return in_progress(world)


def paused_for_good(world: World) -> str:
    """A request while an operator pauses exports until somebody resumes."""
    world.ledger.pause.write(Pause("maintenance", NOBODY))
    return in_progress(world)


def paused_by_parameter(world: World) -> str:
    """A request while the stack's parameter pauses exports."""
    world.redeploy(exports_paused=True)
    return in_progress(world)


def refused_definition(world: World) -> str:
    """A request whose export definition Arena refuses."""
    control.put_definition(world.arena, BROKEN, {"views": ["SPECS"], "refusal": 3145})
    return world.send({"exportGuid": BROKEN, "itemGuids": items(3)})[0]


def unknown_definition(world: World) -> str:
    """A request whose export definition Arena does not know."""
    return world.send({"exportGuid": UNKNOWN, "itemGuids": items(3)})[0]


def failing_definition(world: World) -> str:
    """A request whose export definition never gets an answer with a run."""
    world.prove()
    control.add_faults(world.arena, {**POST, "code": 3000, "times": 100})
    world.send({"itemGuids": items(16)})
    while world.ledger.definitions.read(ExportGuid(EXPORT)).not_before <= world.clock.now():
        world.run_for(1)
    return world.send(item_guid(90))[0]


def unproven_definition(world: World) -> str:
    """A request for a definition without a successful run, right after a trial of another."""
    in_progress(world)
    while not world.events("completed"):
        world.run_for(1)
    other = {"exportGuid": names.DEFINITION_EXPORT_GUID, "itemGuids": items(2)}
    return world.send(other)[0]


def suspect_set(world: World) -> str:
    """A request whose runs failed again and again."""
    world.prove()
    for _ in range(6):
        control.plan_runs(world.arena, {"status": "FAILED"})
    request_id = in_progress(world)
    world.run_for(200)
    return request_id


def budget_spent(world: World) -> str:
    """A request on a day whose Arena requests are used up."""
    control.set_budget(world.arena, {"remaining": 0})
    return in_progress(world)


def budget_reserved(world: World) -> str:
    """A request on a day on which only the reserve is left."""
    control.set_budget(world.arena, {"remaining": 50})
    in_progress(world)
    world.settle()
    return world.send(item_guid(90))[0]


def login_refused(world: World) -> str:
    """A request while the password is wrong."""
    world.set_password("wrong")
    return in_progress(world)


def credentials_unreadable(world: World) -> str:
    """A request while AWS does not permit to read the credentials."""
    world.credentials.refusal = "AccessDeniedException"
    return in_progress(world)


def account_locked(world: World) -> str:
    """A request while Arena has locked the machine user's account."""
    control.add_faults(world.arena, {"method": "POST", "path": "*/login", "code": 4083})
    return in_progress(world)


def logins_cooling_down(world: World) -> str:
    """A request after somebody else ended three sessions within an hour."""
    for number in range(3):
        world.send(item_guid(number))
        world.settle()
        control.kill_sessions(world.arena)
    return world.send(item_guid(90))[0]


def next_reconcile(world: World) -> str:
    """A request that the next reconcile takes: it was recorded when submit had no time left."""
    world.prove()
    world.ledger.pause.write(Pause("so that it is only recorded", NOBODY))
    request_id = in_progress(world)
    world.ledger.pause.clear()
    return request_id


def reconcile_missing(world: World) -> str:
    """A request that no reconcile has taken for ten minutes."""
    request_id = next_reconcile(world)
    world.clock.sleep(600)
    return request_id


def reconcile_missing_after_a_post(world: World) -> str:
    """A request whose unknown POST nobody has searched for since."""
    request_id = unresolved(world)
    world.clock.sleep(1200)
    return request_id


def delivering(world: World) -> str:
    """A request whose run succeeded, and whose files are not in the bucket yet."""
    request_id = exported(world)
    (attempt_id,) = {sk for sk in _runs(world) if "#" not in sk}
    at = int(world.clock.now()) + 90
    pointer = {"PK": "DELIVER", "SK": f"20231114221500#{attempt_id}", "v": 1, "notBefore": at}
    world.table.write(Put(pointer))
    return request_id


def deliveries_backing_off(world: World) -> str:
    """A delivery that is due, while all deliveries back off."""
    request_id = delivering(world)
    lane = DeliveryLane(token="-", not_before=int(world.clock.now()) + 600)
    world.table.write(Put(to_item(keys.DELIVERY_LANE, lane)))
    return request_id


def _runs(world: World) -> set[str]:
    return {sk for pk, rows in world.table.items.items() if pk.startswith("RUN#") for sk in rows}


def exported(world: World) -> str:
    """A request whose run succeeded."""
    request_id = in_progress(world)
    world.settle()
    return request_id


def rejected(world: World) -> str:
    """A request that Arena refused for good."""
    control.add_faults(world.arena, {**POST, "code": 3140, "message": "no such view"})
    return exported(world)


def partly_rejected(world: World) -> str:
    """A request of which Arena refused all items by name."""
    control.set_guids(world.arena, {"bad": items(3)})
    return exported(world)


STATES: dict[Callable[[World], str], tuple[Cause, str, float | None]] = {
    in_progress: (Cause.RUN_IN_PROGRESS, f"of export definition {EXPORT} (3 items), which has", 5),
    behind_a_run: (Cause.RUN_IN_PROGRESS, "Run ", 5),
    overdue: (Cause.RUN_OVERDUE, "It is overdue: check it in Arena.", None),
    published: (Cause.PUBLISHING, "has ended and is being published", 60),
    prepared: (Cause.PREPARING, "The next run is being prepared, which ends by", 180),
    unresolved: (Cause.POST_UNRESOLVED, "it is not known whether it started a run", 90),
    arena_busy: (Cause.ARENA_BUSY, "another one is in progress (3144 answers: 1)", None),
    rate_limited: (Cause.RATE_LIMITED, "Too many requests were sent to Arena at once (429)", None),
    backing_off: (Cause.BACKING_OFF, "The last attempt did not succeed", None),
    paused: (Cause.PAUSED, "paused until 2023-11-14T23:13:20Z by arn:aws:sts::123456789012:", 3600),
    paused_for_good: (Cause.PAUSED, "paused until somebody resumes", None),
    paused_by_parameter: (Cause.PAUSED_BY_PARAMETER, "parameter ExportsPaused", None),
    refused_definition: (Cause.DEFINITION_REFUSED, f"Arena refuses export definition {BROKEN}", 60),
    unknown_definition: (
        Cause.DEFINITION_UNKNOWN,
        f"does not know export definition {UNKNOWN}",
        60,
    ),
    failing_definition: (Cause.DEFINITION_FAILING, "attempts for export definition", None),
    unproven_definition: (Cause.DEFINITION_UNPROVEN, "share one POST a minute and 200 a day", None),
    suspect_set: (Cause.SUSPECT_SET, "they are retried separately, then in halves, at", None),
    budget_spent: (Cause.BUDGET_SPENT, "used up until 2023-11-15T08:00:", None),
    budget_reserved: (Cause.BUDGET_RESERVED, "new runs stop at 100 (RequestBudgetReserve)", None),
    login_refused: (Cause.LOGIN_REFUSED, "The login was refused (4001)", None),
    credentials_unreadable: (
        Cause.CREDENTIALS_UNREADABLE,
        "The credentials secret cannot be read",
        60,
    ),
    account_locked: (Cause.LOGIN_FAILED, "or locked the account for five minutes", 330),
    logins_cooling_down: (Cause.LOGINS_COOLING_DOWN, "Somebody else logs in", None),
    next_reconcile: (Cause.NEXT_RECONCILE, "The next reconcile, within a minute", 60),
    reconcile_missing: (Cause.RECONCILE_MISSING, "reconcile is not running, or fails", None),
    reconcile_missing_after_a_post: (Cause.RECONCILE_MISSING, "reconcile is not running", None),
    delivering: (Cause.DELIVERING, "its files are being delivered to the bucket", 90),
    deliveries_backing_off: (Cause.DELIVERING, "the next try is at 2023-11-14T22:2", 600),
    exported: (Cause.EXPORTED, "It was exported by run ", None),
    rejected: (Cause.DEAD_LETTER, "3 of 3 items were rejected (3140: no such view)", None),
    partly_rejected: (Cause.DEAD_LETTER, "3 of 3 items were rejected", None),
}
ENDED = {Cause.DELIVERING, Cause.EXPORTED, Cause.DEAD_LETTER}
WITHOUT_A_TIME = {
    Cause.PAUSED_BY_PARAMETER,
    Cause.LOGIN_REFUSED,
    Cause.RECONCILE_MISSING,
    Cause.EXPORTED,
    Cause.DEAD_LETTER,
}


def asked(world: World, name: str) -> Why:
    """Return why a request or an item is not exported yet."""
    now = world.clock.now()
    found = why_not_exported(world.ledger, world.table, stack_state(world), name, now)
    assert found
    return found


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_why__names_the_cause_of_each_state(state: Callable[[World], str]) -> None:
    """The sentence is one, and names the time of the next attempt where there is one."""
    world = World()
    request_id = state(world)
    cause, text, seconds = STATES[state]
    why = asked(world, request_id)
    sentence, next_at = why.reason.sentence, why.reason.next_at
    assert (why.reason.cause, why.request_id) == (cause, request_id), sentence
    assert text in sentence
    assert "\n" not in sentence
    assert "@" not in sentence
    if cause not in WITHOUT_A_TIME and state is not paused_for_good:
        assert next_at
        assert next_at > world.clock.now()
    if seconds is not None:
        assert next_at == pytest.approx(world.clock.now() + seconds, abs=10)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_why__of_the_stack_agrees_with_its_only_request(state: Callable[[World], str]) -> None:
    """Without an ID the answer is that of what may go first; of what has ended, nothing is said."""
    world = World()
    state(world)
    cause, _, _ = STATES[state]
    found = why_nothing_moves(world.ledger, stack_state(world), world.clock.now()).reason.cause
    assert found == (Cause.NOTHING_PENDING if cause in ENDED else cause)


def test_why__covers_every_cause() -> None:
    """Each cause is the decisive one of a state above, or is tested below; one is of `status`."""
    covered = {cause for cause, _, _ in STATES.values()}
    elsewhere = {Cause.NOTHING_PENDING, Cause.ON_QUEUE, Cause.DEAD_LETTERS}
    assert covered | elsewhere == set(Cause)


def test_why__of_an_item_or_a_correlation_id_is_that_of_its_request() -> None:
    """Of two requests with the item, the one that is pending counts."""
    world = World()
    exported(world)
    world.ledger.pause.write(Pause("maintenance", NOBODY))
    (request_id,) = world.send({"itemGuids": items(1), "correlationId": "ECO-000023"})
    for name in (items(1)[0], items(1)[0].lower(), "ECO-000023"):
        assert asked(world, name).request_id == request_id
    assert asked(world, items(3)[2]).reason.cause is Cause.EXPORTED


def test_why__of_messages_that_are_not_recorded_yet() -> None:
    """An ID that the ledger does not know may be on the queue; else it is unknown."""
    world = World()
    now = world.clock.now()
    on_queue = replace(stack_state(world), intake_messages=3)
    why = why_not_exported(world.ledger, world.table, on_queue, "message-1", now)
    assert why
    assert why.reason.cause is Cause.ON_QUEUE
    assert why.reason.sentence.startswith("Not recorded yet: 3 messages on the intake queue")
    assert why.reason.next_at == now + 20
    assert why_nothing_moves(world.ledger, on_queue, now).reason == why.reason
    empty = stack_state(world)
    assert why_not_exported(world.ledger, world.table, empty, "message-1", now) is None
    nothing = why_nothing_moves(world.ledger, empty, now).reason
    assert (nothing.cause, nothing.next_at) == (Cause.NOTHING_PENDING, None)


def test_why__of_a_stack_whose_login_is_refused_during_a_run() -> None:
    """The run in progress cannot be polled either, so the login comes first."""
    world = World()
    in_progress(world)
    state = world.ledger.session.read()
    world.ledger.session.write(replace(state, refused_version="2", refused_code="4001"))
    why = why_nothing_moves(world.ledger, stack_state(world), world.clock.now())
    assert why.reason.cause is Cause.LOGIN_REFUSED
    assert Cause.RUN_IN_PROGRESS in {reason.cause for reason in why.also}


def test_why__expects_the_end_by_the_durations_of_past_runs() -> None:
    """The median of the runs of about this size; nothing is made up before the first."""
    world = World()
    first = in_progress(world)
    assert "has no estimated end yet" in asked(world, first).reason.sentence
    world.settle()
    (duration,) = world.ledger.definitions.read(ExportGuid(EXPORT)).durations_for(3)
    second = in_progress(world)
    started = attempt_with_lease(world).started_at
    expected = f"is expected to end at about {format_utc(started + duration)}"
    assert expected in asked(world, second).reason.sentence
