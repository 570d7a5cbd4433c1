"""A run whose answer was lost is found, whatever stands beside it (R3)."""

from __future__ import annotations

import pytest

from infra.local.simulator import control, names
from tests.support.world import EXPORT, World, item_guid

ITEMS = [item_guid(n) for n in range(5)]
LOST = {"method": "POST", "path": "*/runs", "work": True, "drop": True}


def known_world() -> World:
    """Return a world in which one run was made, so that our user is known."""
    world = World()
    world.send(item_guid(99))
    world.settle()
    return world


def exported_once(world: World) -> bool:
    """Tell whether each of the items was exported exactly once."""
    return all(world.exported()[guid] == 1 for guid in ITEMS)


def ours(world: World) -> int:
    """Count the runs of our user."""
    return sum(1 for run in world.arena.exports.runs if run.creator.email.startswith("machine"))


@pytest.mark.parametrize("seconds", [1, 120, 2000])
def test_adoption__of_a_run_at_any_stage(seconds: int) -> None:
    """A run that has ended already, ends meanwhile, or runs on, is adopted all the same."""
    world = known_world()
    control.plan_runs(world.arena, {"runningSeconds": seconds})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__not_of_a_stranger_s_run_with_the_same_items() -> None:
    """A run of somebody else with the same items, at the same time, is not taken for ours."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    control.start_foreign_run(
        world.arena, {"seconds": 300, "exportGuid": EXPORT, "itemGuids": ITEMS}
    )
    world.settle()
    assert exported_once(world)
    assert world.telemetry.metrics["RunsUnreadable"] == 0
    assert world.telemetry.metrics["RunsAdopted"] == 0


@pytest.mark.parametrize("own", [True, False], ids=["beside ours", "instead of ours"])
def test_adoption__not_of_a_stranger_s_run_while_nobody_knows_who_we_are(*, own: bool) -> None:
    """Before the first 201, and without items to compare: what cannot be read is not ours."""
    world = World()
    control.add_faults(world.arena, {**LOST, "work": own})
    control.plan_runs(world.arena, {"runningSeconds": 2})
    world.send({"exportGuid": names.DEFINITION_EXPORT_GUID})
    world.run_for(10)
    stranger = {"seconds": 20, "exportGuid": names.DEFINITION_EXPORT_GUID}
    control.start_foreign_run(world.arena, stranger)
    world.settle()
    assert len(world.events("run.completed")) == 1
    assert ours(world) == 1
    assert world.telemetry.metrics["RunsAdopted"] == own
    assert world.telemetry.metrics["RunsUnreadable"] == 0


def test_adoption__not_of_an_older_run_of_ours_with_the_same_items() -> None:
    """The same items exported a moment ago are not taken for the answer that was lost."""
    world = known_world()
    world.send(*ITEMS)
    world.settle()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.settle()
    assert all(world.exported()[guid] == 2 for guid in ITEMS)
    assert ours(world) == 3


@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("shape", ["array", "groups"])
def test_adoption__with_a_clock_that_is_off(skew: int, shape: str) -> None:
    """Arena's clock ten minutes off, and either shape of criteria, do not matter."""
    world = known_world()
    control.set_settings(world.arena, {"clockSkewSeconds": skew, "criteriaShape": shape})
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2


def test_adoption__looks_at_what_is_new_and_not_at_the_whole_list() -> None:
    """The list of runs may be long: it is asked by status and by time, never whole."""
    world = known_world()
    for n in range(30):
        world.send(item_guid(1000 + n))
        world.settle()
    control.add_faults(world.arena, LOST)
    world.send(*ITEMS)
    seen: list[str] = []
    send = world.transport.send

    def keep(request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the transport
        seen.append(request.path)
        return send(request)

    world.transport.send = keep  # type: ignore[method-assign]
    world.settle()
    assert exported_once(world)
    lists = [path for path in seen if "/runs?" in path]
    assert len(lists) == 3
    assert all("status=" in path or "completionDateTimeFrom=" in path for path in lists)


def test_adoption__goes_on_when_the_slot_is_taken_in_between() -> None:
    """A 3144 after an unknown POST means to look again, not to give up."""
    world = known_world()
    control.add_faults(world.arena, {**LOST, "work": False})
    world.send(*ITEMS)
    world.run_for(200)
    control.start_foreign_run(world.arena, {"seconds": 400})
    world.settle()
    assert exported_once(world)
    assert ours(world) == 2
