"""Bugs in the protocol, planted on purpose: the simulation must find each of them.

A bug is one small change of a step of the protocol. Most change what reaches the ledger, the topic
or Arena, so they do not depend on how the functions are built. The others replace a method or a
constant by name, and fail if that name no longer exists.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from arena_exports.domain.errors import ArenaAnswerError
from arena_exports.ledger import pages
from arena_exports.ports import ALWAYS, Check, Condition, Delete, Put, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arena_exports.ports import Write

    Change = Callable[[tuple[Write, ...]], tuple[Write, ...]]

LEDGER = "tests.support.fakes:InMemoryTable.write"
ARENA = "tests.simulation.cloud:SimTransport.send"
TOPIC = "tests.simulation.cloud:SimSink.publish"
LETTERS = "tests.simulation.cloud:SimSink.send"
ADOPTION = "arena_exports.services.adoption"
LETTERED_AT_INTAKE = "InvalidMessage"


class OutdatedError(Exception):
    """What a bug changes does not exist any more: plant it elsewhere."""


class Soil:
    """Where a bug is planted: it replaces what a name stands for, until it is dug up.

    `changed` counts how often the bug changed something. A bug that changed nothing proves nothing.
    """

    def __init__(self) -> None:
        self.changed = 0
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, path: str, make: Callable[[Any], Any]) -> None:
        """Replace `package.module:name.name` by `make(what it stands for)`.

        Raises:
            OutdatedError: there is no such name.
        """
        module, _, names = path.partition(":")
        *owners, last = names.split(".")
        try:
            owner: Any = import_module(module)
            for name in owners:
                owner = getattr(owner, name)
            original = getattr(owner, last)
        except (ImportError, AttributeError) as exc:
            raise OutdatedError(path) from exc
        self._originals.append((owner, last, original))
        setattr(owner, last, make(original))

    def constant(self, path: str, value: object) -> None:
        """Replace a constant."""
        self.changed += 1
        self.replace(path, lambda _: value)

    def method(self, path: str, instead: Callable[..., Any]) -> None:
        """Replace a method or function by `instead(original, *arguments)`."""

        def counted(original: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                self.changed += 1
                return instead(original, *arguments, **named)

            return call

        self.replace(path, counted)

    def writes(self, change: Change) -> None:
        """Change what is written to the ledger, transaction by transaction."""

        def changing(original: Any) -> Any:
            def write(table: Any, *writes: Write) -> None:
                changed = change(writes)
                self.changed += changed != writes
                if changed:
                    original(table, *changed)

            return write

        self.replace(LEDGER, changing)

    def dig_up(self) -> None:
        """Put back what was replaced."""
        while self._originals:
            setattr(*self._originals.pop())


@dataclass(frozen=True)
class Bug:
    """A planted bug: what is wrong with the protocol, and how it is planted.

    `harmless` says why a bug breaks no rule by itself: what it leaves out is a second line.
    """

    name: str
    description: str
    plant: Callable[[Soil], None]
    harmless: str = ""


@contextmanager
def planted(bug: Bug) -> Iterator[Soil]:
    """Plant a bug for a while."""
    soil = Soil()
    try:
        bug.plant(soil)
        yield soil
    finally:
        soil.dig_up()


# ---- what a write is -----------------------------------------------------------------------------


def _values(write: Write) -> Mapping[str, Any]:
    """Return the attributes that a write sets."""
    if isinstance(write, Put):
        return write.item
    return write.values if isinstance(write, Update) else {}


def _is_lease(write: Write, state: str) -> bool:
    return write.key[0] == "SLOT" and _values(write).get("state") == state


def _is_attempt(write: Write, state: str) -> bool:
    return write.key[0].startswith("RUN#") and _values(write).get("state") == state


def _takes(writes: Sequence[Write]) -> bool:
    return len(writes) == 1 and _is_lease(writes[0], "submitting")


def _begins(writes: Sequence[Write]) -> bool:
    return any(isinstance(w, Put) and _is_attempt(w, "sending") for w in writes)


def _frees(writes: Sequence[Write]) -> bool:
    return any(_is_lease(write, "idle") for write in writes)


def _without_fence(write: Write) -> Write | None:
    """Return a write of the lease without its condition; a mere check disappears."""
    if write.key[0] != "SLOT":
        return write
    return None if isinstance(write, Check) else replace(write, condition=ALWAYS)


def _unfenced(where: Callable[[tuple[Write, ...]], bool]) -> Callable[[Soil], None]:
    """Leave the fence out of some transactions."""

    def change(writes: tuple[Write, ...]) -> tuple[Write, ...]:
        return tuple(filter(None, map(_without_fence, writes))) if where(writes) else writes

    return lambda soil: soil.writes(change)


def each(change: Callable[[Any], Write | None]) -> Callable[[Soil], None]:
    """Change each write by itself; None leaves it out."""
    return lambda soil: soil.writes(lambda writes: tuple(filter(None, map(change, writes))))


def _without(write: Any, *names: str) -> Any:
    """Return an update that leaves attributes as they are."""
    kept = {name: value for name, value in write.values.items() if name not in names}
    return replace(write, values=kept)


# ---- bugs at the ledger --------------------------------------------------------------------------


def _end_unconditionally(writes: tuple[Write, ...]) -> tuple[Write, ...]:
    if not any(_is_attempt(write, "ended") for write in writes):
        return writes
    return tuple(replace(w, condition=ALWAYS) for w in writes if not isinstance(w, Check))


def _forget_first_post(write: Any) -> Any:
    if not (isinstance(write, Put) and _is_attempt(write, "sending")):
        return write
    return replace(write, item={**write.item, "firstSentAt": write.item["sentAt"]})


def _delete_pointers(writes: tuple[Write, ...]) -> tuple[Write, ...]:
    attempt = next((w for w in writes if isinstance(w, Put) and _is_attempt(w, "sending")), None)
    if attempt is None or len(writes) > 2:
        return writes
    item = attempt.item
    group = f"{item['lane']}#{item['exportGuid']}#{item['kind']}#"
    named = [row[0] for row in pages.unpack(item["slices"])]
    return (*writes, *(Delete(("PENDING", group + page_id)) for page_id in named[:90]))


def _record_again(write: Any) -> Any:
    return replace(write, condition=ALWAYS) if write.key[0].startswith("MSG#") else write


def _move_back(write: Any) -> Any:
    if isinstance(write, Update) and write.key[0] == "PENDING":
        return replace(write, condition=Condition(present=("PK",)))
    return write


def _settle_whole_page(write: Any) -> Any:
    moves = isinstance(write, Update) and write.key[0] == "PENDING"
    return Delete(write.key) if moves else write


def _forget_run(write: Any) -> Any:
    return None if write.key[0].startswith("RUNGUID#") else write


def _keep_number(write: Any) -> Any:
    named = isinstance(write, Update) and "executionNumber" in write.values
    return _without(write, "executionNumber") if named else write


def _claim_login(write: Any) -> Any:
    return replace(write, condition=ALWAYS) if write.key[0] == "SESSION" else write


def _forget_refusal(write: Any) -> Any:
    if write.key[0] != "SESSION" or not isinstance(write, Put):
        return write
    return replace(write, item={**write.item, "refusedVersion": ""})


# ---- bugs in the order of steps ------------------------------------------------------------------


def _post_before_attempt(soil: Soil) -> None:
    """Write the attempt down only when Arena has answered its POST."""
    held: dict[object, Callable[[], None]] = {}

    def holding(original: Any) -> Any:
        def write(table: Any, *writes: Write) -> None:
            if _begins(writes):
                soil.changed += 1
                held[getcurrent()] = lambda: original(table, *writes)
            else:
                original(table, *writes)

        return write

    def send(original: Any, transport: Any, request: Any) -> Any:
        answer = original(transport, request)
        if request.path.endswith("/runs") and getcurrent() in held:
            held.pop(getcurrent())()
        return answer

    soil.replace(LEDGER, holding)
    soil.method(ARENA, send)


def _after_the_lease(path: str, applies: Callable[[Any], bool]) -> Callable[[Soil], None]:
    """Hold messages back until the same function has settled its attempt and freed the lease."""

    def plant(soil: Soil) -> None:
        held: dict[object, list[Callable[[], None]]] = {}

        def say(original: Any, sink: Any, messages: Sequence[Any]) -> None:
            if not any(map(applies, messages)):
                original(sink, messages)
                return
            held.setdefault(getcurrent(), []).append(lambda: original(sink, messages))

        def write(original: Any, table: Any, *writes: Write) -> None:
            original(table, *writes)
            if _frees(writes):
                for late in held.pop(getcurrent(), []):
                    late()

        soil.method(path, say)
        soil.method(LEDGER, write)

    return plant


def _is_completion(event: Any) -> bool:
    return "arena.export.run.completed" in event.body


def _is_rejection(letter: Any) -> bool:
    return bool(letter.error_code != LETTERED_AT_INTAKE)


def _acknowledge_unrecorded(soil: Soil) -> None:
    def record(original: Any, *arguments: Any) -> list[str]:
        original(*arguments)
        return []

    soil.method("arena_exports.services.intake:Intake.record", record)


@dataclass(frozen=True)
class _SameToken:
    """A clock that makes the same token again."""

    clock: Any
    token: str

    def now(self) -> float:
        return float(self.clock.now())

    def new_token(self) -> str:
        return self.token


def keep_token(path: str) -> Callable[[Soil], None]:
    """Let a method that takes a lease keep the token of the lease that it was given."""

    def take(original: Any, store: Any, seen: Any) -> Any:
        if not seen.token:
            return original(store, seen)
        return original(type(store)(store._table, _SameToken(store._clock, seen.token)), seen)

    return lambda soil: soil.method(path, take)


def _search_nothing(soil: Soil) -> None:
    finding = import_module(ADOPTION).Finding.NO_RUN
    soil.method(f"{ADOPTION}:Adoption.search", lambda *_: finding)


def _requeue_unknown(soil: Soil) -> None:
    def requeue(_original: Any, submission: Any, lease: Any, attempt: Any, _error: Any) -> bool:
        submission.requeue(lease, attempt)
        return False

    soil.method("arena_exports.services.submission:Submission._search_later", requeue)


def _take_refusal_for_empty(soil: Soil) -> None:
    def find(original: Any, *arguments: Any) -> Any:
        try:
            return original(*arguments)
        except ArenaAnswerError:
            return None

    soil.method(f"{ADOPTION}:Adoption._find", find)


BUGS: Sequence[Bug] = (
    Bug(
        "lease taken twice",
        "taking the lease is not conditional on what was read",
        _unfenced(_takes),
    ),
    Bug(
        "token kept",
        "taking an expired lease makes no new token",
        keep_token("arena_exports.ledger.lease:LeaseStore.take"),
    ),
    Bug(
        "begin without a fence",
        "writing the attempt down is not conditional on the token",
        _unfenced(_begins),
    ),
    Bug(
        "start without a fence",
        "writing the run down is not conditional on the token",
        _unfenced(lambda writes: any(_is_lease(w, "running") for w in writes)),
    ),
    Bug(
        "search without a fence",
        "postponing a search is not conditional on the token",
        _unfenced(
            lambda writes: (
                len(writes) == 2
                and any(_is_lease(w, "submitting") for w in writes)
                and not _begins(writes)
            )
        ),
    ),
    Bug(
        "end without a fence",
        "an attempt ends whatever its state, and whoever has the lease",
        lambda soil: soil.writes(_end_unconditionally),
    ),
    Bug(
        "settle without a fence",
        "freeing the lease after a run is not conditional on the attempt",
        _unfenced(lambda writes: any(_is_attempt(w, "settled") for w in writes)),
    ),
    Bug(
        "void without a fence",
        "freeing the lease of a void attempt is not conditional on the attempt",
        _unfenced(lambda writes: any(_is_attempt(w, "void") for w in writes)),
    ),
    Bug(
        "release without a fence",
        "freeing a lease without an attempt is not conditional on the token",
        _unfenced(lambda writes: len(writes) == 1 and _frees(writes)),
    ),
    Bug(
        "sets without a fence",
        "suspect sets are written whoever has the lease",
        _unfenced(lambda writes: any(w.key[0].startswith("PAGE#") for w in writes)),
    ),
    Bug("recorded twice", "a message that is recorded is recorded again", each(_record_again)),
    Bug("pointer moved back", "a pointer may move back to an earlier position", each(_move_back)),
    Bug(
        "page settled whole", "settling part of a page settles all of it", each(_settle_whole_page)
    ),
    Bug(
        "settled when selected",
        "an attempt's requests stop being pending when it begins",
        lambda soil: soil.writes(_delete_pointers),
    ),
    Bug("run not noted", "which attempt a run belongs to is not written down", each(_forget_run)),
    Bug(
        "first POST forgotten",
        "after a second POST, runs of the first one are not adopted",
        each(_forget_first_post),
        harmless="a run exists before the second search, and so before the second POST",
    ),
    Bug("name used twice", "a restarted execution has the name of the first", each(_keep_number)),
    Bug("login not claimed", "writing the session's item is unconditional", each(_claim_login)),
    Bug("refusal forgotten", "refused credentials are not noted", each(_forget_refusal)),
    Bug("POST before attempt", "the attempt is written down after its POST", _post_before_attempt),
    Bug(
        "event after settling",
        "run.completed is published after the requests are settled and the lease is free",
        _after_the_lease(TOPIC, _is_completion),
    ),
    Bug(
        "dead letter after settling",
        "a dead letter is sent after the requests are settled and the lease is free",
        _after_the_lease(LETTERS, _is_rejection),
    ),
    Bug(
        "acknowledged unrecorded",
        "a message that could not be recorded is acknowledged",
        _acknowledge_unrecorded,
    ),
    Bug("POST without a search", "after an expired lease, a POST follows at once", _search_nothing),
    Bug("unknown POST requeued", "a POST without an answer counts as refused", _requeue_unknown),
    Bug(
        "one empty search",
        "one empty search permits another POST",
        lambda soil: soil.constant(f"{ADOPTION}:SEARCHES_REQUIRED", 1),
    ),
    Bug("refused search", "a refused search counts as an empty one", _take_refusal_for_empty),
    Bug(
        "any run adopted",
        "a run is adopted whatever its items are",
        lambda soil: soil.method(f"{ADOPTION}:digest", lambda *_: ""),
    ),
    Bug(
        "stranger adopted",
        "a run is adopted whoever started it",
        lambda soil: soil.method(f"{ADOPTION}:Adoption._is_readable", lambda *_: True),
    ),
    Bug(
        "short lease",
        "the lease ends before the function that holds it does",
        lambda soil: soil.constant("arena_exports.ledger.lease:LEASE_SECONDS", 20),
        harmless="the second search follows 150 s after the attempt began, when submit has ended",
    ),
    Bug(
        "late copy publishes",
        "publish does not look at the lease before it publishes",
        lambda soil: soil.method("arena_exports.ledger.lease:LeaseStore.check", lambda *_: None),
    ),
    Bug(
        "login beside a login",
        "an unfinished login does not keep another one from starting",
        lambda soil: soil.method(
            "arena_exports.services.login:LoginService._resume_login",
            lambda _original, _service, state, _dead: state,
        ),
    ),
)
