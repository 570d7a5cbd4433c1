"""Faults 58, 59, 60, 62 and 64 of the table in tests/README.md: retries, waits, and the last word.

What makes a file undeliverable, and what never does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from arena_exports.domain.errors import BucketError, MessagingError
from arena_exports.services import delivery
from infra.simulator import control, names
from tests.support.deliveries import (
    DAY,
    HOUR,
    DeliveringWorld,
    assert_sound,
    deliver_held_back,
    downloads,
    export,
    fail_downloads,
    fail_file,
    file_guids,
    gaps,
    manifests,
)
from tests.support.fakes import failing
from tests.support.world import items

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports.ports import Event

ZIP = {"kind": "zip", "size": 2000}
RESERVE = 100


def _codes(world: DeliveringWorld) -> list[str]:
    """Return the codes of what is undeliverable, of all manifests."""
    return [file["error"]["code"] for m in manifests(world) for file in m["undeliverable"]]


def _export_held_back(world: DeliveringWorld, files: int) -> list[str]:
    """Export a run whose files are not asked for yet; return their GUIDs."""
    with deliver_held_back(world):
        export(world, *[ZIP] * files)
    return file_guids(world)


def test_fault_58__file_that_never_fits_does_not_hold_up_small_ones() -> None:
    """Twenty small files are delivered; the large one is given up after its second try."""
    world = DeliveringWorld()
    large, *small = _export_held_back(world, 21)
    fail_file(world, large, download={"bytesPerSecond": 1})
    world.run_for(HOUR)
    (manifest,) = manifests(world)
    assert {file["guid"] for file in manifest["files"]} == set(small)
    assert _codes(world) == ["TransferTooLong"]
    assert len(downloads(world, large)) == 2
    assert [len(downloads(world, guid)) for guid in small] == [1] * 20
    assert_sound(world)


def test_fault_58__small_files_do_not_wait_for_the_second_try() -> None:
    """After the first try ran out of time, the small files are delivered within two minutes."""
    world = DeliveringWorld()
    large, *small = _export_held_back(world, 21)
    fail_file(world, large, download={"bytesPerSecond": 1})
    world.run_for(60)
    began = downloads(world, large)[0].at
    world.run_for(15 * 60 + 120)
    assert max(downloads(world, guid)[0].at for guid in small) < began + 15 * 60 + 120
    world.settle()


def test_fault_58__large_file_behind_a_slow_one_is_not_given_up() -> None:
    """A try that began late in the function's time is none of the two."""
    world = DeliveringWorld()
    slow, large = _export_held_back(world, 2)
    for guid, speed in ((slow, 4), (large, 3)):
        fail_file(world, guid, download={"bytesPerSecond": speed})
    world.settle()
    assert manifests(world)[0]["complete"]
    assert len(downloads(world, large)) == 2


def _refuse_password(world: DeliveringWorld) -> Callable[[], None]:
    world.set_password("wrong")
    control.kill_sessions(world.arena)
    return lambda: world.set_password(names.PASSWORD)


def _spend_budget(world: DeliveringWorld) -> Callable[[], None]:
    fault = {"path": "*/exports/*", "code": 4084, "times": None, "arenaHeaders": True}
    control.add_faults(world.arena, fault)
    return lambda: control.clear_faults(world.arena)


def _refuse(*calls: str) -> Callable[[DeliveringWorld], Callable[[], None]]:
    def refuse(world: DeliveringWorld) -> Callable[[], None]:
        for name in calls:
            world.bucket.intercept(name, failing(10**5, BucketError(f"{name}: AccessDenied")))

        def restore() -> None:
            for name in calls:
                world.bucket.restore(name)

        return restore

    return refuse


def _forbid(**answer: object) -> Callable[[DeliveringWorld], Callable[[], None]]:
    def forbid(world: DeliveringWorld) -> Callable[[], None]:
        fail_downloads(world, times=None, **answer)
        return lambda: control.clear_faults(world.arena)

    return forbid


CAUSES = {
    "password": _refuse_password,
    "budget": _spend_budget,
    "KMS": _refuse("put", "begin"),
    "bucket": _refuse("keys", "put", "begin", "read", "abort_all"),
    "403": _forbid(status=403, code=403),
    "3024": _forbid(code=3024),
    "firewall": _forbid(status=403, body="<h1>Forbidden</h1>"),
    "outage": _forbid(status=503, body="<h1>Maintenance</h1>"),
    "no answer": _forbid(drop=True),
    "not ready": _forbid(code=3017),
    "burst limit": _forbid(status=429, body="", counts=False, retryAfterSeconds=60),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_fault_59__cause_of_all_files_makes_none_undeliverable(cause: str) -> None:
    """Whatever lasts for eight days: few requests for all files together, delivered afterwards."""
    world = DeliveringWorld()
    _export_held_back(world, 5)
    heal = CAUSES[cause](world)
    world.run_for(DAY)
    world.clock.sleep(6 * DAY)
    world.run_for(DAY)
    assert not world.events("run.undelivered")
    budgeted = [record for record in downloads(world) if record.code != 4084]
    assert len(budgeted) < (8 * DAY / 60 if cause == "burst limit" else 60)
    heal()
    world.run_for(7 * HOUR)
    world.settle()
    assert manifests(world)[0]["complete"]
    assert not world.errors
    assert_sound(world)


@pytest.mark.parametrize("cause", ["KMS", "bucket", "403", "3024"])
def test_fault_59__cause_of_all_files_raises_an_alarm(cause: str) -> None:
    """The alarm's metric is counted at each back-off, and at most one request is spent on it."""
    world = DeliveringWorld()
    _export_held_back(world, 5)
    CAUSES[cause](world)
    world.run_for(DAY)
    refused = world.telemetry.metrics["DeliveryBlocked"]
    assert 8 < refused < 20
    assert len(downloads(world)) <= refused


def test_fault_59__three_failures_in_a_row_make_all_files_wait() -> None:
    """Of 20 files, three are tried; then one at a time, after one minute, two, four."""
    world = DeliveringWorld()
    _export_held_back(world, 20)
    fail_downloads(world, times=None, code=3017)
    world.run_for(70)
    assert len({record.file_guid for record in downloads(world)}) == 3
    world.run_for(16 * 60)
    waits = gaps(downloads(world))
    assert waits[:2] == [0, 0]
    expected = [60, 120, 240, 480]
    assert all(want <= gap < want + 60 for want, gap in zip(expected, waits[2:], strict=True))
    assert len({record.file_guid for record in downloads(world)}) == 7
    control.clear_faults(world.arena)
    world.run_for(17 * 60)
    assert manifests(world)[0]["complete"]


def test_fault_59__two_files_that_fail_in_turns_do_not_make_others_wait() -> None:
    """Only three different files are a sign that something is wrong with all of them."""
    world = DeliveringWorld()
    for guid in _export_held_back(world, 2):
        fail_file(world, guid, code=3017)
    world.run_for(DAY)
    started = world.clock.now()
    run_guid = export(world, ZIP, start=10)
    world.run_for(120)
    assert {event["subject"] for event in world.events("run.delivered")} == {run_guid}
    assert downloads(world)[-1].at - started < 60 * 2


def test_fault_60__gateway_that_answers_404_is_no_last_word() -> None:
    """A page with 404 is a gateway's: the file is delivered an hour later."""
    world = DeliveringWorld()
    _export_held_back(world, 2)
    fail_downloads(world, status=404, body="<h1>Not found</h1>", lastsSeconds=HOUR)
    world.settle()
    assert manifests(world)[0]["complete"]


@pytest.mark.parametrize("code", [3011, 3012, 3028, 4078, 404])
def test_fault_60__second_refusal_an_hour_later_is_final(code: int) -> None:
    """Arena's own error says so twice: the file is undeliverable, the others are delivered."""
    world = DeliveringWorld()
    refused, *others = _export_held_back(world, 3)
    fail_file(world, refused, code=code)
    world.settle()
    (manifest,) = manifests(world)
    (event,) = world.events("run.undelivered")
    assert {file["guid"] for file in manifest["files"]} == set(others)
    assert _codes(world) == [str(code)]
    assert event["data"]["undeliverable"] == manifest["undeliverable"]
    (gap,) = gaps(downloads(world, refused))
    assert HOUR <= gap < HOUR + 120
    assert_sound(world)


def test_fault_60__refusal_that_ends_is_forgotten() -> None:
    """The refusal was right for half an hour; the file is delivered at the next try."""
    world = DeliveringWorld()
    (refused,) = _export_held_back(world, 1)
    fail_file(world, refused, code=3028, lastsSeconds=HOUR // 2)
    world.settle()
    assert manifests(world)[0]["complete"]


def test_fault_60__back_off_of_a_file_doubles_to_six_hours() -> None:
    """The first retry comes after a minute, the last ones six hours apart."""
    world = DeliveringWorld()
    (refused,) = _export_held_back(world, 1)
    fail_file(world, refused, code=3017)
    world.run_for(3 * DAY)
    waits = gaps(downloads(world, refused))
    expected = [min(60 * 2**n, 6 * HOUR) for n in range(len(waits))]
    assert all(want <= wait < want + 61 for want, wait in zip(expected, waits, strict=True))
    assert waits[-1] >= 6 * HOUR


def test_fault_60__file_that_alone_fails_for_a_week_is_given_up() -> None:
    """After seven days and ten tries, and because another file was delivered meanwhile."""
    world = DeliveringWorld()
    (refused,) = _export_held_back(world, 1)
    fail_file(world, refused, code=3017)
    world.run_for(8 * DAY)
    assert not _codes(world), "no other file shows that deliveries work"
    export(world, ZIP, start=10)
    world.run_for(7 * HOUR)
    assert _codes(world) == ["NotDelivered"]
    tries = downloads(world, refused)
    assert len(tries) > 10
    assert tries[-1].at - tries[0].at >= 7 * DAY
    world.settle()


def test_fault_62__files_past_their_expiry_are_not_asked_for() -> None:
    """Deliver did not work for 61 days: no request is spent on what Arena has deleted."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP, ZIP)
        world.clock.sleep(61 * DAY)
        export(world, ZIP, start=10)
    world.settle()
    (event,) = world.events("run.undelivered")
    assert _codes(world) == ["FileExpired"] * 2
    assert not event["data"]["files"]
    assert len(downloads(world)) == 1
    assert len(world.events("run.delivered")) == 1
    assert_sound(world)


def test_fault_62__what_the_ledger_has_lost_holds_up_nobody() -> None:
    """Attempt, pages and list of files have expired: the run is reported as undelivered."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        export(world, ZIP)
        world.clock.sleep(61 * DAY)
        for partition in [pk for pk in world.table.items if pk.startswith(("PAGE#", "RUN#"))]:
            del world.table.items[partition]
        export(world, ZIP, start=10)
    world.settle()
    (event,) = world.events("run.undelivered")
    assert event["data"]["requests"] == []
    assert len(world.events("run.delivered")) == 1
    assert_sound(world)


def test_fault_62__file_that_only_its_record_names_is_reported() -> None:
    """The list of files has expired before the record of a try: the file is named."""
    world = DeliveringWorld()
    (refused,) = _export_held_back(world, 1)
    fail_file(world, refused, code=3017)
    world.run_for(DAY)
    world.clock.sleep(58 * DAY)
    for partition in world.table.items.values():
        for name in [name for name in partition if "#FILES#" in name]:
            del partition[name]
    world.settle(2 * DAY)
    (event,) = world.events("run.undelivered")
    assert [file["guid"] for file in event["data"]["undeliverable"]] == [refused]


def test_fault_64__bucket_of_another_account_gets_nothing() -> None:
    """The bucket was made anew elsewhere: its owner is another one, and each call is refused."""
    world = DeliveringWorld()
    heal = CAUSES["bucket"](world)
    export(world, ZIP)
    world.run_for(DAY)
    assert not world.bucket.objects
    assert not downloads(world), "no request is spent before the folder was listed"
    assert world.telemetry.metrics["DeliveryBlocked"]
    heal()
    world.settle()
    assert_sound(world)


@pytest.mark.parametrize(
    ("remaining", "tried"), [(RESERVE + 5, 2), (RESERVE - 5, 2), (RESERVE // 2 - 1, 0)]
)
def test_priorities__first_tries_stop_at_half_of_the_reserve(remaining: int, tried: int) -> None:
    """Runs stop at the reserve; first tries go on to the half of it."""
    world = DeliveringWorld()
    _export_held_back(world, 2)
    control.set_budget(world.arena, {"remaining": remaining + 1, "resetSeconds": 10 * HOUR})
    world.functions.submit.arena.find_runs(names.DEFAULT_EXPORT_GUID, {})  # type: ignore[arg-type]
    world.run_for(9 * HOUR)
    assert len(downloads(world)) == tried
    world.settle()
    assert manifests(world)[0]["complete"]


def test_priorities__retries_stop_at_the_reserve() -> None:
    """A file that failed waits for the reset; one that was never tried does not."""
    world = DeliveringWorld()
    first, second = _export_held_back(world, 2)
    fail_file(world, first, code=3017)
    control.set_budget(world.arena, {"remaining": RESERVE - 5, "resetSeconds": 10 * HOUR})
    world.run_for(9 * HOUR)
    assert (len(downloads(world, first)), len(downloads(world, second))) == (1, 1)
    control.clear_faults(world.arena)
    world.settle()
    assert manifests(world)[0]["complete"]


def test_priorities__many_pending_runs_do_not_keep_each_other_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More runs wait than one turn opens: all are delivered, the oldest first."""
    world = DeliveringWorld()
    monkeypatch.setattr(delivery, "MAX_DELIVERIES", 10)
    with deliver_held_back(world):
        for number in range(25):
            export(world, {"kind": "csv"}, start=10 * number)
    world.settle()
    assert len(world.events("run.delivered")) == 25
    times = [record.at for record in downloads(world)]
    assert times == sorted(times)
    assert len(times) == 25


def test_report__that_fails_backs_off() -> None:
    """A topic that refuses for a day is asked after 1, 2, 4 … minutes, and no other run waits."""
    world = DeliveringWorld()
    asked = list[float]()

    def refuse(real: Callable[[list[Event]], None], events: list[Event]) -> None:
        if not events[0].attributes["type"].endswith("delivered"):
            real(events)
            return
        asked.append(world.clock.now())
        raise MessagingError("publish: AuthorizationError")

    world.topic.intercept("publish", refuse)
    export(world, ZIP)
    world.run_for(DAY)
    waits = [after - before for before, after in pairwise(asked)]
    expected = [min(60 * 2**n, 6 * HOUR) for n in range(len(waits))]
    assert all(want <= wait < want + 61 for want, wait in zip(expected, waits, strict=True))
    assert world.telemetry.metrics["DeliveryBlocked"] == len(asked) < 14
    export(world, ZIP, start=10)
    world.run_for(60)
    assert len(downloads(world)) == 2
    world.topic.restore("publish")
    world.settle()
    assert len(world.events("run.delivered")) == 2
    assert_sound(world)


def test_order__next_run_is_submitted_before_a_file_is_asked_for() -> None:
    """The lease is free and what waits has left before the first byte of a file is read."""
    world = DeliveringWorld()
    control.plan_runs(world.arena, {"files": 1, "contents": [ZIP], "runningSeconds": 60})
    world.send({"itemGuids": items(2)})
    world.run_for(30)
    world.send({"itemGuids": items(2, 10)})
    world.settle()
    purposes = [record.purpose for record in world.arena.request_log.records]
    assert [p for p in purposes if p in {"submit", "download"}][:3] == [
        "submit",
        "submit",
        "download",
    ]


def test_order__deliver_says_why_it_waits() -> None:
    """Each refusal leaves one line with what was refused."""
    world = DeliveringWorld()
    CAUSES["KMS"](world)
    export(world, ZIP)
    world.run_for(60)
    assert ("the bucket refuses", {"error": "put: AccessDenied"}) in world.telemetry.lines


def test_fault_59__runs_of_an_earlier_user_do_not_hold_up_new_ones() -> None:
    """While all delivery backs off, the oldest and the newest run are tried in turns."""
    world = DeliveringWorld()
    with deliver_held_back(world):
        for number in range(12):
            export(world, ZIP, start=10 * number)
            fail_file(world, file_guids(world)[0], code=3024)
    world.run_for(9 * HOUR)
    export(world, ZIP, start=1000)
    (readable,), began = file_guids(world), world.clock.now()
    world.run_for(13 * HOUR)  # two back-offs of six hours
    assert [record.at - began < 13 * HOUR for record in downloads(world, readable)] == [True]


def test_fault_58__large_file_is_tried_although_new_ones_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each turn has a file that was never tried: the large one does not wait for ever."""
    monkeypatch.setattr(delivery, "MAX_WAIT_OF_LONG_SECONDS", 5 * 60)
    world = DeliveringWorld()
    (large,) = _export_held_back(world, 1)
    fail_file(world, large, download={"bytesPerSecond": 1})
    for number in range(1, 70):
        export(world, ZIP, start=10 * number, runningSeconds=20, createdSeconds=1)
    assert len(downloads(world, large)) == 2
    assert "TransferTooLong" in _codes(world)


def test_deliver__ends_in_time_where_reading_back_is_slow() -> None:
    """What is in the bucket already takes minutes to read: the turn ends before its time is up."""
    world, ended = DeliveringWorld(), list[float]()
    with deliver_held_back(world):
        for number in range(12):
            export(world, ZIP, start=10 * number)
    for pending in world.ledger.deliveries.pending():
        (file,) = world.ledger.attempts.files(pending.attempt_id)
        world.bucket.put(f"arena/{pending.folder}{file.guid}.zip", b"PK", "application/zip")

    def read(real: Callable[[str], object], key: str) -> object:
        world.clock.sleep(100)
        ended.append(world.clock.now())
        return real(key)

    world.bucket.intercept("read", read)
    world.run_for(60)
    assert ended[-1] - ended[0] < 800
    world.settle()
    assert len(world.events("run.delivered")) == 12
