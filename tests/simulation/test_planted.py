"""Planted bugs: each is found, within the expected trials of the method that finds it soonest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.hunt import hunt
from tests.simulation.planted import BUGS, Bug, OutdatedError, Soil, planted
from tests.simulation.proofs import ALL_BUGS
from tests.simulation.runner import simulate

if TYPE_CHECKING:
    from collections.abc import Mapping

# Found within seconds, by this method in so many trials; `make proofs` hunts all of them.
FOUND_SOON: Mapping[str, tuple[str, int]] = {
    "lease taken twice": ("all schedules", 60),
    "token kept": ("all schedules", 120),
    "search without a fence": ("all schedules", 120),
    "end without a fence": ("all schedules", 120),
    "release without a fence": ("all schedules", 120),
    "pointer moved back": ("all schedules", 120),
    "run not noted": ("all schedules", 60),
    "any run adopted": ("all schedules", 60),
    "stranger adopted": ("all schedules", 60),
    "late copy publishes": ("all schedules", 120),
    "sets without a fence": ("all schedules", 120),
    "login not claimed": ("all schedules", 120),
    "login beside a login": ("all schedules", 120),
    "one empty search": ("all schedules", 60),
    "recorded twice": ("seeds", 3),
    "page settled whole": ("seeds", 3),
    "settled when selected": ("seeds", 3),
    "acknowledged unrecorded": ("seeds", 3),
    "name used twice": ("seeds", 40),
    "POST without a search": ("seeds", 12),
    "unknown POST requeued": ("seeds", 12),
    "refused search": ("seeds", 12),
    "dead letter after settling": ("crash points", 60),
    "POST before attempt": ("crash points", 120),
    "event after settling": ("crash points", 160),
    "open counts forgotten": ("quiet days", 1),
    "downloads first": ("quiet days", 1),
    "manifest before files": ("quiet days", 1),
    "event before manifest": ("quiet days", 1),
    "bucket not listed": ("seeds", 20),
    "destination forgotten": ("aimed days", 1),
    "refused once": ("aimed days", 12),
    "uploads left open": ("crash points", 200),
    "object overwritten": ("all schedules", 100),
    "manifest overwritten": ("all schedules", 110),
    "manifest not read back": ("all schedules", 110),
    "pointer after settling": ("crash points", 130),
    "event after closing": ("crash points", 220),
}


@pytest.mark.parametrize("name", FOUND_SOON)
def test_planted_bug__is_found(name: str) -> None:
    """The method that finds a bug soonest finds it in as many trials as before."""
    bug = next(bug for bug in ALL_BUGS if bug.name == name)
    found = hunt(bug, *FOUND_SOON[name])
    assert found.changed, "the bug changes nothing: plant it elsewhere"
    assert found.found


def test_planted_bug__is_gone_afterwards() -> None:
    """A bug that was dug up changes nothing any more."""
    bug = BUGS[0]
    with planted(bug):
        pass
    assert simulate(0).violations == ()


def test_planting__fails_where_a_name_is_gone() -> None:
    """A bug whose place no longer exists fails, rather than change nothing."""

    def plant(soil: Soil) -> None:
        soil.constant("arena_exports.services.adoption:NO_SUCH_NAME", 1)

    with pytest.raises(OutdatedError, match="NO_SUCH_NAME"), planted(Bug("gone", "", plant)):
        pass
