"""Filters for the list of runs."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from infra.simulator.clock import parse_utc
from infra.simulator.errors import invalid_option
from infra.simulator.runs import READY, Run, RunStatus

T = TypeVar("T")
_BOOLEANS = MappingProxyType({"true": True, "false": False})


def apply(runs: Iterable[Run], query: Mapping[str, str], now: float, skew: float) -> list[Run]:
    """Return the runs that match all filters; other query parameters are ignored."""
    found = list(runs)
    if "status" in query:
        status = _read(query, "status", RunStatus)
        found = [run for run in found if run.status(now) == status]
    if "number" in query:
        number = _read(query, "number", int)
        found = [run for run in found if run.number == number]
    if "completionDateTimeFrom" in query:
        first = _read(query, "completionDateTimeFrom", parse_utc)
        found = [run for run in found if (at := _completed(run, now, skew)) and at >= first]
    if "completionDateTimeTo" in query:
        last = _read(query, "completionDateTimeTo", parse_utc)
        found = [run for run in found if (at := _completed(run, now, skew)) and at <= last]
    if "latestCompleted" in query and _read(query, "latestCompleted", _BOOLEANS.__getitem__):
        found = _latest_ready(found, now)
    return found


def _read(query: Mapping[str, str], name: str, read: Callable[[str], T]) -> T:
    try:
        return read(query[name])
    except (ValueError, KeyError):
        raise invalid_option(query[name], name) from None


def _completed(run: Run, now: float, skew: float) -> int | None:
    ended_at = run.ended_at(now)
    return None if ended_at is None else int(ended_at + skew)


def _latest_ready(runs: Iterable[Run], now: float) -> list[Run]:
    ready = [run for run in runs if run.status(now) in READY]
    return [max(ready, key=lambda run: (run.ended_at(now) or 0.0, run.number))] if ready else []
