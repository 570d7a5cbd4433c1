"""The operator's question: what became of this request?"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from infra import lookup
from tests.support.world import World, item_guid


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose ledger the command reads."""
    world = World(settings={"max_items_per_run": 10})
    monkeypatch.setattr(lookup, "DynamoTable", lambda *_: world.table)
    return world


def test_lookup__shows_runs_and_what_is_pending(world: World) -> None:
    """Each run that took items of the request is named, with its status."""
    (request_id,) = world.send({"itemGuids": [item_guid(n) for n in range(15)]})
    while not world.events("completed"):
        world.run_for(1)
    result = CliRunner().invoke(lookup.main, ["--table", "ledger", request_id])
    assert result.exit_code == 0
    assert "Items still pending: 5" in result.output
    world.settle()
    result = CliRunner().invoke(lookup.main, ["--table", "ledger", request_id])
    assert "Items still pending: 0" in result.output
    assert result.output.count("COMPLETE") == 2


def test_lookup__of_an_unknown_request(world: World) -> None:
    """A request that was never recorded is said to be unknown."""
    assert world
    result = CliRunner().invoke(lookup.main, ["--table", "ledger", "nobody"])
    assert result.exit_code == 1
    assert "never recorded" in result.output
