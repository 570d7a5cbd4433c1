"""Large contents must not block everything for ever: a ledger item holds 400 KB."""

from __future__ import annotations

import string
from random import Random

from arena_exports.ledger.requests import MAX_SLICES
from arena_exports.services.submission import MAX_ITEMS_REJECTED
from infra.simulator import control, names
from tests.support.world import FOUR_BYTE_LETTERS, World, items, random_text

RANDOM = Random(1)


def test_failed_set__fits_its_pages_with_long_correlation_ids() -> None:
    """FAULT 34: a failed set is stored on pages that fit, whatever its requests contain."""
    world = World()
    control.plan_runs(world.arena, {"status": "FAILED"})
    control.start_foreign_run(world.arena, {"seconds": 60})
    for start in range(0, 1500, 250):
        world.send(
            *(
                {"itemGuids": [guid], "correlationId": random_text(RANDOM, FOUR_BYTE_LETTERS, 128)}
                for guid in items(250, start)
            )
        )
    world.settle()
    assert sorted(world.exported()) == items(1500)


def test_schedule__of_a_definition_that_was_refused_for_weeks_drains() -> None:
    """FAULT 11: hundreds of pages are exported in runs that the ledger can record and settle."""
    world = World(settings={"max_items_per_run": 20_000, "exports_paused": True})
    body = {"exportGuid": names.DEFINITION_EXPORT_GUID}
    ids = [world.send(body)[0] for _ in range(MAX_SLICES + 10)]
    world.redeploy(exports_paused=False)
    world.settle()
    runs = [event["data"]["requests"] for event in world.events("completed")]
    assert sorted({r["requestId"] for requests in runs for r in requests}) == ids
    assert world.posts() == 2


def test_attempt__whose_items_are_all_refused_fits_its_ledger_item() -> None:
    """FAULT 50: Arena refuses each of 20,000 items with the longest GUIDs by name."""
    random = Random(1)
    world = World(settings={"max_items_per_run": 20_000})
    letters = string.ascii_uppercase + string.digits
    guids = [random_text(random, letters, 32) for _ in range(20_000)]
    control.set_settings(world.arena, {"badGuidsNamed": "all"})
    control.set_guids(world.arena, {"bad": guids})
    world.send({"itemGuids": guids})
    world.settle()
    rejected = [guid for event in world.events("rejected") for guid in event["data"]["itemGuids"]]
    assert sorted(rejected) == sorted(guids)
    assert world.posts() <= 20_000 / MAX_ITEMS_REJECTED + 4
