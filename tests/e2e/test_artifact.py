"""What `sam build` made is what may be deployed."""

import pytest

from infra.local import artifact, sam

pytestmark = pytest.mark.e2e

ALLOWED = {
    "aws_lambda_powertools",
    "certifi",
    "charset-normalizer",
    "idna",
    "jmespath",
    "requests",
    "typing_extensions",
    "urllib3",
}


@pytest.fixture(scope="module")
def artifacts() -> list[artifact.Artifact]:
    """The artifacts of the four functions."""
    sam.build()
    return artifact.built()


def test_artifact__is_one_small_and_imports_alone(artifacts: list[artifact.Artifact]) -> None:
    """The four are the same, below 2 MB, and need nothing of the emulator's environment."""
    artifact.check(artifacts)


def test_artifact__holds_the_allowed_packages_alone(artifacts: list[artifact.Artifact]) -> None:
    """Nothing is shipped that is not on the list."""
    names = {package.partition("==")[0] for package in artifacts[0].packages()}
    assert names == ALLOWED


def test_artifact__holds_python_alone(artifacts: list[artifact.Artifact]) -> None:
    """No compiled code, no Makefile, no requirements: it runs on any Python from 3.11 on."""
    files = [path for path in artifacts[0].folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".so", ".pyd", ".pyc"}]
    assert not [path for path in files if path.name in {"Makefile", "requirements.txt"}]
