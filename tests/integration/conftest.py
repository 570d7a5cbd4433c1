"""Two stand-ins for AWS, MiniStack and moto, so that a mistake in one of them is noticed.

Nothing is deployed on either. One MiniStack serves all of these tests. moto runs in this process
and starts empty in each test.
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
    """Return clients of MiniStack."""
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
    """Return clients of moto, which intercepts calls to AWS's own addresses."""
    with mock_aws():
        yield Clients(cast("Any", None))


@pytest.fixture(params=["ministack", "moto"])
def aws(request: pytest.FixtureRequest) -> Clients:
    """Run a test against both stand-ins."""
    clients: Clients = request.getfixturevalue(request.param)
    return clients
