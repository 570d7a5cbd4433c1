"""Check the output of `sam build`: `python -m infra.checks.artifact`.

The emulator runs functions in its own environment, where a package that is missing from the
artifact would still be found. Therefore the handlers, and every module that they can reach, are
imported here by an interpreter that sees only what Lambda has: the standard library, the
artifact, and boto3 with its dependencies.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from infra.local import sam
from infra.local.paths import BUILD

MAX_ZIP_BYTES = 2_000_000
SHARED = {
    "SubmitFunction": "submit.handler",
    "PollFunction": "poll.handler",
    "PublishFunction": "publish.handler",
    "SessionFunction": "session.handler",
    "DeliverFunction": "deliver.handler",
    "ExamineFunction": "examine.handler",
}
"""The handlers that have one artifact."""
STATUS = {"StatusFunction": "status.handler"}
"""The handler whose artifact is the operator's package."""
HANDLERS = SHARED | STATUS
OPTIONAL = {
    "aws_lambda_powertools.event_handler": "for pydantic models, which are not logged",
    "aws_xray_sdk": "Tracer, which is not used",
    "chardet": "replaced by charset_normalizer",
    "simplejson": "replaced by json",
    **dict.fromkeys(("OpenSSL", "cryptography"), "replaced by ssl"),
    **dict.fromkeys(("brotli", "brotlicffi", "backports"), "encodings that are not requested"),
    **dict.fromkeys(("h2", "socks"), "HTTP/2 and proxies, which are not used"),
    **dict.fromkeys(("js", "pyodide", "winreg"), "for browsers and Windows"),
    **dict.fromkeys(("annotationlib", "compression"), "in the standard library from 3.14 on"),
}
"""Optional modules of our dependencies."""
_REACH = Path(__file__).parent / "reach.py"


class ArtifactError(Exception):
    """The artifact must not be deployed."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The output folder of `sam build` for one function, and the handlers that it must hold."""

    logical_id: str
    folder: Path
    handlers: tuple[str, ...]

    def packages(self) -> list[str]:
        """Return the distributions in the artifact as `name==version`, sorted."""
        found = metadata.distributions(path=[str(self.folder)])
        return sorted(f"{each.metadata['Name']}=={each.version}" for each in found)

    def digest(self) -> str:
        """Return a digest of the names and contents of all files."""
        digest = hashlib.sha256()
        for path in self._files():
            digest.update(f"{path.relative_to(self.folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def zip_bytes(self) -> int:
        """Return the size of the zipped artifact."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in self._files():
                archive.write(path, path.relative_to(self.folder))
        return buffer.tell()

    def missing(self, runtime: Path) -> set[str]:
        """Return the missing modules that the handlers can reach, including lazy imports.

        Raises:
            ArtifactError: a handler cannot be imported for another reason.
        """
        arguments = [str(self.folder), str(runtime), *self.handlers]
        result = subprocess.run(
            [sys.executable, "-ISB", str(_REACH), *arguments],
            env={"AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            message = f"the handlers cannot be imported:\n{result.stderr}"
            raise ArtifactError(message)
        return set(result.stdout.splitlines()) - OPTIONAL.keys()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def built() -> list[Artifact]:
    """Return the artifacts of all functions."""
    return [
        Artifact(logical_id, BUILD / logical_id, tuple(group.values()))
        for group in (SHARED, STATUS)
        for logical_id in group
    ]


def check(artifacts: list[Artifact]) -> None:
    """Check that the artifacts are small, complete, and identical except that of status.

    Raises:
        ArtifactError: they are not.
    """
    shared = [artifact for artifact in artifacts if artifact.logical_id in SHARED]
    if len({artifact.digest() for artifact in shared}) != 1:
        message = "the functions' artifacts differ"
        raise ArtifactError(message)
    for artifact in (shared[0], *(one for one in artifacts if one not in shared)):
        _check_one(artifact)


def _check_one(artifact: Artifact) -> None:
    if (size := artifact.zip_bytes()) > MAX_ZIP_BYTES:
        message = f"the zip has {size:,} bytes; at most {MAX_ZIP_BYTES:,} are allowed"
        raise ArtifactError(message)
    with tempfile.TemporaryDirectory() as folder:
        runtime = Path(folder)
        link_lambda_runtime(runtime)
        if missing := artifact.missing(runtime):
            message = f"the artifact of {artifact.logical_id} lacks {', '.join(sorted(missing))}"
            raise ArtifactError(message)


def link_lambda_runtime(folder: Path, *packages: str) -> None:
    """Fill a folder with links to boto3 and its dependencies, as Lambda's runtime has them.

    Args:
        folder: an empty folder.
        packages: further packages of the runtime; their dependencies are added.
    """
    for name in set().union(*map(_with_dependencies, ("boto3", *packages))):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))))


def _with_dependencies(name: str) -> set[str]:
    requirements = [Requirement(line) for line in metadata.requires(name) or ()]
    needed = {
        requirement.name
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    return {name}.union(*map(_with_dependencies, needed))


def main() -> None:
    """Build if necessary, check, and list the packages in the artifact."""
    sam.build()
    artifacts = built()
    check(artifacts)
    print(f"One artifact for {len(SHARED)} functions, {artifacts[0].zip_bytes():,} bytes zipped,")
    print(
        f"and one for status, {artifacts[-1].zip_bytes():,} bytes (at most {MAX_ZIP_BYTES:,} each),"
    )
    print("importable on their own. The first holds:")
    for package in artifacts[0].packages():
        print(f"  {package}")


if __name__ == "__main__":
    main()
