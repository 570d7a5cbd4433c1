"""The pairs whose schedules are all run: which functions run at once, and from which moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.schedules.day import (
    ABANDONED,
    EARLIER,
    ENDED,
    FAILED,
    IDLE,
    IN_PART,
    LATE,
    OTHER_ITEMS,
    RUNNING,
    STRANGERS,
    UNANSWERED,
    UNREADABLE,
    SharedDay,
    deliver,
    deliver_a_batch,
    poll,
    poll_later,
    publish,
    reconcile,
    session,
)
from tests.simulation.schedules.preemptions import (
    MAX_PREEMPTIONS,
    Preemptive,
    Schedule,
    Trial,
    explore,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.simulation.schedules.day import Step

# Longer than the lease (180 s), shorter than the two searches that permit another POST.
LONGER_THAN_THE_LEASE = 200.0
LONGER_THAN_THE_LEASE_ON_DOWNLOADS = 1000.0  # which is 960 s


@dataclass(frozen=True)
class Pair:
    """Two threads of functions that run at once.

    `state` is the lease's. `leap` is how many seconds pass at the first preemption: the function
    that was preempted is thought dead, and goes on after its time-out. With `delivers`, the files
    of the run before are due.
    """

    name: str
    state: str
    first: Sequence[Step]
    second: Sequence[Step]
    leap: float = 0.0
    session_dies: bool = False
    delivers: bool = False

    def run(self, schedule: Schedule) -> Trial:
        """Run one schedule."""
        day = SharedDay(overtime=2 * self.leap, delivers=self.delivers)
        policy = Preemptive(day.control, schedule, self.leap)
        try:
            day.begin(self.state, session_dies=self.session_dies)
            found = day.share(policy, [self.first, self.second])
        finally:
            day.end()
        return Trial(schedule, policy.choices, found)

    def explore(self, preemptions: int = MAX_PREEMPTIONS) -> Iterator[Trial]:
        """Run all schedules with up to so many preemptions."""
        return explore(self.run, preemptions)


WHOLE_RUN = [reconcile, poll_later, publish]

PAIRS = (
    Pair("submit | submit", IDLE, [deliver_a_batch], [deliver_a_batch]),
    Pair(
        "submit, thought dead | a run of its requests, and submit",
        IDLE,
        [deliver_a_batch],
        [*WHOLE_RUN, deliver_a_batch],
        leap=LONGER_THAN_THE_LEASE,
    ),
    Pair(
        "submit without an answer, thought dead | the run that it started",
        UNANSWERED,
        [deliver_a_batch],
        WHOLE_RUN,
        leap=LONGER_THAN_THE_LEASE,
    ),
    Pair("submit whose run comes late | submit", LATE, [deliver_a_batch], [deliver_a_batch]),
    Pair(
        "submit that finds an abandoned lease, thought dead | submit",
        ABANDONED,
        [reconcile],
        [reconcile],
        leap=LONGER_THAN_THE_LEASE,
    ),
    Pair("submit that finds an earlier run | submit", EARLIER, [reconcile], [reconcile]),
    Pair("submit that finds a run of other items | submit", OTHER_ITEMS, [reconcile], [reconcile]),
    Pair("submit that finds a stranger's run | submit", STRANGERS, [reconcile], [reconcile]),
    Pair("submit | publish", ENDED, [deliver_a_batch], [publish, reconcile]),
    Pair("publish, thought dead | publish, submit", ENDED, [publish], [publish, deliver_a_batch]),
    Pair(
        "publish, thought dead | publish, and the next run of the same request",
        IN_PART,
        [publish],
        [publish, *WHOLE_RUN],
    ),
    Pair(
        "publish, thought dead | a second try of a failed run",
        FAILED,
        [publish],
        [publish, *WHOLE_RUN],
    ),
    Pair(
        "publish, thought dead | publish of an unreadable run, submit",
        UNREADABLE,
        [publish],
        [publish, deliver_a_batch],
        leap=LONGER_THAN_THE_LEASE,
    ),
    Pair("poll | publish", RUNNING, [poll], [poll, publish, deliver_a_batch]),
    Pair("session | session", IDLE, [session], [session], session_dies=True),
    Pair("submit | session", IDLE, [deliver_a_batch], [session], session_dies=True),
    Pair("deliver | deliver", IDLE, [deliver], [deliver], delivers=True),
    Pair(
        "deliver, thought dead | deliver",
        IDLE,
        [deliver],
        [deliver],
        leap=LONGER_THAN_THE_LEASE_ON_DOWNLOADS,
        delivers=True,
    ),
    Pair("deliver | submit", IDLE, [deliver], [deliver_a_batch, reconcile], delivers=True),
    Pair(
        "publish, thought dead | publish, deliver",
        ENDED,
        [publish],
        [publish, deliver],
        delivers=True,
    ),
    Pair("deliver | session", IDLE, [deliver], [session], session_dies=True, delivers=True),
)
