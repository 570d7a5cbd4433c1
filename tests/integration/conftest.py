"""Two stand-ins for AWS, so that no mistake of the one becomes ours: MiniStack and moto.

Nothing is deployed on either. MiniStack lives as long as these tests; moto, which runs in this
process, begins anew with each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from moto import mock_aws

from infra.local import emulator
from infra.local.aws import Clients
from infra.local.processes import free_port, start_guarded, stop_guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Clients of a MiniStack."""
    folder: Path = tmp_path_factory.mktemp("aws")
    port = free_port()
    process = start_guarded(emulator.service(port, folder))
    try:
        endpoint = f"http://127.0.0.1:{port}"
        emulator.wait_until_answers(f"{endpoint}/_ministack/health", folder / "aws.log")
        yield Clients(endpoint)
    finally:
        stop_guarded(process)


@pytest.fixture
def moto() -> Iterator[Clients]:
    """Clients whose calls moto answers: at AWS's own addresses, which it never lets them reach."""
    with mock_aws():
        yield Clients(cast("Any", None))


@pytest.fixture(params=["ministack", "moto"])
def aws(request: pytest.FixtureRequest) -> Clients:
    """Clients of the one, then of the other."""
    clients: Clients = request.getfixturevalue(request.param)
    return clients
