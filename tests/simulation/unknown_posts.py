"""R3: another POST follows an unknown one only after two empty searches, a minute apart."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from arena_exports.adapters.http import WHOLE_TIMEOUT_SECONDS
from arena_exports.services.adoption import MAX_REFUSED_SEARCHES
from infra.simulator import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena_exports.ports import HttpAnswer, HttpRequest
    from tests.simulation.simulation import Simulation

CREATED, TOO_MANY_REQUESTS, SERVER_ERROR, TOO_LARGE = 201, 429, 500, 413
UNKNOWN_CODES = frozenset({503, 3000, 3146, 4085, 4087})
# The filters of the lists that make up one search, in order; the list without a filter is enough.
FILTERS = (("status", "CREATED"), ("status", "RUNNING"), ("completionDateTimeFrom", ""))
SEARCHES, SECONDS_APART = 2, 60
SECONDS_BEFORE_SEARCH = WHOLE_TIMEOUT_SECONDS + 60
# A list is tried three times within this time; together they are one failed search.
SECONDS_OF_A_SEARCH = 50
# The ledger rounds times to whole seconds.
ROUNDING_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to Arena for the runs of a definition, and its answer if one arrived.

    `function` tells apart the functions that send at the same time.
    """

    began: float
    ended: float
    function: int
    request: HttpRequest
    answer: HttpAnswer | None

    @property
    def is_post(self) -> bool:
        """Whether it asks for a run."""
        return self.request.method == "POST"

    @property
    def content(self) -> Any:
        """The JSON of the answer; None for no answer, and for anything else."""
        try:
            return json.loads(self.answer.body) if self.answer else None
        except ValueError:
            return None

    @property
    def is_unknown(self) -> bool:
        """Whether the answer to a POST leaves open if there is a run."""
        content = self.content if isinstance(self.content, dict) else {}
        if self.answer is None or self.answer.status >= SERVER_ERROR:
            return True
        if self.answer.status in (TOO_MANY_REQUESTS, TOO_LARGE):
            return False
        if self.answer.status == CREATED:
            return "guid" not in content
        codes = {error.get("code") for error in content.get("errors", ())}
        return not codes or not codes.isdisjoint(UNKNOWN_CODES)

    @property
    def listed(self) -> list[str] | None:
        """The GUIDs of the runs that a list shows; None unless it has the documented form."""
        if self.answer is None or self.answer.status != 200 or not isinstance(self.content, dict):
            return None
        runs = self.content.get("results")
        return None if runs is None else [run["guid"] for run in runs]

    @property
    def filter(self) -> tuple[str, str] | None:
        """The filter of a list: its name, and its value unless that is a time."""
        found = parse_qs(urlsplit(self.request.path).query)
        for name, value in FILTERS:
            if value in ("", *found.get(name, ())) and name in found:
                return name, value
        return None


@dataclass(slots=True)
class Searches:
    """The searches since an unknown POST.

    `empty` has when each complete search without a result began and ended. `found` is whether a
    list showed a run that the POST may have started: that run is adopted.
    """

    post: Exchange
    tolerance: float
    empty: list[tuple[float, float]] = field(default_factory=list)
    found: bool = False
    failed: int = 0
    _failed_at: float = 0.0
    _lists: dict[int, list[Exchange]] = field(default_factory=dict)

    def add(self, exchange: Exchange, ours: set[str]) -> None:
        """Count a list; `ours` are the runs that the POST may have started."""
        lists = self._lists.setdefault(exchange.function, [])
        if exchange.filter == FILTERS[0]:
            lists.clear()
        if exchange.listed is None:
            self._fail(exchange.began)
            return
        self.found = self.found or not ours.isdisjoint(exchange.listed)
        lists.append(exchange)
        filters = tuple(dict.fromkeys(one.filter for one in lists))
        if exchange.filter is None or filters == FILTERS:
            self.empty.append((lists[0].began, exchange.ended))
            lists.clear()

    def _fail(self, at: float) -> None:
        if at >= self._failed_at + SECONDS_OF_A_SEARCH:
            self._failed_at = at
            self.failed += 1

    def problem(self, again: Exchange) -> str:
        """Return why another POST must not follow yet; "" if it may.

        An attempt whose searches keep failing is written off, and its requests are sent again.
        """
        if self.found or self.failed >= MAX_REFUSED_SEARCHES:
            return ""
        since = self.post.began + SECONDS_BEFORE_SEARCH - self.tolerance
        counted = [(began, ended) for began, ended in self.empty if began >= since]
        text = f"POST at {again.began:.0f}, after an unknown one at {self.post.began:.0f} and"
        if len(counted) < SEARCHES:
            return f"{text} {len(counted)} empty searches that count, of {len(self.empty)}"
        apart = counted[-1][0] - counted[0][1]
        if apart < SECONDS_APART - self.tolerance:
            return f"{text} searches only {apart:.0f} s apart"
        return ""


def early_posts(simulation: Simulation) -> Iterator[str]:
    """R3: two empty searches, a minute apart, come between an unknown POST and the next one."""
    runs = {
        run.guid: run.created_at
        for run in simulation.arena.exports.runs
        if run.creator.email == names.MACHINE_EMAIL
        and run.guid not in simulation.disruptions.runs_by_hand
    }
    searches: Searches | None = None
    for exchange in sorted(simulation.exchanges, key=lambda one: one.began):
        if exchange.is_post:
            problem = searches.problem(exchange) if searches else ""
            if problem:
                yield problem
            tolerance = simulation.plan.skew + ROUNDING_SECONDS
            searches = Searches(exchange, tolerance) if exchange.is_unknown else None
        elif searches:
            since = searches.post.began
            searches.add(exchange, {guid for guid, at in runs.items() if at >= since})
