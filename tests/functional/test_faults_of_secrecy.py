"""Fault 44 of the table in tests/README.md: secrets in logs."""

from __future__ import annotations

import logging
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from arena_exports.adapters.telemetry import PowertoolsTelemetry, logger
from arena_exports.domain.errors import (
    RequestNotCompletedError,
)
from infra.simulator import control, names
from tests.support.deliveries import DeliveringWorld, export, fail_downloads
from tests.support.fakes import failing
from tests.support.world import World, item_guid, items

if TYPE_CHECKING:
    import pytest


def test_fault_44__no_secret_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """R9: even at level DEBUG, no password or session id is printed."""
    printed = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", printed)
    world = World()
    world.dependencies = replace(world.dependencies, telemetry=PowertoolsTelemetry())
    level = logger.log_level
    logger.setLevel(logging.DEBUG)
    try:
        world.set_password("wrong-password-canary")
        world.send(*items(3))
        world.run_for(120)
        world.set_password(names.PASSWORD)
        world.run_for(30)
        control.kill_sessions(world.arena)
        world.settle()
        world.topic.intercept("publish", failing(1, RequestNotCompletedError()))
        world.send(item_guid(9))
        world.run_for(60)
    finally:
        logger.setLevel(level)
    shown = printed.getvalue()
    assert "login refused" in shown
    assert "run submitted" in shown
    sessions = {v["arenaSessionId"] for v in world.session_secret.versions.values()}
    for canary in sessions | {"wrong-password-canary", names.PASSWORD}:
        assert canary not in shown


def test_fault_44__no_secret_in_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    """R9: no object, event or item has a secret, and no log line of a delivery that goes wrong."""
    printed = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", printed)
    world = DeliveringWorld()
    world.dependencies = replace(world.dependencies, telemetry=PowertoolsTelemetry())
    level = logger.log_level
    logger.setLevel(logging.DEBUG)
    try:
        for fault in (
            {"status": 302, "headers": {"Location": "https://example.com/"}},
            {"code": 3017},
            {"drop": True},
            {"download": {"cutAfterBytes": 100}},
            {"status": 200, "body": "<h1>Blocked</h1>"},
        ):
            fail_downloads(world, **fault)
        export(world, {"kind": "zip"}, {"kind": "json"})
        control.kill_sessions(world.arena)
        world.settle()
    finally:
        logger.setLevel(level)
    shown = printed.getvalue()
    assert "file not delivered" in shown
    assert "file delivered" in shown
    bodies = [stored.body.decode("latin-1") for stored in world.bucket.objects.values()]
    kept = [shown, str(world.table.items), *bodies, *(event.body for event in world.topic.events)]
    sessions = {v["arenaSessionId"] for v in world.session_secret.versions.values()}
    for canary in sessions | {names.PASSWORD, names.MACHINE_EMAIL}:
        assert not any(canary in text for text in kept)
