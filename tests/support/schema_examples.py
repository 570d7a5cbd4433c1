"""The examples of `infra/schemas`, captured from a small world (`make schemas` writes them)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.simulator import control, names
from tests.events import event_bridge, sns
from tests.support.schemas import FOLDER, schema_name
from tests.support.world import EXPORT, World

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = FOLDER / "examples"
ASYNCAPI = FOLDER / "asyncapi.json"
A, B = "CUEXB8CEPGHGZI18WDMU", "M407LIMOZGZQ5TUP27F"
REQUEST = {"exportGuid": EXPORT, "itemGuids": [A, B], "correlationId": "ECO-000023"}
MESSAGES: dict[str, Any] = {
    "message-request": REQUEST,
    "message-definition-request": {"exportGuid": names.DEFINITION_EXPORT_GUID},
    "message-guid": A,
    "message-guid-list": [A, B],
    "message-arena-answer": {"count": 2, "results": [A, B]},
    "message-reconcile": {"action": "reconcile"},
    "message-sns-notification": sns(REQUEST),
    "message-eventbridge-event": event_bridge(REQUEST),
}


def captured() -> dict[str, Any]:
    """Return the messages that a world accepted, the first event of each type and a manifest."""
    world = World(settings={"delivers_files": True})
    for message in MESSAGES.values():
        world.send(message)
        world.settle()
    assert not world.dead_letters.letters
    world.send({"itemGuids": ["not-a-guid"], "correlationId": "ECO-000666"})
    control.plan_runs(world.arena, {"status": "ABORTED", "count": 2})
    world.send(REQUEST)
    world.settle()
    _export_with_an_empty_file(world)
    events = {schema_name(event["type"]): event for event in reversed(world.events())}
    key = events["event-run-delivered"]["data"]["manifestKey"]
    return {**MESSAGES, **events, "manifest": json.loads(world.bucket.objects[key].body)}


def _export_with_an_empty_file(world: World) -> None:
    """Let a run have two files; Arena refuses the first at its first and its second try."""
    control.plan_runs(world.arena, {"files": 2})
    refusal = {"path": "*/content", "code": 3028}
    control.add_faults(world.arena, [refusal, {**refusal, "skip": 1}])
    world.send(REQUEST)
    world.settle()


def documents() -> dict[Path, str]:
    """Return the files with examples, and what they should contain."""
    examples = captured()
    api = json.loads(ASYNCAPI.read_text())
    for name, message in api["components"]["messages"].items():
        if name in examples:
            message["examples"] = [{"payload": examples[name]}]
    files = {EXAMPLES / f"{name}.json": value for name, value in examples.items()}
    return {path: _text(value) for path, value in {ASYNCAPI: api, **files}.items()}


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    for path, text in documents().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
