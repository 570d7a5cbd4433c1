"""The events of the background stack, kept in a file so that they can be shown again."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from infra.local.subscriber import ReceivedEvent

POLL_SECONDS = 0.5


class Receives(Protocol):
    """A source of events, such as a subscriber."""

    def receive(self) -> list[ReceivedEvent]:
        """Return the events that have arrived since the last call."""


def follow(subscriber: Receives, history: Path) -> Iterator[dict[str, Any]]:
    """Yield the events in the file `history`, then new ones as they arrive.

    New events are written to the file first, so that two readers at the same time miss nothing.
    """
    with history.open("ab", buffering=0) as end, history.open() as lines:
        while True:
            arrived = [json.dumps(received.event) + "\n" for received in subscriber.receive()]
            end.write("".join(arrived).encode())
            yield from map(json.loads, lines)
            time.sleep(POLL_SECONDS)
