"""The ledger's keys, identifiers and lifetimes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena_exports.domain.model import AttemptId, Group, PageId
    from arena_exports.ports import Key

VERSION = 1
PENDING = "PENDING"
SLOT: Key = ("SLOT", "-")
BUDGET: Key = ("BUDGET", "-")
SESSION: Key = ("SESSION", "-")
TRIALS: Key = ("TRIALS", "-")
DURATIONS: Key = ("DURATIONS", "-")
DELIVER = "DELIVER"
DELIVERY_LANE: Key = ("LANE", "DELIVER")
PAUSE: Key = ("PAUSE", "-")

FIRST = "!"  # sorts before every letter and digit
LAST = "~"  # sorts after them

_DAY_SECONDS = 86_400
LIFE_SECONDS = 75 * _DAY_SECONDS  # longer than the 60 days for which Arena keeps files


def new_id(now: float, token: str) -> str:
    """Return an identifier that sorts by time: 12 hex digits of milliseconds, 12 random ones."""
    return f"{int(now * 1000):012x}{token[:12]}"


def marker(request_id: str) -> Key:
    """Return the key of a message's marker."""
    return f"MSG#{request_id}", "-"


def page(page_id: str) -> Key:
    """Return the key of a page."""
    return f"PAGE#{page_id}", "-"


def group_prefix(group: Group) -> str:
    """Return the prefix of a group's pointers."""
    return f"{group.lane}#{group.export_guid}#{group.kind}#"


def pointer(group: Group, page_id: PageId) -> Key:
    """Return the key of a page's pending pointer."""
    return PENDING, group_prefix(group) + page_id


def attempt(attempt_id: AttemptId) -> Key:
    """Return the key of an attempt, whose partition is the month in which it was made."""
    month = datetime.fromtimestamp(int(attempt_id[:12], 16) / 1000, UTC)
    return f"RUN#{month:%Y%m}", attempt_id


def files(attempt_id: AttemptId, number: int) -> Key:
    """Return the key of one of the items with an ended run's files."""
    pk, sk = attempt(attempt_id)
    return pk, f"{sk}#FILES#{number:04}"


def files_without_guid(attempt_id: AttemptId) -> Key:
    """Return the key of the item that counts an ended run's files without a GUID."""
    pk, sk = attempt(attempt_id)
    return pk, f"{sk}#NOGUID"


def run(run_guid: str) -> Key:
    """Return the key of the item that names a run's attempt."""
    return f"RUNGUID#{run_guid}", "-"


def definition(export_guid: str) -> Key:
    """Return the key of an export definition."""
    return f"DEF#{export_guid}", "-"


def delivery(ended_at: int, attempt_id: str) -> Key:
    """Return the key of a pointer to a run whose files are due."""
    return DELIVER, f"{datetime.fromtimestamp(ended_at, UTC):%Y%m%d%H%M%S}#{attempt_id}"


def delivered(attempt_id: str, number: int) -> Key:
    """Return the key of a delivery that was reported."""
    return "DELIVERED", f"{attempt_id}#{number:04}"


def open_counts(attempt_id: AttemptId, number: int) -> Key:
    """Return the key of a slice of what was open when a run was settled."""
    pk, sk = attempt(attempt_id)
    return pk, f"{sk}#OPEN#{number:04}"
