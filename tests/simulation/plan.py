"""The plan of a simulated day: what is sent, what is bad, and what Arena does not document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.world import item_guid

if TYPE_CHECKING:
    from random import Random

MAX_SKEW_SECONDS = 3.0


@dataclass
class Plan:
    """A day's plan, drawn from its seed. Probabilities are for each disruption, every two minutes.

    `arena` holds the simulator's settings for what the vendor does not document. `skew` is the
    largest difference between the clocks of two functions. `most_items` is Arena's limit for a run
    of the default definition (None: the documented limit). `late` names definitions that do not
    exist, or are refused, until the fault phase ends.
    """

    messages: int
    pool: int
    max_items: int
    poison: frozenset[str] = frozenset()
    bad: frozenset[str] = frozenset()
    batch: int = 10
    reserve: int = 0
    breaks_runs: float = 0.0
    foreign: float = 0.0
    twins: bool = False
    kills_sessions: float = 0.0
    overwrites_secret: float = 0.0
    breaks_logins: float = 0.0
    stops_executions: float = 0.0
    scarce: bool = False
    skew: float = 0.0
    most_items: int | None = None
    late: tuple[str, ...] = ()
    budget: dict[str, Any] = field(default_factory=dict)
    arena: dict[str, Any] = field(default_factory=dict)


def draw_plan(random: Random) -> Plan:
    """Draw the plan of a day."""
    pool = random.choice([5, 30, 120])
    guids = [item_guid(n) for n in range(pool)]
    max_items = random.choice([2, 7, 50])
    poison = frozenset(random.sample(guids, random.choice([0, 0, 1, 2])))
    most_items = random.choice([None, None, None, 5])
    many_runs = max_items == 2 or bool(poison) or most_items is not None
    return Plan(
        messages=random.choice([3, 8, 16] if many_runs else [3, 12, 40]),
        pool=pool,
        max_items=max_items,
        poison=poison,
        bad=frozenset(random.sample(guids, random.choice([0, 0, 1, 3]))),
        batch=random.choice([1, 10, 980]),
        reserve=random.choice([0, 50]),
        breaks_runs=random.choice([0.0, 0.0, 0.1]),
        foreign=random.choice([0.0, 0.0, 0.3]),
        twins=random.random() < 0.3,
        kills_sessions=random.choice([0.0, 0.0, 0.2]),
        overwrites_secret=random.choice([0.0, 0.0, 0.0, 0.1]),
        breaks_logins=random.choice([0.0, 0.0, 0.0, 0.1]),
        stops_executions=random.choice([0.0, 0.0, 0.2]),
        scarce=random.random() < 0.1,
        skew=random.choice([0.0, 0.0, MAX_SKEW_SECONDS]),
        most_items=most_items,
        late=random.choice([(), (), ("UNKNOWN0000000000001",), ("REFUSED0000000000001",)]),
        budget={"resetForm": random.choice(["documented", "rfc", "zulu", "garbage", "none"])},
        arena=_open_choices(random, many_runs=many_runs),
    )


def _open_choices(random: Random, *, many_runs: bool) -> dict[str, Any]:
    """Draw what Arena does not document, and how long its runs take.

    Where there are many runs, they are short: a day's items must all be exported within the next.
    """
    return {
        "runningSeconds": random.choice([3, 20, 120] if many_runs else [3, 60, 900]),
        "criteriaShape": random.choice(["array", "groups"]),
        "badGuidsNamed": random.choice(["first", "all"]),
        "badGuidBlanks": random.random() < 0.5,
        "slotCheckedFirst": random.random() < 0.5,
        "unknownDefinitionCode": random.choice([3011, 3012]),
        "listShowsOthers": random.random() < 0.5,
        "listOrder": random.choice(["newest", "oldest"]),
        "sessionKey": random.choice(["arenaSessionId", "arena_session_id"]),
        "emptyFiles": random.choice(["absent", "empty", "null"]),
        "oldCodes": random.random() < 0.2,
        "clockSkewSeconds": random.choice([0, 0, -600, 600]),
    }
