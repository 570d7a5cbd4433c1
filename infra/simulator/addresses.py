"""Arena's addresses: the operation for a method and a path."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

_RUNS = "/v1/exports/<export_guid>/runs"
_RUN = f"{_RUNS}/<run_guid>"
_FILE = f"{_RUN}/files/<file_guid>"
_ADDRESSES = Map(
    [
        Rule("/v1/login", endpoint="login", methods=["POST"]),
        Rule("/v1/logout", endpoint="logout", methods=["PUT"]),
        Rule("/v1/exports/<export_guid>", endpoint="definition", methods=["GET"]),
        Rule(_RUNS, endpoint="submit", methods=["POST"]),
        Rule(_RUNS, endpoint="list", methods=["GET"]),
        Rule(_RUN, endpoint="poll", methods=["GET"]),
        Rule(_FILE, endpoint="file", methods=["GET"]),
        Rule(f"{_FILE}/content", endpoint="download", methods=["GET"]),
    ],
    strict_slashes=False,
    merge_slashes=False,
)
_MATCHER = _ADDRESSES.bind("simulator")


@dataclass(frozen=True, slots=True)
class Address:
    """The purpose of a request, the GUIDs in its path, and the error code of an unknown address."""

    purpose: str
    guids: Mapping[str, str] = field(default_factory=dict)
    refusal: int | None = None


def find_address(method: str, path: str) -> Address:
    """Return the address; for an unknown path or method, one with a refusal."""
    try:
        purpose, guids = _MATCHER.match(path, method)
    except MethodNotAllowed:
        return Address("unknown", refusal=405)
    except NotFound:
        return Address("unknown", refusal=404)
    return Address(purpose, guids)
