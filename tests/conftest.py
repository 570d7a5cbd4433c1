"""Settings for all tests: which may use sockets, how many examples they try, and where they run."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support.properties import PROFILE, USUAL_EXAMPLES, examples

ROOT = Path(__file__).parents[1]
OFFLINE = {ROOT / "tests" / name for name in ("unit", "functional", "infrastructure")}
MEASURED = {ROOT / "tests" / name for name in ("unit", "functional", "integration")}

hypothesis.settings.register_profile(
    PROFILE,
    database=DirectoryBasedExampleDatabase(ROOT / ".cache" / "hypothesis"),
    deadline=None,
    max_examples=examples(USUAL_EXAMPLES),
)
hypothesis.settings.load_profile(PROFILE)


class OneStackScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Distributes tests by file, but keeps all that need the deployed stack on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Distribute the tests as above (xdist's loadgroup does not work with pytest 9.2)."""
    return OneStackScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Disable sockets in the tests that run offline; measure coverage only where it is cheap."""
    for item in items:
        if not MEASURED.intersection(item.path.parents):
            item.add_marker(pytest.mark.no_cover)
        if OFFLINE.intersection(item.path.parents):
            item.add_marker(pytest.mark.disable_socket, append=False)


@pytest.fixture(autouse=True)
def logging_stays_on() -> Iterator[None]:
    """Fail a test that leaves logging disabled for the tests after it in the same process."""
    yield
    assert logging.root.manager.disable == logging.NOTSET


@pytest.fixture(scope="session", autouse=True)
def clean_aws_environment() -> Iterator[None]:
    """Keep the developer's AWS account out of reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(autouse=True)
def no_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail an offline test that sleeps, unless it works with processes or sockets."""
    item: pytest.Item = request.node
    if OFFLINE.intersection(item.path.parents) and not item.get_closest_marker("enable_socket"):
        monkeypatch.setattr(time, "sleep", _refuse_to_sleep)


def _refuse_to_sleep(seconds: float) -> None:
    message = f"an offline test must not sleep ({seconds:g} s)"
    raise AssertionError(message)
