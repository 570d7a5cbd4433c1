"""The lease as a model: two copies of submit, a poll, two copies of publish, crashes at any moment.

Arena may answer a POST with a run, or refuse it, or its answer may be lost: then a run exists, or
comes later, or never. The model's assumptions about time have names (`Assumption`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from minicheck import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Move = tuple[str, "State"]

NOBODY, DEAD = -1, -2  # who holds the lease, if it is not one of the copies
IDLE = ("", False)


class Assumption(StrEnum):
    """What the model takes for granted about time."""

    SUBMIT_DIES_FIRST = "submit's time-out (120 s) ends it before its lease (180 s) ends"
    RUNS_COME_IN_TIME = "a POST's run exists before the second search, 150 s after the POST"


BUGS = ("POST without a search", "one search", "settle first", "settle without a fence")
ALL_ASSUMPTIONS = frozenset(Assumption)


@dataclass(frozen=True, slots=True)
class State:
    """The ledger, Arena, and where each copy stands.

    `attempt` is "" where the lease names none. Each copy of publish has a place, and whether it is
    about the attempt that the lease names. `late` says that a POST without an answer may still
    become a run. `runs` counts the runs that carried the pending requests; `told` says that the run
    of the attempt was published. `wrong` names what must never happen.
    """

    lease: str = "idle"
    holder: int = NOBODY
    attempt: str = ""
    searches: int = 0
    again: bool = False
    pending: bool = True
    run: str = ""
    late: bool = False
    runs: int = 0
    told: bool = False
    wrong: str = ""
    submits: tuple[str, ...] = ("", "")
    publishes: tuple[tuple[str, bool], ...] = (IDLE, IDLE)


FIELDS = tuple(State.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Variant:
    """The protocol, or a wrong one: `bug` names what it does wrong."""

    assumptions: frozenset[Assumption] = ALL_ASSUMPTIONS
    bug: str = ""

    def moves(self, state: State) -> Iterator[Move]:
        """Yield each step that may follow, with the state after it."""
        yield from self._arena(state)
        yield from self._poll(state)
        for copy, place in enumerate(state.submits):
            yield from self._submit(state, copy, place)
        for copy, (place, current) in enumerate(state.publishes):
            yield from self._publish(state, copy, place, current=current)
        if not state.pending and not state.attempt:
            yield "a message is recorded", replace(state, pending=True, runs=0)

    # ---- Arena -----------------------------------------------------------------------------------

    def _arena(self, state: State) -> Iterator[Move]:
        if state.run == "going":
            yield "the run ends", replace(state, run="over")
        if state.late:
            yield "no late run", replace(state, late=False)
            if state.run != "going":
                yield "a late run", _created(replace(state, late=False))

    # ---- submit ----------------------------------------------------------------------------------

    def _submit(self, state: State, copy: int, place: str) -> Iterator[Move]:
        def go(to: str, **changes: object) -> State:
            return _at(replace(state, **changes), copy, to)  # type: ignore[arg-type] # State's fields

        if not place:
            yield from self._take(state, copy)
            return
        yield "crash", go("", holder=DEAD if state.holder == copy else state.holder)
        held = state.holder == copy
        if place == "begin":
            begun = go("post", attempt="sending", searches=0, again=False, told=False)
            yield from _fenced("begin", held, begun, go(""))
            yield from _fenced("release", held, go("", lease="idle", holder=NOBODY), go(""))
        elif place == "post":
            yield from self._post(state, copy)
        elif place == "start":
            running = {"lease": "running", "holder": NOBODY, "attempt": "running", "searches": 0}
            yield from _fenced("started", held, go("", **running), go(""))
        elif place == "unknown":
            yield from _fenced("search later", held, go("", holder=NOBODY, searches=0), go(""))
        elif place == "conclude":
            ended = state.attempt == "ended"  # else another copy has concluded it
            after = self._settled(replace(state, told=True), current=True) if ended else state
            yield "conclude", _at(after, copy, "")
        elif place == "refused":
            yield from self._refused(state, go, held=held)
        elif place == "search":
            yield from self._search(state, go, held=held)

    def _take(self, state: State, copy: int) -> Iterator[Move]:
        """Take a lease that is idle, or has expired."""
        if state.lease == "idle" and state.pending:
            yield "take", _at(replace(state, lease="submitting", holder=copy), copy, "begin")
        alive = state.holder not in (NOBODY, DEAD)
        if state.lease != "submitting" or state.holder == copy:
            return
        if alive and self._takes_for_granted(Assumption.SUBMIT_DIES_FIRST):
            return
        taken = replace(state, holder=copy)
        if not state.attempt:
            yield "release", replace(state, lease="idle", holder=NOBODY)
        elif state.attempt == "ended":
            yield "take", _at(taken, copy, "conclude")
        elif self.bug == "POST without a search":
            yield "take", _at(taken, copy, "post")
        else:
            yield "take", _at(taken, copy, "search")

    def _post(self, state: State, copy: int) -> Iterator[Move]:
        if state.run == "going":
            known = state.attempt == "sending"
            wrong = "a 3144 of our own" if known or state.attempt == "running" else state.wrong
            yield "3144", _at(replace(state, wrong=wrong), copy, "refused")
            return
        yield "refused", _at(state, copy, "refused")
        yield "run", _at(_created(state), copy, "start")
        yield "run, answer lost", _at(_created(state), copy, "unknown")
        yield "no run, answer lost", _at(state, copy, "unknown")
        yield "run later, answer lost", _at(replace(state, late=True), copy, "unknown")

    def _refused(self, state: State, go: Callable[..., State], *, held: bool) -> Iterator[Move]:
        """Free the lease, end the attempt, POST the rest, or search again."""
        idle = go("", lease="idle", holder=NOBODY, attempt="", searches=0, again=False)
        yield from _fenced("void", held, idle, go(""))
        yield from _fenced("end without a run", held, go("conclude", attempt="ended"), go(""))
        yield from _fenced("reject items", held, go("post", again=False), go(""))
        if state.again:
            for searches in (0, 1):
                later = go("", holder=NOBODY, searches=searches)
                yield from _fenced("search again", held, later, go(""))

    def _search(self, state: State, go: Callable[..., State], *, held: bool) -> Iterator[Move]:
        second = state.searches > 0 or self.bug == "one search"
        if state.run:
            yield "run found", go("start")
        elif not second:
            later = go("", holder=NOBODY, searches=1)
            yield from _fenced("empty search", held, later, go(""))
        elif (
            state.searches == 0
            or not state.late
            or not self._takes_for_granted(Assumption.RUNS_COME_IN_TIME)
        ):
            spent = go("", holder=NOBODY, searches=2)
            yield from _fenced("second empty search, budget spent", held, spent, go(""))
            again = go("post", searches=0, again=True)
            yield from _fenced("second empty search", held, again, go(""))
            idle = go("", lease="idle", holder=NOBODY, attempt="", searches=0, again=False)
            yield from _fenced("void after searches", held, idle, go(""))
            yield from _fenced("fail after searches", held, go("conclude", attempt="ended"), go(""))

    # ---- poll and publish ------------------------------------------------------------------------

    def _poll(self, state: State) -> Iterator[Move]:
        if state.attempt == "running" and state.run == "over":
            yield "poll finds the end", replace(state, attempt="ended")

    def _publish(self, state: State, copy: int, place: str, *, current: bool) -> Iterator[Move]:
        def go(to: str, after: State) -> State:
            places = list(after.publishes)
            places[copy] = (to, current or not place) if to else IDLE
            return replace(after, publishes=tuple(places))

        first, second = ("settle", "tell") if self.bug == "settle first" else ("tell", "settle")
        if not place:
            if state.attempt == "ended" and state.lease == "running":
                yield "publish begins", go(first, state)
            return
        yield "crash", go("", state)
        after = replace(state, told=state.told or current)
        if place == "settle":
            fenced = self.bug != "settle without a fence"
            after = self._settled(state, current=current) if current or not fenced else state
        yield place, go(second if place == first else "", after)

    def _settled(self, state: State, *, current: bool) -> State:
        """Return the state after settling: no copy of publish is about the attempt any more."""
        lost = not (state.told and current and state.attempt == "ended")
        late = tuple((place, False) for place, _ in state.publishes)
        return replace(
            state,
            lease="idle",
            holder=NOBODY,
            attempt="",
            searches=0,
            again=False,
            pending=False,
            run="" if state.run == "over" else state.run,
            told=False,
            wrong="settled, not published" if lost else state.wrong,
            publishes=late,
        )

    def _takes_for_granted(self, assumption: Assumption) -> bool:
        return assumption in self.assumptions


def _at(state: State, copy: int, place: str) -> State:
    places = list(state.submits)
    places[copy] = place
    return replace(state, submits=tuple(places))


def _created(state: State) -> State:
    """Return the state after Arena has made a run of the pending requests."""
    return replace(state, run="going", runs=min(state.runs + 1, 2))


def _fenced(label: str, held: bool, after: State, refused: State) -> Iterator[Move]:  # noqa: FBT001 - a condition
    yield (label, after) if held else (f"{label}: the lease was lost", refused)


INVARIANTS: Mapping[str, Callable[[Mapping[str, object]], bool]] = {
    "no 3144 of our own (R2)": lambda state: state["wrong"] != "a 3144 of our own",
    "one run for each request (R3)": lambda state: state["runs"] in (0, 1),
    "settled only when published (R4)": lambda state: state["wrong"] != "settled, not published",
}


def _astuple(state: State) -> tuple[object, ...]:
    return tuple(getattr(state, name) for name in FIELDS)


def lease_model(variant: Variant = Variant()) -> Protocol:
    """Return the model of the lease, as it is or wrong."""

    def transitions(state: tuple[object, ...]) -> list[tuple[str, tuple[object, ...]]]:
        moves = variant.moves(State(*state))  # type: ignore[arg-type] # its own fields
        return [(label, _astuple(after)) for label, after in moves]

    return Protocol(
        name="lease",
        candidate=False,
        fields=FIELDS,
        initial=_astuple(State()),
        transitions=transitions,
        invariants=dict(INVARIANTS),
        goal=lambda state: state["lease"] == "idle" and not state["pending"],
    )
