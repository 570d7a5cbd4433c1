"""What tests put between us and the outside: answers rewritten, a strict table, clocks apart."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from arena_exports.arena import protocol
from arena_exports.ports import HttpAnswer, HttpRequest
from tests.support.fakes import FakeExecutions, InMemoryDeadLetterQueue, InMemoryTopic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from arena_exports.ports import Clock, DeadLetter, Event
    from tests.support.fakes import InMemoryTable
    from tests.support.world import World

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HARD_LETTERS = "".join(map(chr, range(0x20000, 0x2A000)))  # four bytes each, two JSON escapes


def random_text(random: Random, letters: str, length: int) -> str:
    """Return text that hardly packs."""
    return "".join(random.choices(letters, k=length))


class Rewriting:
    """The way to Arena, with somebody on it who changes answers."""

    def __init__(self, world: World, call: str, change: Callable[[Any], Any]) -> None:
        self._send = world.transport.send
        self._call = call
        self._change = change
        world.transport.send = self.send  # type: ignore[method-assign]

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send, and change the answer to the call that is meant."""
        answer = self._send(request)
        if request.call != self._call or answer.status >= protocol.HTTP_ERROR:
            return answer
        content = self._change(json.loads(answer.body))
        return HttpAnswer(answer.status, answer.headers, json.dumps(content).encode())


class Strict:
    """A table that refuses numbers and keys as DynamoDB does, beside items that are too large."""

    def __init__(self, table: InMemoryTable) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        """Read, and count, as the table does."""
        return getattr(self._table, name)

    def write(self, *writes: Any) -> None:
        """Write what DynamoDB would take: 38 digits, keys of 1 and 2 KiB."""
        for write in writes:
            assert len(write.key[0]) <= 2048
            assert len(write.key[1]) <= 1024
            _check_values(getattr(write, "item", getattr(write, "values", {})))
        self._table.write(*writes)


def _check_values(value: Any) -> None:
    for inner in value.values() if isinstance(value, dict) else ():
        _check_values(inner)
    assert not isinstance(value, int) or len(str(value)) <= 38
    assert not isinstance(value, str) or value.encode() is not None


class StrictTopic(InMemoryTopic):
    """A topic that takes what SNS takes."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events of 256 KiB at most."""
        for event in events:
            attributes = sum(len(name) + len(text) + 10 for name, text in event.attributes.items())
            assert len(event.body.encode()) + attributes <= 256 * 1024
            assert all(event.attributes.values())
        super().publish(events)


class StrictQueue(InMemoryDeadLetterQueue):
    """A dead-letter queue that takes what SQS takes."""

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send letters of 1 MiB at most, in characters that XML can hold."""
        for letter in letters:
            texts = [letter.body, *letter.attributes.values()]
            assert all(texts)
            assert sum(len(text.encode()) for text in texts) < 1024 * 1024
            assert not any(_NOT_XML.search(text) for text in texts)
        super().send(letters)


class StrictExecutions(FakeExecutions):
    """Executions whose names Step Functions takes."""

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        """Start one under a name of 80 letters and digits at most."""
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name)
        super().start(name, state)


class Apart:
    """A clock so many seconds apart from another."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        """Sleep and draw as the other clock does."""
        return getattr(self._clock, name)

    def now(self) -> float:
        """Return the other's time, so many seconds off."""
        return self._clock.now() + self._seconds
