"""Delivery of a run's files as a model: two files, two copies of deliver, crashes at any moment.

Arena's bytes differ from one download to the next. The ledger notes what was stored (1 and 2 stand
for two contents, 9 for a file that Arena refuses for good). It begins before the run is settled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from minicheck import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Move = tuple[str, "State"]

FILES = (0, 1)
CONTENTS = (1, 2)
REFUSED = 9
PENDING, DONE, OFF, ELSEWHERE = "pending", "done", "off", "elsewhere"


@dataclass(frozen=True, slots=True)
class State:
    """The ledger, the bucket and the topic, and where each copy stands, with what it holds.

    `phase` is "" until the run is settled, `pending` while the pointer is there, and `off` if there
    never is one; `elsewhere` if the files were delivered to another bucket. `noted` and `stored`
    are the contents of each file, 0 for none; `events` are the different contents that the event
    was published with.
    """

    phase: str = ""
    noted: tuple[int, ...] = (0, 0)
    stored: tuple[int, ...] = (0, 0)
    manifest: tuple[int, ...] | None = None
    events: tuple[tuple[int, ...], ...] = ()
    copies: tuple[tuple[str, tuple[int, ...]], ...] = (("", ()), ("", ()))


FIELDS = tuple(State.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Variant:
    """The protocol, or a wrong one: `bug` names what it does wrong.

    With `another_bucket`, copies that deliver to another bucket may close the delivery, perhaps
    before this bucket is chosen; and another delivery of the run may find its files in the bucket.
    """

    bug: str = ""
    another_bucket: bool = False

    def moves(self, state: State) -> Iterator[Move]:
        """Yield each step that may follow, with the state after it."""
        if not state.phase:
            yield "settle", replace(state, phase=PENDING)
            yield "settle while delivery is off", replace(state, phase=OFF)
        if not state.phase and self.another_bucket:
            yield "begin another delivery", replace(state, phase=PENDING, stored=(1, 1))
        if state.phase in ("", PENDING) and self.another_bucket:
            yield "delivered to another bucket", replace(state, phase=ELSEWHERE)
        for copy, (place, held) in enumerate(state.copies):
            if not place:
                if state.phase == PENDING:
                    yield "begin", _at(state, copy, "choose")
                continue
            yield "crash", _at(state, copy, "")
            for label, after, to, kept in self._step(state, place, held):
                yield label, _at(after, copy, to, kept)

    def _step(
        self, state: State, place: str, held: tuple[int, ...]
    ) -> Iterator[tuple[str, State, str, tuple[int, ...]]]:
        if place == "choose":
            yield from self._choose(state)
        elif place == "store":
            yield self._store(state, *held)
        elif place == "note":
            yield self._note(state, *held)
        elif place == "write manifest":
            yield self._write_manifest(state, held)
        elif place == "publish" and self.bug == "pointer deleted first":
            yield "delete the pointer", _closed(state), "publish late", held
        elif place in ("publish", "publish late"):
            to = "delete pointer" if place == "publish" else ""
            yield "event", replace(state, events=_added(state.events, held)), to, held
        else:
            yield "delete the pointer", _closed(state), "", ()

    def _choose(self, state: State) -> Iterator[tuple[str, State, str, tuple[int, ...]]]:
        missing = [file for file in FILES if not state.noted[file]]
        if state.manifest is not None:
            yield "the manifest is there", state, "publish", state.manifest
        elif self.bug == "event before manifest" and not state.events:
            yield "event", replace(state, events=(state.noted,)), "choose", ()
        elif not missing or self.bug == "manifest before file":
            yield "every file is noted", state, "write manifest", state.noted
        elif state.stored[missing[0]]:
            yield "it is in the bucket", state, "note", (missing[0], state.stored[missing[0]])
        else:
            for content in CONTENTS:
                yield "download", state, "store", (missing[0], content)
            yield "refused for good", state, "note", (missing[0], REFUSED)

    def _store(
        self, state: State, file: int, content: int
    ) -> tuple[str, State, str, tuple[int, ...]]:
        there = state.stored[file]
        if not there or self.bug == "object overwritten":
            stored = replace(state, stored=_put(state.stored, file, content))
            return "store", stored, "note", (file, content)
        kept = content if self.bug == "object not read back" else there
        return "it is in the bucket", state, "note", (file, kept)

    def _note(
        self, state: State, file: int, content: int
    ) -> tuple[str, State, str, tuple[int, ...]]:
        if state.noted[file]:
            return "noted already", state, "choose", ()
        return "note", replace(state, noted=_put(state.noted, file, content)), "choose", ()

    def _write_manifest(
        self, state: State, held: tuple[int, ...]
    ) -> tuple[str, State, str, tuple[int, ...]]:
        if state.manifest is None:
            return "write the manifest", replace(state, manifest=held), "publish", held
        return "it is there", state, "publish", state.manifest


BUGS = (
    "event before manifest",
    "manifest before file",
    "object not read back",
    "object overwritten",
    "pointer deleted first",
)


def _closed(state: State) -> State:
    return replace(state, phase=DONE) if state.phase == PENDING else state


def _at(state: State, copy: int, place: str, held: tuple[int, ...] = ()) -> State:
    copies = list(state.copies)
    copies[copy] = (place, held)
    return replace(state, copies=tuple(copies))


def _put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _added(
    events: tuple[tuple[int, ...], ...], event: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    return events if event in events else (*events, event)


def _is_true(state: Mapping[str, object]) -> bool:
    manifest, stored = state["manifest"], state["stored"]
    assert isinstance(stored, tuple)
    if not isinstance(manifest, tuple):
        return True
    named = zip(manifest, stored, strict=True)
    return all(content == REFUSED or (content and content == there) for content, there in named)


INVARIANTS: Mapping[str, Callable[[Mapping[str, object]], bool]] = {
    "the manifest names what is stored (R12)": _is_true,
    "each copy of the event is the manifest (R12)": lambda state: all(
        event == state["manifest"]
        for event in state["events"]  # type: ignore[attr-defined] # a tuple
    ),
    "closed, so it was published (R12)": lambda state: (
        state["phase"] != DONE or bool(state["events"])
    ),
}


def delivery_model(variant: Variant = Variant()) -> Protocol:
    """Return the model of delivery, as it is or wrong."""

    def transitions(state: tuple[object, ...]) -> list[tuple[str, tuple[object, ...]]]:
        moves = variant.moves(State(*state))  # type: ignore[arg-type] # its own fields
        return [(label, _values(after)) for label, after in moves]

    return Protocol(
        name="delivery",
        candidate=False,
        fields=FIELDS,
        initial=_values(State()),
        transitions=transitions,
        invariants=dict(INVARIANTS),
        goal=lambda state: (
            state["phase"] in (OFF, ELSEWHERE) or (state["phase"] == DONE and bool(state["events"]))
        ),
    )


def _values(state: State) -> tuple[object, ...]:
    return tuple(getattr(state, name) for name in FIELDS)
