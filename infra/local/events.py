"""The events of the stack that `make up` left running, kept so that they can be seen again."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from infra.local.subscriber import ReceivedEvent

LOOK_SECONDS = 0.5


class Receives(Protocol):
    """Whatever gives the events that have arrived since it was last asked, as a subscriber does."""

    def receive(self) -> list[ReceivedEvent]:
        """Take what has arrived."""


def followed(subscriber: Receives, kept: Path) -> Iterator[dict[str, Any]]:
    """Yield the events that stand in the file `kept`, then for ever those that come.

    What comes goes through the file, so that two who look at the same time miss nothing.
    """
    with kept.open("ab", buffering=0) as end, kept.open() as lines:
        while True:
            arrived = [json.dumps(received.event) + "\n" for received in subscriber.receive()]
            end.write("".join(arrived).encode())
            yield from map(json.loads, lines)
            time.sleep(LOOK_SECONDS)
