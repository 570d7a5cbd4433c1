"""Which faults met which state of the protocol, on a number of simulated days.

A fault meets a state if it occurs in it; a problem from the field, if the ledger is written in that
state while the problem lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports.ledger import keys
from tests.simulation import delivery, disruptions
from tests.simulation.fault_rates import CHANCES
from tests.simulation.field import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena_exports.ports import Write
    from tests.simulation.simulation import Simulation

    Pair = tuple[str, str]

LEASE_STATES = (
    "nothing pending",
    "pending",
    "backing off",
    "lease taken",
    "POST",
    "after an empty search",
    "another POST",
    "running",
    "ended",
)
SESSION_STATES = ("session in force", "logging in", "cooling down", "login refused")
NOTHING, DELIVERY_OFF = "nothing to deliver", "files wait, delivery off"
TURNS, GIVEN_UP = "a download's turn or a run's", "a file given up"
NOT_AT_WORK = (
    NOTHING,
    DELIVERY_OFF,
    "files due",
    "files back off",
    "all downloads back off",
    TURNS,
)
NOT_DUE = (NOTHING, DELIVERY_OFF, "files back off", "all downloads back off")
AT_WORK = ("download lease taken", "some files noted", GIVEN_UP, "all files noted")
DELIVERY_STATES = (*NOT_AT_WORK, *AT_WORK)
STATES = (*LEASE_STATES, *SESSION_STATES, *DELIVERY_STATES)
FAULTS = (*CHANCES, *disruptions.KINDS, *delivery.KINDS, *TROUBLES)

BETWEEN_RUNS = ("nothing pending", "pending", "backing off", "lease taken")
NO_SESSION = ("logging in", "login refused")
NOT_AT_A_POST = tuple(state for state in LEASE_STATES if state not in ("POST", "another POST"))
RARE = "nothing forbids it, but both are rare: more days may reach it"
WITH_AN_UNKNOWN_POST = ("after an empty search", "another POST")
FAULTS_OF_TRANSFERS = ("download", "bucket_refused", "bucket_conflict", "bucket_lost")
EXPLAINED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "a request to Arena needs it, and none is sent in this state, except by a late copy": {
        "secrets_down": BETWEEN_RUNS,
        "arena_drop": (*BETWEEN_RUNS, "login refused"),
        "arena_garbage": (*BETWEEN_RUNS, "login refused"),
    },
    "a POST needs it, and none is sent in this state": {
        "arena_late": (*NOT_AT_A_POST, *NO_SESSION),
    },
    "an execution is started by a POST, a search, or for a run in progress": {
        "start_execution": (*BETWEEN_RUNS, *NO_SESSION),
    },
    "an execution lasts as long as its run or search, and one step longer": {
        "execution stopped": (*BETWEEN_RUNS, *NO_SESSION),
        "task_twice": (*BETWEEN_RUNS, *NO_SESSION),
    },
    RARE: {
        "lost_answer": ("nothing pending",),
        "delivery": NO_SESSION,
        "delivery_doubled": ("backing off", *NO_SESSION),
        "batch_twice": (*NO_SESSION, GIVEN_UP),
        "run broken": NO_SESSION,
        "secret overwritten": ("backing off", *NO_SESSION),
        "broken item": ("nothing pending",),
        "broken day": ("nothing pending",),
        "muddled files": ("nothing pending",),
        "unknown definitions": ("nothing pending",),
        "own events": ("nothing pending",),
        "refused filters": WITH_AN_UNKNOWN_POST,
        "lambda_throttle": ("login refused", GIVEN_UP),
        "redeliver": (GIVEN_UP,),
        "deliver_lost": ("another POST", *NO_SESSION, *AT_WORK),
        "deliver_twice": ("lease taken", *WITH_AN_UNKNOWN_POST, *NO_SESSION, *AT_WORK),
        **dict.fromkeys(FAULTS_OF_TRANSFERS, (*WITH_AN_UNKNOWN_POST, *NO_SESSION)),
    },
    "on such a day no POST leads to a run": {
        "broken day": ("running", *DELIVERY_STATES[1:]),
    },
    "deliver makes the call, and is at work in the other states, except a late copy": dict.fromkeys(
        FAULTS_OF_TRANSFERS, NOT_AT_WORK
    ),
    "deliver is started only where it is on, and files are due": {
        "deliver_lost": NOT_DUE,
        "deliver_twice": NOT_DUE,
        "second deliver": (DELIVERY_OFF,),
    },
    "it changes what is not so in this state": {
        "delivery turned on": tuple(s for s in DELIVERY_STATES[1:] if s != DELIVERY_OFF),
        "delivery turned off": (DELIVERY_OFF,),
    },
}
"""Why a fault may not have met some states: by reason, then by fault, the states."""


def explanation(fault: str, state: str) -> str:
    """Return why a fault may not have met a state, or ""."""
    reasons = (why for why, pairs in EXPLAINED.items() if state in pairs.get(fault, ()))
    return next(reasons, "")


def lease_state(simulation: Simulation) -> str:
    """Return the state of the lease, the attempt and what is pending, as the ledger has it."""
    items = simulation.memory.items
    slot = items.get("SLOT", {}).get("-", {})
    if slot.get("state", "idle") == "idle":
        if slot.get("notBefore", 0) > simulation.scheduler.now:
            return "backing off"
        return "pending" if items.get("PENDING") else "nothing pending"
    if slot.get("attemptId") is None:
        return "lease taken"
    return _attempt_state(_attempt(items, slot["attemptId"]))


def _attempt(items: Mapping[str, Mapping[str, Any]], attempt_id: str) -> Mapping[str, Any]:
    months = (month for pk, month in items.items() if pk.startswith("RUN#"))
    found: Mapping[str, Any] = next(month[attempt_id] for month in months if attempt_id in month)
    return found


def _attempt_state(attempt: Mapping[str, Any]) -> str:
    if attempt["state"] != "sending":
        return str(attempt["state"])
    if attempt["searches"]:
        return "after an empty search"
    return "another POST" if attempt["firstSentAt"] < attempt["sentAt"] else "POST"


def session_state(simulation: Simulation) -> str:
    """Return the state of the session, as the ledger has it."""
    session = simulation.memory.items.get("SESSION", {}).get("-", {})
    now = simulation.scheduler.now
    if session.get("login") != session.get("version") and session.get("loginExpiresAt", 0) > now:
        return "logging in"
    if session.get("refusedVersion"):
        return "login refused"
    return "cooling down" if session.get("notBefore", 0) > now else "session in force"


def delivery_state(simulation: Simulation) -> str:
    """Return the state of the deliveries, as the ledger has it."""
    items, now = simulation.memory.items, simulation.scheduler.now
    pointers = items.get(keys.DELIVER, {}).values()
    if not pointers:
        return "nothing to deliver"
    if not simulation.delivery.is_on:
        return "files wait, delivery off"
    lane = items.get("LANE", {}).get("DELIVER", {})
    if lane.get("heldUntil", 0) > now:
        return _state_of_files(items, pointers)
    if lane.get("notBefore", 0) > now:
        return "all downloads back off"
    if all(pointer["notBefore"] > now for pointer in pointers):
        return "files back off"
    return "a download's turn or a run's" if lane.get("turnsUntil", 0) > now else "files due"


def _state_of_files(
    items: Mapping[str, Mapping[str, Any]], pointers: Iterable[Mapping[str, Any]]
) -> str:
    """Return how far the delivery has come that has come furthest."""
    noted, given_up, whole = 0, False, False
    for pointer in pointers:
        pk, sk = keys.attempt(pointer["attemptId"])
        known = [item for name, item in items[pk].items() if name.startswith(f"{sk}#FILE#")]
        final = sum(1 for item in known if "final" in item)
        noted += final
        given_up = given_up or any(item["errorCode"] for item in known)
        whole = whole or final >= pointer["fileCount"]
    if given_up or whole:
        return "a file given up" if given_up else "all files noted"
    return "some files noted" if noted else "download lease taken"


def states(simulation: Simulation) -> tuple[str, ...]:
    """Return the states of lease, session and deliveries."""
    return lease_state(simulation), session_state(simulation), delivery_state(simulation)


@dataclass
class Coverage:
    """The pairs of fault and state that were reached, and how often."""

    reached: dict[Pair, int] = field(default_factory=dict)

    def watch(self, simulation: Simulation) -> None:
        """Watch a day that has not begun."""
        simulation.fault_rates.witness = lambda fault: self._meet(simulation, fault)

        def write(original: Callable[..., None], *writes: Write) -> None:
            original(*writes)
            if simulation.in_fault_phase:
                for trouble in simulation.field.troubles:
                    self._meet(simulation, trouble)

        simulation.memory.intercept("write", write)

    def _meet(self, simulation: Simulation, fault: str) -> None:
        for state in states(simulation):
            self.reached[fault, state] = self.reached.get((fault, state), 0) + 1

    def add(self, other: Mapping[Pair, int]) -> None:
        """Add what other days reached."""
        for pair, times in other.items():
            self.reached[pair] = self.reached.get(pair, 0) + times

    def missing(self) -> Iterator[Pair]:
        """Yield the pairs that were not reached."""
        for fault in FAULTS:
            yield from ((fault, state) for state in STATES if (fault, state) not in self.reached)
