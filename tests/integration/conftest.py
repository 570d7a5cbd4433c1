"""The embedded AWS for adapters: one MiniStack for all of these tests, nothing deployed on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.local import emulator
from infra.local.aws import Clients
from infra.local.processes import free_port, start_guarded, stop_guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Clients of a MiniStack that lives as long as the tests."""
    folder: Path = tmp_path_factory.mktemp("aws")
    port = free_port()
    process = start_guarded(emulator.service(port, folder))
    try:
        endpoint = f"http://127.0.0.1:{port}"
        emulator.wait_until_answers(f"{endpoint}/_ministack/health", folder / "aws.log")
        yield Clients(endpoint)
    finally:
        stop_guarded(process)
