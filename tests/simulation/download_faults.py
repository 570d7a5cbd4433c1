"""What goes wrong with a download, as faults of the Arena simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from infra.simulator.files import RunFile

    Fault = Mapping[str, Any]

PAGE = "<html><h1>Forbidden</h1></html>"
ARENA_ERROR = '{"status": 500, "errors": [{"code": 3000, "message": "Unexpected."}]}'
# Their end shows that they are whole; of others, a gateway can take the end without a trace.
WITH_AN_END = ("zip", "json")
CODES = (400, 403, 3000, 3011, 3012, 3017, 3024, 3028, 3146, 4077, 4078, 4085)
SECONDS_OF_A_SLOW_FILE = 1000  # longer than deliver may run


def download_fault(random: Random, file: RunFile) -> Fault:
    """Draw what happens to the next download, which is of this file."""
    return random.choice(_DRAWS)(random, file)


def slow(file: RunFile) -> Fault:
    """Return the fault of a file that never fits into the function's time."""
    rate = max(file.content().length // SECONDS_OF_A_SLOW_FILE, 1)
    return {"download": {"bytesPerSecond": rate}}


def _framing(random: Random, file: RunFile) -> str:
    """Draw a framing in which a body that is cut off can be told from a whole one."""
    return random.choice(["length", "chunked", *(["close"] if file.kind in WITH_AN_END else [])])


def _somewhere(random: Random, file: RunFile) -> int:
    return random.randrange(1, file.content().length)


def _cut(random: Random, file: RunFile) -> Fault:
    at = _somewhere(random, file)
    return {"download": {"cutAfterBytes": at, "framing": _framing(random, file)}}


def _other_generation(random: Random, file: RunFile) -> Fault:
    """Cut it off, and give it other bytes, so that the rest belongs to another file."""
    ranges = random.choice(["checked", "unchecked"])
    etag = random.choice(["strong", "weak", "none"])
    cut = {**_cut(random, file)["download"], "ranges": ranges, "etag": etag}
    return {"download": {**cut, "regenerate": True}, "times": 2}


def _stall(random: Random, file: RunFile) -> Fault:
    seconds = random.choice([5, 20, 600])
    return {"download": {"stallAfterBytes": _somewhere(random, file), "stallSeconds": seconds}}


def _without_end(random: Random, file: RunFile) -> Fault:
    if file.kind not in WITH_AN_END:
        return _cut(random, file)
    return random.choice([{"truncate": True}, {"download": {"withoutEnd": True}}])


def _surplus(random: Random, _file: RunFile) -> Fault:
    return {"download": {"extraBytes": random.randrange(1, 5000), "framing": "length"}}


def _wrong_length(random: Random, file: RunFile) -> Fault:
    other = file.content().length + random.choice([-7, 7])
    return {"headers": {"Content-Length": str(other)}, "download": {"framing": "length"}}


def _without_length(random: Random, _file: RunFile) -> Fault:
    return {"download": {"framing": random.choice(["chunked", "close"])}}


def _page(random: Random, _file: RunFile) -> Fault:
    return {"status": random.choice([200, 400, 403, 404, 502, 503]), "body": PAGE}


def _refusal(random: Random, _file: RunFile) -> Fault:
    return {"code": random.choice(CODES)}


_DRAWS: Sequence[Callable[[Random, RunFile], Fault]] = (
    _cut,
    _other_generation,
    _stall,
    _without_end,
    _surplus,
    _wrong_length,
    _without_length,
    _page,
    _refusal,
    lambda _random, _file: {"download": {"compressed": True}},
    lambda _random, _file: {"download": {"regenerate": True}},
    lambda _random, _file: {"drop": True},
    lambda _random, _file: {"status": 200, "body": ""},
    lambda _random, _file: {"status": 400, "body": ""},
    lambda _random, _file: {"status": 200, "body": ARENA_ERROR, "contentType": "application/json"},
    lambda _random, _file: {"status": 302, "headers": {"Location": "https://example.com/"}},
)
