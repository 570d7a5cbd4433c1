"""The functions as their handlers call them, in one warm environment each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arena_exports.wiring.deliver import DeliverFunction
from arena_exports.wiring.examine import ExamineFunction
from arena_exports.wiring.poll import PollFunction
from arena_exports.wiring.publish import PublishFunction
from arena_exports.wiring.session import SessionFunction
from arena_exports.wiring.submit import SubmitFunction
from deliver.handler import deliver
from examine.handler import examine
from poll.handler import poll
from publish.handler import publish
from session.handler import session
from submit.handler import submit

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Dependencies

DELIVER_SECONDS = 900.0


class Functions:
    """The functions, with the same dependencies."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self.submit = SubmitFunction(dependencies)
        self.poll = PollFunction(dependencies)
        self.publish = PublishFunction(dependencies)
        self.session = SessionFunction(dependencies)
        self.deliver = DeliverFunction(dependencies)
        self.examine = ExamineFunction(dependencies)

    def call(self, name: str, payload: Any, seconds: float) -> Any:
        """Invoke a function that has so many seconds left."""
        if name == "submit":
            return submit(payload, seconds, self.submit)
        if name == "poll":
            return poll(payload, self.poll)
        if name == "publish":
            return publish(payload, self.publish)
        if name == "deliver":
            return deliver(payload, DELIVER_SECONDS, self.deliver)
        if name == "examine":
            return examine(payload, self.examine)
        return session(payload, self.session)
