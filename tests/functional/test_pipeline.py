"""The whole pipeline, in one process on virtual time."""

from infra.simulator import control, names
from tests.support.world import EXPORT, World, item_guid


def test_batch__is_exported_in_one_run() -> None:
    """A batch of requests is exported in one run, and one event names its files."""
    world = World()
    world.send(*[item_guid(n) for n in range(50)])
    world.settle()
    (event,) = world.events()
    assert event["type"] == "arena.export.run.completed"
    assert sorted(event["data"]["itemGuids"]) == [item_guid(n) for n in range(50)]
    assert world.posts() == 1
    assert event["data"]["fileGuids"]
    assert not world.errors


def test_requests_during_a_run__are_exported_in_the_next_one() -> None:
    """Requests that arrive during a run share the next one, even for the same item."""
    world = World()
    world.send(item_guid(1))
    for n in range(20):
        world.send(item_guid(n))
    world.settle()
    assert world.posts() == 2
    assert world.exported()[item_guid(1)] == 2
    assert world.answers(3144) == 0


def test_item_that_fails_its_runs__is_found_by_halving() -> None:
    """One item that makes runs fail is rejected, and the others are exported."""
    world = World()
    control.set_guids(world.arena, {"poison": [item_guid(13)]})
    world.send({"exportGuid": EXPORT, "itemGuids": [item_guid(n) for n in range(64)]})
    world.send(*[item_guid(n) for n in range(100, 110)])
    world.settle()
    (rejected,) = world.events("rejected")
    assert rejected["data"]["itemGuids"] == [item_guid(13)]
    assert len(world.exported()) == 63 + 10


def test_definition_run__uses_the_criteria_of_the_definition() -> None:
    """A request without items runs the definition with its own criteria."""
    world = World()
    world.send(
        {"exportGuid": names.DEFINITION_EXPORT_GUID}, {"exportGuid": names.DEFINITION_EXPORT_GUID}
    )
    world.settle()
    (event,) = world.events()
    assert event["data"]["itemGuids"] == []
    assert len(event["data"]["requests"]) == 2
