"""What holds for every test: which may use sockets, and where the long ones run."""

import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "tests" / "unit"

hypothesis.settings.register_profile(
    "project",
    database=DirectoryBasedExampleDatabase(ROOT / ".cache" / "hypothesis"),
    deadline=None,
)
hypothesis.settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Close the sockets of unit tests; keep all tests of the one deployed stack together."""
    for item in items:
        if UNIT in item.path.parents:
            item.add_marker(pytest.mark.disable_socket, append=False)
        elif item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group("stack"))
        elif item.get_closest_marker("integration"):
            item.add_marker(pytest.mark.xdist_group("aws"))


@pytest.fixture(autouse=True)
def clean_aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's AWS account out of reach."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture(autouse=True)
def no_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a unit test that sleeps, unless it works with processes or sockets."""
    item: pytest.Item = request.node
    if UNIT in item.path.parents and not item.get_closest_marker("enable_socket"):
        monkeypatch.setattr(time, "sleep", _refuse_to_sleep)


def _refuse_to_sleep(seconds: float) -> None:
    message = f"a unit test must not sleep ({seconds:g} s)"
    raise AssertionError(message)
