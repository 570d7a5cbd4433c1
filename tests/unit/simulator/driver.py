"""A simulator with a virtual clock, and shortcuts for its calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from werkzeug.datastructures import Headers

from infra.simulator import names
from infra.simulator.app import Environment, create_app
from infra.simulator.settings import Settings, Start

NOON = 1_709_294_400.25
"""2024-03-01T12:00:00.25Z: 4 o'clock in the morning, US Pacific time."""
RUN_SECONDS = 12.0
"""The duration of a run: 2 s CREATED and 10 s RUNNING."""
ITEM, ITEM_OF_19 = "CUEXB8CEPGHGZI18WDMU", "M407LIMOZGZQ5TUP27F"
RUNS = f"/v1/exports/{names.DEFAULT_EXPORT_GUID}/runs"


class Answer(Protocol):
    """An answer of the simulator: what the tests read of Flask's."""

    status_code: int
    headers: Headers
    data: bytes
    mimetype: str | None
    content_encoding: str | None
    location: str | None

    @property
    def json(self) -> Any: ...

    @property
    def text(self) -> str: ...


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: float = NOON

    def __call__(self) -> float:
        """Return the time."""
        return self.at

    def move(self, seconds: float) -> None:
        """Advance the clock."""
        self.at += seconds


@dataclass
class Arena:
    """The simulator through Flask's test client, logged in once `log_in` was called."""

    clock: Clock = field(default_factory=Clock)
    session_id: str | None = None

    def __post_init__(self) -> None:
        """Create the application; its sleeping moves the clock."""
        start = Start(settings=Settings(created_seconds=2.0, running_seconds=10.0))
        world = Environment(self.clock, self.clock.move, Random(7))
        self.client: Any = create_app(start, world).test_client()

    def try_login(self, **changed: object) -> Answer:
        """Log in as the machine user, except for what is changed."""
        body = {
            "email": names.MACHINE_EMAIL,
            "password": names.PASSWORD,
            "workspaceId": names.WORKSPACE_ID,
        }
        answer: Answer = self.client.post("/v1/login", json=body | changed)
        return answer

    def log_in(self, **changed: object) -> str:
        """Log in and use the session from now on."""
        self.session_id = str(self.try_login(**changed).json["arenaSessionId"])
        return self.session_id

    def call(
        self,
        method: str,
        path: str,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """Send a request with the session and the content type that Arena asks for."""
        usual = {"Content-Type": "application/json"}
        if self.session_id is not None:
            usual["arena_session_id"] = self.session_id
        sent = usual | dict(headers or {})
        content = {"data": data} if json is None else {"json": json}
        answer: Answer = self.client.open(path, method=method, headers=sent, **content)
        return answer

    def command(self, method: str, path: str, body: object = None) -> Answer:
        """Send a command, which may be refused."""
        answer: Answer = self.client.open(f"/_simulator/{path}", method=method, json=body)
        return answer

    def get(self, path: str) -> Answer:
        """Read an address."""
        return self.call("GET", path)

    def post(self, *item_guids: str, runs: str = RUNS) -> Answer:
        """Ask for a run of these items, by default of a sample item."""
        criterion = {
            "attribute": "guid",
            "operator": "IS_IN",
            "value": list(item_guids or (ITEM,)),
        }
        return self.call("POST", runs, {"criteria": [[criterion]]})

    def start(self, *item_guids: str, runs: str = RUNS) -> str:
        """Start a run and return its address."""
        answer = self.post(*item_guids, runs=runs)
        assert answer.status_code == 201, answer.text
        return f"{runs}/{answer.json['guid']}"

    def status(self, run: str) -> str:
        """Return a run's status."""
        return str(self.get(run).json["status"])

    def control(self, method: str, command: str, body: object = None) -> Answer:
        """Give a command, which must be understood."""
        answer = self.command(method, command, body or {})
        assert answer.status_code == 200, answer.text
        return answer

    def fault(self, **fault: object) -> None:
        """Queue a fault."""
        self.control("POST", "faults", fault)

    def state(self) -> dict[str, Any]:
        """Return what the simulator tells about itself."""
        answer: Answer = self.client.get("/_simulator/state")
        return dict(answer.json)


def codes(answer: Answer) -> list[tuple[int, int]]:
    """Return the HTTP status and the code of each error of an answer."""
    assert answer.json["status"] == answer.status_code
    return [(answer.status_code, error["code"]) for error in answer.json["errors"]]
