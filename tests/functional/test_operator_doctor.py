"""`doctor --arena`: it says the price, asks, asks Arena, and records the answers."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from infra.simulator import control, names
from tests.support.operator import CALLER, ask, install_context
from tests.support.world import EXPORT, World, items

if TYPE_CHECKING:
    from pathlib import Path


class Permitted:
    """AWS as a user meets it who may invoke functions and name the stack's resources."""

    region = "us-east-1"

    def __init__(self, world: World) -> None:
        self._world = world
        self.denied = False
        self.fails = False

    def caller(self) -> str:
        """Return the ARN that the calls are made with."""
        return CALLER

    def client(self, _service: str, **_options: int) -> Permitted:
        """Return the client of a service: this object is all of them."""
        return self

    def describe_stack_resource(self, **named: str) -> dict[str, Any]:
        """Name a resource as the template does."""
        return {"StackResourceDetail": {"PhysicalResourceId": named["LogicalResourceId"]}}

    def invoke(self, **call: Any) -> dict[str, Any]:
        """Call the function examine of the world."""
        assert call["FunctionName"] == "ExamineFunction"
        if self.denied:
            self.refuse()
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": BytesIO(b'{"errorType": "KeyError"}')}
        answer = self._world.call("examine", json.loads(call["Payload"]))
        return {"Payload": BytesIO(json.dumps(answer).encode())}

    def refuse(self, *_: Any, **__: Any) -> None:
        """Refuse a call."""
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "Call")

    def __getattr__(self, _operation: str) -> Any:
        return self.refuse


@pytest.fixture
def world() -> World:
    """A world in which a run has succeeded."""
    world = World()
    world.send({"itemGuids": items(3)})
    world.settle()
    return world


@pytest.fixture
def aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Permitted:
    """What the command reaches of AWS."""
    aws = Permitted(world)
    install_context(monkeypatch, world, aws=aws)
    return aws


def checks(*arguments: str) -> dict[str, list[tuple[str, str]]]:
    """Run `doctor --arena --yes`; return verdicts and texts by the name of the check."""
    result = ask("doctor", "--arena", "--yes", "--output", "json", *arguments)
    found: dict[str, list[tuple[str, str]]] = {}
    for check in json.loads(result.stdout)["checks"]:
        found.setdefault(check["name"], []).append((check["verdict"], check["text"]))
    return found


@pytest.mark.usefixtures("aws")
def test_doctor__says_the_price_and_sends_nothing_without_a_yes(world: World) -> None:
    """Nor does it without `--arena`."""
    before = len(world.arena.request_log.records)
    asked = ask("doctor", "--arena")
    assert asked.exit_code == 1
    assert f"Ask Arena about {EXPORT}: at most 3 Arena requests" in asked.stderr
    assert "doctor --arena asks Arena" in ask("doctor").stdout
    assert len(world.arena.request_log.records) == before


@pytest.mark.usefixtures("aws")
def test_doctor__asks_arena_about_the_default_definition(world: World) -> None:
    """Two requests, logged with the caller's ARN; other definitions are named as not checked."""
    before = len(world.arena.request_log.records)
    found = checks()
    assert found["definition"] == [
        ("OK", f"Arena knows {EXPORT}, and the machine user may read it")
    ]
    assert found["criteria"] == [("OK", "it has no criteria: requests name the items")]
    assert found["runs"] == [("OK", "the machine user sees 1 run of it")]
    ((verdict, text),) = found["definitions"]
    assert (verdict, "definitions that only requests name" in text) == ("not checked", True)
    assert len(world.arena.request_log.records) == before + 2
    line = ("operator asks arena", {"exportGuid": EXPORT, "sentBy": CALLER})
    assert line in world.telemetry.lines


def test_doctor__asks_about_a_named_definition(world: World, aws: Permitted) -> None:
    """The default is then among what was not checked; an unknown one fails."""
    del aws
    found = checks("--export", names.FILES_EXPORT_GUID.lower())
    assert ("OK", "a run has at most 5,000 lines, because of FILES") in found["views"]
    assert EXPORT in found["definitions"][0][1]
    assert ask("doctor", "--arena", "--yes", "--export", "NOSUCHDEFINITION0001").exit_code == 1
    assert ask("doctor", "--arena", "--yes", "--export", "x").exit_code == 2
    control.put_definition(world.arena, EXPORT, {"views": ["BOM_SUBSTITUTES"]})
    assert ("warning",) in [(verdict,) for verdict, _ in checks()["views"]]


def test_doctor__records_answers_without_people(
    world: World, aws: Permitted, tmp_path: Path
) -> None:
    """Two files, which hold Arena's form and nobody's name."""
    del world, aws
    folder = tmp_path / "new" / "fixtures"
    result = ask("doctor", "--arena", "--yes", "--record", str(folder))
    assert f"Wrote {folder / 'runs.json'}." in result.stderr
    recorded = {path.name: path.read_text() for path in folder.iterdir()}
    assert recorded.keys() == {"definition.json", "runs.json"}
    (run,) = json.loads(recorded["runs.json"])["body"]["results"]
    assert run["status"] == "COMPLETE"
    assert run["creator"].keys() == {"email", "fullName", "guid"}
    for text in recorded.values():
        assert "@" not in text
        assert "Machine User" not in text


def test_doctor__that_may_not_ask_says_so(aws: Permitted) -> None:
    """The other checks are made all the same."""
    aws.denied = True
    found = checks()
    assert found["arena"][0][0] == "not checked"
    assert "stack" in found


def test_doctor__reports_a_function_that_fails(aws: Permitted) -> None:
    """One line, with the exit code of a problem."""
    aws.fails = True
    failed = ask("doctor", "--arena", "--yes")
    assert failed.exit_code == 1
    assert "the function examine failed (KeyError): see its log" in failed.stderr


@pytest.mark.usefixtures("aws")
def test_doctor__options_that_contradict_each_other() -> None:
    """Recording needs Arena, and Arena a deployed stack."""
    assert ask("doctor", "--record", "x").exit_code == 2
    assert ask("doctor", "--before", "--arena").exit_code == 2
