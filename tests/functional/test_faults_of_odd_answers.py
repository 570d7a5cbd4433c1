"""Whatever Arena answers, the result is a documented error, few requests and a wait.

There are a thousand answers each for login, POST, poll and list, through the real client and the
functions around it. No answer leads to a crash, a tight loop or a request to another address.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from arena_exports.domain.deadline import Deadline
from arena_exports.domain.errors import RetryLaterError
from arena_exports.domain.lease import LeaseState
from arena_exports.domain.poll_state import PollState
from arena_exports.ports import HttpAnswer, HttpRequest
from infra.simulator import control
from tests.support.properties import thorough
from tests.support.world import EXPORT, World, item_guid, items

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.fakes import Send

LOST = {"method": "POST", "path": "*/runs", "work": True, "drop": True}
# Ten refusals of items and five halvings of the size, each of them repeated after a 401.
MAX_POSTS = 32
MAX_GETS = 6  # three tries, each repeated after a 401
MAX_LISTS = 3 * MAX_GETS
PATHS = re.compile(r"/login|/exports/[A-Z0-9]+/runs(/[A-Za-z0-9]{1,64})?(\?[A-Za-z]+=[\w%:.-]+)?")
CODES = [400, 401, 404, 405, 409, 415, 503, 3000, 3011, 3012, 3024, 3140, 3142, 3144, 3145, 3146]
CODES += [3148, 3149, 3294, 4001, 4013, 4014, 4079, 4081, 4082, 4083, 4084, 4085, 4087]

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=4
)
# Valid JSON, but more than some store, header, path or calendar can hold.
TEXTS = ["", "x" * 3000, "R/../../login", "a b", "R\n", "a\x00b", "\ud800", "\uffff", "ä" * 20]
TIMES = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31", "x" * 500_000, 0]
NUMBERS = [0, -1, True, 1.5, 10**12, 10**60]
FILES = [[{"guid": "F" * 20, "title": text}] for text in [*TEXTS, "x" * 300_000]]
FILES += [[{"guid": text}] for text in TEXTS]
VALUES = [*TEXTS, *TIMES, *NUMBERS, None, [], [[[]]], {}, {"guid": "x" * 500_000}]
OF_FIELD: dict[str, Sequence[Any]] = {
    "files": FILES,
    "number": NUMBERS,
    "criteriaResultsCount": NUMBERS,
    "guid": TEXTS,
}
OF_FIELD |= {"creationDateTime": TIMES, "completionDateTime": TIMES, "arenaSessionId": TEXTS}
odd_values = st.sampled_from(VALUES) | json_values
errors = st.builds(
    lambda errors: {"status": 400, "errors": errors},
    st.lists(
        st.fixed_dictionaries(
            {
                "code": st.sampled_from(CODES) | st.sampled_from(CODES).map(str) | odd_values,
                "message": st.sampled_from([f'The guid "{item_guid(n)}" is bad.' for n in range(4)])
                | st.just(f'The guid "{EXPORT}" is not valid.')
                | odd_values,
            }
        ),
        max_size=3,
    ),
)
statuses = st.sampled_from(
    [200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 413, 415, 429, 500, 503]
)
dates = (
    st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    | st.datetimes().map(lambda at: at.strftime("%a, %d-%b-%Y %H:%M:%S GMT-0700 (PDT)"))
    | st.datetimes().map(lambda at: at.isoformat() + "Z")
    | texts
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "x-arena-requests-remaining": st.integers().map(str) | texts,
        "x-arena-next-request-limit-reset": dates,
        "date": dates,
        "location": st.just("https://evil.example/v1"),
    },
)


@dataclass(frozen=True)
class Oddity:
    """How an answer is changed: other values, another body, a shorter one, other headers."""

    status: int | None
    changes: dict[str, Any]
    body: bytes | None
    length: int | None
    headers: dict[str, str]

    def of(self, answer: HttpAnswer) -> HttpAnswer:
        """Return the changed answer."""
        body = answer.body if self.body is None else self.body
        if self.changes and self.body is None:
            body = json.dumps(_changed(json.loads(body), self.changes)).encode()
        status = answer.status if self.status is None else self.status
        return HttpAnswer(status, {**answer.headers, **self.headers}, body[: self.length])


def _changed(content: Any, changes: dict[str, Any]) -> Any:
    """Change an object, or each run of a list."""
    if not isinstance(content, dict):
        return content
    if "results" in content:
        runs = [{**run, **changes} for run in content["results"]]
        return {**content, "results": changes.get("results", runs)}
    return {**content, **changes}


RUN_FIELDS = ["guid", "number", "status", "creationDateTime", "completionDateTime", "creator"]
RUN_FIELDS += ["criteria", "criteriaResultsCount", "files", "errors"]
bodies = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | errors.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"<html><h1>Bad Gateway</h1></html>", b"", b"{" * 50_000, b"[" * 50_000])
    | st.sampled_from([b"x" * 2_000_000, b'{"guid": ' + b"9" * 5_000 + b"}"])
)


def _changed_field(field: str) -> st.SearchStrategy[tuple[str, Any]]:
    odd: st.SearchStrategy[Any] = st.sampled_from(OF_FIELD.get(field, VALUES))
    return st.tuples(st.just(field), odd | odd | odd_values)


def oddities(*fields: str) -> st.SearchStrategy[Oddity]:
    """Return the possible changes of an answer with these fields."""
    return st.builds(
        Oddity,
        st.none() | st.none() | statuses,
        st.lists(st.sampled_from(fields).flatmap(_changed_field), max_size=3).map(dict),
        st.none() | st.none() | bodies,
        st.none() | st.none() | st.integers(0, 200),
        headers,
    )


class OddArena:
    """Changes the answers to one kind of call, and records what is sent.

    Fails for a request that could not be sent: another path, or an invalid header.
    """

    def __init__(self, world: World, call: str, oddity: Oddity) -> None:
        self._call = call
        self._oddity = oddity
        self.sent: list[str] = []
        world.transport.intercept("send", self.send)

    def send(self, send: Send, request: HttpRequest) -> HttpAnswer:
        """Send a request, and change the answer if it is of that kind."""
        self.sent.append(request.call)
        assert PATHS.fullmatch(request.path), request.path
        assert re.fullmatch("[!-~]*", request.session_id), request.session_id
        answer = send(request)
        return self._oddity.of(answer) if request.call == self._call else answer


def dispatch(world: World) -> None:
    """Do what one invocation of submit does, without catching errors."""
    world.functions.submit.dispatch.run(Deadline(world.clock.now() + 115), linger=False)


def waiting() -> World:
    """Return a world with pending items and no run in progress."""
    world = World()
    world.prove()
    world.dependencies = replace(
        world.dependencies, settings=replace(world.dependencies.settings, exports_paused=True)
    )
    world.send({"itemGuids": items(20)})
    world.dependencies = world.make_dependencies()
    return world


def seconds_to_wait(world: World) -> Iterator[float]:
    """Yield how long nothing is sent: until the lease or the definition may be tried again."""
    lease, now = world.ledger.lease.read(), world.clock.now()
    if lease.state is LeaseState.SUBMITTING:
        yield lease.held_until - now
    if lease.state is LeaseState.IDLE:
        yield lease.not_before - now
    for head in world.ledger.requests.oldest_pages():
        definition = world.ledger.definitions.read(head.group.export_guid)
        yield definition.not_before - now
    budget = world.ledger.budget.read()
    yield budget.wait_seconds(now, world.dependencies.settings.request_budget_reserve)


@thorough()
@given(oddities(*RUN_FIELDS))
@example(Oddity(201, {"guid": "R" * 3000}, None, None, {}))
@example(Oddity(400, {}, b'{"errors": [{"code": 3011, "message": "x"}]}', None, {}))
def test_post__is_safe_whatever_is_answered(oddity: Oddity) -> None:
    """FAULT 20: a few POSTs lead to a run, an end or a wait; the next invocation sends nothing."""
    world = waiting()
    arena = OddArena(world, "start an export run", oddity)
    dispatch(world)
    assert arena.sent.count("start an export run") <= MAX_POSTS
    running = world.ledger.lease.read().state is LeaseState.RUNNING
    idle = not world.table.items.get("PENDING")
    assert running or idle or max(seconds_to_wait(world)) >= 1
    before = len(arena.sent)
    dispatch(world)
    assert len(arena.sent) == before


@thorough()
@given(oddities(*RUN_FIELDS))
@example(Oddity(None, {"creationDateTime": "\ud800"}, None, None, {}))
@example(Oddity(None, {"completionDateTime": "\udfff"}, None, None, {}))
@example(Oddity(None, {"status": "\ud800"}, None, None, {}))
@example(Oddity(None, {"files": [{"guid": "F" * 20, "title": "\ud800"}]}, None, None, {}))
def test_poll__is_safe_whatever_is_answered(oddity: Oddity) -> None:
    """FAULT 20: a few GETs lead to an end that is published, or a wait of at least a second."""
    world = World()
    world.send({"itemGuids": items(3)})
    (state,) = world.executions.started.values()
    world.clock.sleep(100)
    arena = OddArena(world, "poll an export run", oddity)
    polled = world.functions.poll.poller.poll(PollState.from_json(state))
    assert 1 <= arena.sent.count("poll an export run") <= MAX_GETS
    assert polled.ended or polled.wait_seconds >= 1
    assert (polled.run_guid, polled.export_guid) == (state["runGuid"], EXPORT)
    world.functions.publish.publication.publish(polled.attempt_id)
    assert (world.ledger.lease.read().state is LeaseState.IDLE) == polled.ended


@thorough()
@given(oddities("results", *RUN_FIELDS))
@example(Oddity(None, {}, None, None, {"date": "Fri, 31 Dec 9999 23:59:59 GMT"}))
@example(Oddity(None, {"criteria": [{"attribute": "guid", "value": ["\ud800"]}]}, None, None, {}))
def test_search__is_safe_whatever_is_answered(oddity: Oddity) -> None:
    """FAULT 20: a few GETs lead to a run that is adopted or another search, and to no POST."""
    world = waiting()
    control.add_faults(world.arena, LOST)
    dispatch(world)
    world.clock.time = world.ledger.lease.read().held_until
    arena = OddArena(world, "search for an export run", oddity)
    dispatch(world)
    assert 1 <= arena.sent.count("search for an export run") <= MAX_LISTS
    assert "start an export run" not in arena.sent
    lease = world.ledger.lease.read()
    assert lease.state is LeaseState.RUNNING or lease.held_until - world.clock.now() >= 1
    before = len(arena.sent)
    dispatch(world)
    assert len(arena.sent) == before


@thorough()
@given(oddities("arenaSessionId", "workspaceId", "errors"))
def test_login__is_safe_whatever_is_answered(oddity: Oddity) -> None:
    """FAULT 24: one login leads to a session, or to a wait in which no other is tried."""
    world = World()
    arena = OddArena(world, "log in", oddity)
    desk = world.functions.session.login_service
    version, wait = "", 0
    try:
        version = desk.renew("")
    except RetryLaterError as exc:
        wait = exc.retry_after_seconds
    assert arena.sent == ["log in"]
    assert wait >= 1 or world.session_secret.current == version
    assert all(len(json.dumps(v)) < 65_536 for v in world.session_secret.versions.values())
    kept = [value["arenaSessionId"] for value in world.session_secret.versions.values()]
    assert all(re.fullmatch("[!-~]+", session_id) for session_id in kept)
    try:
        assert desk.renew("") == version
    except RetryLaterError:
        assert not version
    assert arena.sent == ["log in"]
