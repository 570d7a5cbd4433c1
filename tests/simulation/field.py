"""Problems that other teams had in the field, as parts of simulated days (faults 83, 86 to 92).

They are drawn from the seed, but separately from the rest of the day: a seed that draws none makes
the same day with and without this module.
"""

from __future__ import annotations

import json
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from infra.simulator import control
from tests.support.world import EXPORT, item_guid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arena_exports.ports import Event
    from tests.simulation.simulation import Simulation

SHARE_OF_DAYS, SHARE_OF_SECONDS = 1 / 3, 0.2
BROKEN = "BROKEN00000000000001"
BAD_ITEM = item_guid(20_000)
UNKNOWN = tuple(f"MISSPELLED{n:010}" for n in range(40))
RUNS_OF_BROKEN = f"/v1/exports/{BROKEN}/runs"
ALWAYS: Mapping[str, Any] = {"times": None}
EVERY_POST: Mapping[str, Any] = {**ALWAYS, "method": "POST", "path": "*/runs"}
EVERY_LIST: Mapping[str, Any] = {**ALWAYS, "method": "GET", "path": "*/runs"}
EVERY_POLL: Mapping[str, Any] = {**ALWAYS, "method": "GET", "path": "*/runs/*"}
PAGE = "<html><h1>Forbidden</h1></html>"
WITHOUT_A_RUN: Sequence[Mapping[str, Any]] = (
    {"code": 3000},
    {"code": 3146},
    {"code": 4085, "status": 500},
    {"status": 502, "body": PAGE},
    {"status": 400, "body": PAGE},
    {"status": 403, "body": PAGE},
    {"status": 302, "body": PAGE, "headers": {"Location": "https://sso.example.com/"}},
)
TOO_LARGE: Sequence[Mapping[str, Any]] = (
    {"status": 403, "body": PAGE},
    {"status": 400, "body": PAGE},
    {"status": 413, "body": PAGE},
)
FIREWALL_BYTES = 8192
ITEMS_PAST_THE_FIREWALL = 500
# A lost POST is searched for 90 s and 150 s after it was sent, and its run may be 60 s late.
MAX_LAG_OF_LISTS_SECONDS = 45
# A run is given up after ten minutes of refusals.
MAX_LAG_OF_POLLS_SECONDS = 240
SECONDS_BETWEEN_LOSSES = 1800
# A run whose files are incomplete is polled again 5, 10 and 15 s later.
FILES_WHOLE_AFTER_SECONDS = 10
MAX_ECHOES = 60


class Field:
    """The troubles of one day: they begin with it, act every two minutes, and end or stay."""

    def __init__(self, simulation: Simulation, troubles: Sequence[str] | None) -> None:
        self._simulation = simulation
        self._arena = simulation.arena
        self.random = Random(f"field {simulation.seed}")
        self.troubles = tuple(self._draw() if troubles is None else troubles)
        self._lasting: list[Mapping[str, Any]] = []
        self._in_force: list[Callable[[], object]] = []
        self._not_found_until = 0.0
        self.stays_pending: str | None = None
        self.echoes: set[str] = set()

    def _draw(self) -> Iterator[str]:
        if self.random.random() < SHARE_OF_DAYS:
            count = 2 if self.random.random() < SHARE_OF_SECONDS else 1
            yield from self.random.sample(sorted(TROUBLES), count)

    def __contains__(self, trouble: str) -> bool:
        return trouble in self.troubles

    def begin(self) -> None:
        """Set up the day's troubles."""
        for trouble in self.troubles:
            TROUBLES[trouble](self)

    def disrupt(self) -> None:
        """Cause some of what happens from time to time."""
        for happening in self._in_force:
            if self.random.random() < 0.3:
                happening()

    def end(self) -> None:
        """Restore the faults that outlast the fault phase, after all were cleared."""
        self._in_force.clear()
        control.add_faults(self._arena, self._lasting)

    def echo(self, event: Event) -> None:
        """Put one of our events on the intake queue, as a wrong subscription does."""
        if "own events" not in self or not self._simulation.in_fault_phase:
            return
        if len(self.echoes) < MAX_ECHOES:
            self.send(event.body)
            self.echoes.add(self._simulation.messages[-1].message_id)

    def send(self, body: object) -> None:
        """Send a message now."""
        self._simulation.queue.send(body if isinstance(body, str) else json.dumps(body))

    def _send_sometime(self, *bodies: object) -> None:
        for body in bodies:
            at = self.random.uniform(5, 4000)
            self._simulation.scheduler.after(at, partial(self.send, body))

    def _last(self, *faults: Mapping[str, Any], for_ever: bool) -> None:
        self._lasting += faults if for_ever else ()
        control.add_faults(self._arena, list(faults))

    def _now_and_then(self, happening: Callable[[], object]) -> None:
        self._in_force.append(happening)

    def _some(self, count: int) -> list[str]:
        return [item_guid(30_000 + self.random.randrange(1000)) for _ in range(count)]

    # ---- troubles --------------------------------------------------------------------------------

    def _break_definition(self) -> None:
        """POSTs of one definition lead to no run; on some days, their answers are lost."""
        control.put_definition(self._arena, BROKEN, {})
        answer = {**self.random.choice(WITHOUT_A_RUN), "work": self.random.random() < 0.2}
        fault = {**EVERY_POST, "path": RUNS_OF_BROKEN, **answer}
        for_ever = not answer["work"] and self.random.random() < 0.5
        self.stays_pending = BROKEN if for_ever else None
        self._last(fault, for_ever=for_ever)
        for size in (1, 3, 20):
            self._send_sometime({"exportGuid": BROKEN, "itemGuids": self._some(size)})

    def _break_item(self) -> None:
        """No POST that carries one item leads to a run."""
        answer = self.random.choice(WITHOUT_A_RUN)
        self._last({**EVERY_POST, "itemGuids": [BAD_ITEM], **answer}, for_ever=True)
        self._send_sometime({"itemGuids": [*self._some(8), BAD_ITEM]}, {"itemGuids": self._some(5)})

    def _break_every_post(self) -> None:
        """No POST leads to a run, all day."""
        self._last({**EVERY_POST, **self.random.choice(WITHOUT_A_RUN)}, for_ever=False)

    def _put_up_a_firewall(self) -> None:
        """Large bodies are answered with a page instead of a run, for ever."""
        self._simulation.plan.max_items = 1000
        control.put_definition(self._arena, EXPORT, {})
        answer = self.random.choice(TOO_LARGE)
        self._last({**EVERY_POST, "bodyAboveBytes": FIREWALL_BYTES, **answer}, for_ever=True)
        start = 40_000
        for _ in range(2):
            guids = [item_guid(start + n) for n in range(ITEMS_PAST_THE_FIREWALL)]
            self._send_sometime({"itemGuids": guids})

    def _lag(self) -> None:
        """Young runs are not found, and are missing from lists, or lists are refused."""
        code = self.random.choice([404, 3011, 3012])
        in_lists: Mapping[str, Any] = self.random.choice([{"leaveOut": True}, {"code": code}])
        polls = self.random.choice([10, 60, MAX_LAG_OF_POLLS_SECONDS])
        lists = self.random.choice([0, 10, MAX_LAG_OF_LISTS_SECONDS])
        self._last(
            {**EVERY_POLL, "code": code, "runsYoungerThanSeconds": polls},
            {**EVERY_LIST, **in_lists, "runsYoungerThanSeconds": lists},
            for_ever=self.random.random() < 0.5,
        )
        self._now_and_then(self._lose_an_answer)

    def _lose_runs_for_a_while(self) -> None:
        """From time to time, no run is found for some minutes."""
        seconds = MAX_LAG_OF_POLLS_SECONDS
        answers: Sequence[Mapping[str, Any]] = ({"code": 404}, {"code": 3012}, {"code": 3011})

        def lose() -> None:
            now, lasts = self._simulation.scheduler.now, self.random.uniform(5, seconds)
            if now < self._not_found_until + SECONDS_BETWEEN_LOSSES:
                return
            self._not_found_until = now + lasts
            fault = {"method": "GET", "path": "/v1/exports/*", **self.random.choice(answers)}
            control.add_faults(self._arena, {**fault, "lastsSeconds": lasts})

        self._now_and_then(lose)
        self._now_and_then(self._lose_an_answer)

    def _refuse_filters(self) -> None:
        """Lists can be read only without a filter, or not at all."""
        parameters = self.random.choice([["status"], ["completionDateTimeFrom"], ["*"]])
        refusals: Sequence[Mapping[str, Any]] = (
            {"code": 400},
            {"code": 3011, "message": "Not an option."},
        )
        answer = self.random.choice(refusals)
        self._last({**EVERY_LIST, "parameters": parameters, **answer}, for_ever=True)
        self._now_and_then(self._lose_an_answer)

    def _show_login_pages(self) -> None:
        """A dead session is answered with a login page, for ever."""
        form = self.random.choice(["redirect", "page"])
        control.set_settings(self._arena, {"deadSessionForm": form})
        self._now_and_then(lambda: control.kill_sessions(self._arena))

    def _limit_bursts(self) -> None:
        """A gateway answers 429 for a while, although thousands of requests are left."""

        def limit() -> None:
            fault = {
                "path": "/v1/exports/*",
                "status": 429,
                "body": "<h1>Slow down</h1>",
                "counts": False,
                "arenaHeaders": self.random.random() < 0.7,
                "retryAfterSeconds": self.random.randint(1, 30),
                "retryAfterForm": self.random.choice(["seconds", "date"]),
                "lastsSeconds": self.random.uniform(5, 90),
            }
            control.add_faults(self._arena, fault)

        self._now_and_then(limit)

    def _alter_headers(self) -> None:
        """Proxies change the headers, for ever."""
        budget = {
            "remainingForm": self.random.choice(["joined", "decimals", "negative"]),
            "resetForm": self.random.choice(["zone", "joined"]),
        }
        control.set_budget(self._arena, budget)
        date = self.random.choice(["rfc", "zone", "joined", "none"])
        control.set_settings(self._arena, {"dateForm": date})

    def _muddle_files(self) -> None:
        """Files have no GUID yet, or are listed twice."""

        def muddle() -> None:
            plan = {
                "files": self.random.choice([2, 3]),
                "fileEntries": self.random.choice(["withoutGuid", "twice"]),
                "fileEntriesSeconds": self.random.choice([FILES_WHOLE_AFTER_SECONDS, None]),
            }
            control.plan_runs(self._arena, plan)

        self._now_and_then(muddle)

    def _misspell_definitions(self) -> None:
        """Many messages name definitions that do not exist, and never will."""
        names = self.random.sample(UNKNOWN, self.random.choice([3, 12, 40]))
        self._send_sometime(*({"exportGuid": name, "itemGuids": self._some(2)} for name in names))

    def _forget_a_definition(self) -> None:
        """Arena does not find the default definition for ten minutes, after a run of it."""
        self._simulation.scheduler.after(5.0, lambda: self.send(item_guid(10_000)))

        def forget() -> None:
            known = self._simulation.memory.items.get(f"DEF#{EXPORT}", {}).get("-", {})
            if known.get("lastSuccessAt"):
                fault = {"path": f"/v1/exports/{EXPORT}/runs", "code": 3012, "lastsSeconds": 600}
                control.add_faults(self._arena, {"method": "POST", **fault})

        self._now_and_then(forget)

    def _echo_events(self) -> None:
        """The intake queue is subscribed to the outcome topic (see `echo`)."""
        self._send_sometime({"itemGuids": "broken"}, self._some(1)[0])

    def _lose_an_answer(self) -> None:
        control.add_faults(
            self._arena, {"method": "POST", "path": "*/runs", "drop": True, "work": True}
        )


TROUBLES: Mapping[str, Callable[[Field], None]] = {
    "broken definition": Field._break_definition,
    "broken item": Field._break_item,
    "broken day": Field._break_every_post,
    "firewall": Field._put_up_a_firewall,
    "lagging reads": Field._lag,
    "runs not found": Field._lose_runs_for_a_while,
    "refused filters": Field._refuse_filters,
    "login pages": Field._show_login_pages,
    "burst limits": Field._limit_bursts,
    "altered headers": Field._alter_headers,
    "muddled files": Field._muddle_files,
    "unknown definitions": Field._misspell_definitions,
    "forgotten definition": Field._forget_a_definition,
    "own events": Field._echo_events,
}
