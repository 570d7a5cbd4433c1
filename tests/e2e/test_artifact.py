"""The output of `sam build` may be deployed."""

import marshal
import shutil
from dataclasses import replace
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

import pytest

from infra.checks import artifact
from infra.local import sam
from infra.local.paths import ROOT

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
HASH_BASED_AND_UNCHECKED = 0b01  # PEP 552
NOT_CLONED = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="module")
def artifacts() -> list[artifact.Artifact]:
    """Return the artifacts of all functions; the last one is that of status."""
    sam.build()
    return artifact.built()


def test_artifact__is_one_small_and_complete(artifacts: list[artifact.Artifact]) -> None:
    """All but status have the same; both are small, and use nothing from the emulator."""
    artifact.check(artifacts)


@pytest.mark.parametrize(
    "left_out",
    [
        "aws_lambda_powertools/utilities/jmespath_utils",  # imported at once
        "requests/hooks.py",  # imported by what is imported
        "idna/uts46data.py",  # imported inside a function
    ],
)
def test_artifact__that_lacks_a_module_is_refused(
    artifacts: list[artifact.Artifact], tmp_path: Path, left_out: str
) -> None:
    """The check finds a missing module that a handler can reach, even by a lazy import."""
    broken = replace(artifacts[0], folder=tmp_path / "broken")
    shutil.copytree(artifacts[0].folder, broken.folder)
    shutil.move(broken.folder / left_out, tmp_path / "left out")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    artifact.link_lambda_runtime(runtime)
    missing = ".".join(Path(left_out).with_suffix("").parts)
    assert missing in broken.missing(runtime)


def test_artifact__has_only_allowed_packages(artifacts: list[artifact.Artifact]) -> None:
    """The zip has the packages on the list, and no others."""
    names = {package.partition("==")[0] for package in artifacts[0].packages()}
    assert names == ALLOWED


def test_artifact__has_only_python_files(artifacts: list[artifact.Artifact]) -> None:
    """The zip has no compiled code and no build files, so it runs on any Python from 3.11 on."""
    files = [path for path in artifacts[0].folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".so", ".pyd"}]
    assert not [path for path in files if path.name in {"Makefile", "requirements.txt"}]


def test_artifact__has_bytecode_that_lambda_uses(artifacts: list[artifact.Artifact]) -> None:
    """Every module has bytecode from the Python that built it, and from the source beside it.

    Lambda does not compare file times, which zipping changes. Tracebacks name Lambda's paths.
    """
    folder = artifacts[0].folder
    sources = [*folder.rglob("*.py")]
    assert {*folder.rglob("*.pyc")} == {Path(cache_from_source(path)) for path in sources}
    for source in sources:
        bytecode = Path(cache_from_source(source)).read_bytes()
        assert bytecode[:4] == MAGIC_NUMBER
        assert int.from_bytes(bytecode[4:8], "little") == HASH_BASED_AND_UNCHECKED
        assert bytecode[8:16] == source_hash(source.read_bytes())
        code = marshal.loads(bytecode[16:])  # noqa: S302 - made by this very build
        assert code.co_filename == f"/var/task/{source.relative_to(folder)}"


def test_build__in_parallel_below_a_path_with_a_space(
    artifacts: list[artifact.Artifact], tmp_path: Path
) -> None:
    """A parallel build of a new clone has the same bytes, and writes nothing outside the clone."""
    clone = tmp_path / "my clones" / "arena exports"
    shutil.copytree(ROOT / "functions", clone / "functions", ignore=NOT_CLONED)
    shutil.copy(ROOT / "template.yaml", clone)
    shutil.copytree(ROOT / "infra", clone / "infra", ignore=NOT_CLONED)
    build = clone / ".aws-sam" / "build"
    sam._run(
        ["build", "--parallel", "-t", str(clone / "template.yaml"), "--build-dir", str(build)], {}
    )
    for built in artifacts:
        assert replace(built, folder=build / built.logical_id).digest() == built.digest()
    (wheels,) = {path.name for path in build.parent.iterdir()} - {"build", "build.toml"}
    assert wheels.startswith("wheels-")
    assert [path.name for path in tmp_path.iterdir()] == ["my clones"]
    assert [path.name for path in clone.parent.iterdir()] == ["arena exports"]
