"""Check what `sam build` made: `python -m infra.checks.artifact`.

The emulator runs functions in its own environment, where a package that is missing from the
artifact would be found all the same. So the handlers, and every module that they can reach, are
imported here by an interpreter that sees the standard library, the artifact, and boto3 with its own
dependencies: what Lambda has.
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
HANDLERS = {
    "SubmitFunction": "submit.handler",
    "PollFunction": "poll.handler",
    "PublishFunction": "publish.handler",
    "SessionFunction": "session.handler",
}
OPTIONAL = {
    "aws_lambda_powertools.event_handler": "writes pydantic models; we log none",
    "aws_xray_sdk": "Tracer, which is not used",
    "chardet": "charset_normalizer stands in",
    "simplejson": "json stands in",
    **dict.fromkeys(("OpenSSL", "cryptography"), "ssl stands in"),
    **dict.fromkeys(("brotli", "brotlicffi", "backports"), "encodings that are not asked for"),
    **dict.fromkeys(("h2", "socks"), "HTTP/2 and proxies, which are not used"),
    **dict.fromkeys(("js", "pyodide", "winreg"), "for browsers and Windows"),
    **dict.fromkeys(("annotationlib", "compression"), "in the standard library from 3.14 on"),
}
"""Modules that our dependencies look for and do without."""
_REACH = Path(__file__).parent / "reach.py"
_IMPORT = """
import importlib, sys
artifact, runtime, module = sys.argv[1:]
sys.path = [artifact, *sys.path, runtime]
assert callable(importlib.import_module(module).handler)
"""


class ArtifactError(Exception):
    """The artifact is not what may be deployed."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The folder that `sam build` made for one function."""

    logical_id: str
    folder: Path

    def packages(self) -> list[str]:
        """List the distributions in the artifact as `name==version`, sorted."""
        found = metadata.distributions(path=[str(self.folder)])
        return sorted(f"{each.metadata['Name']}=={each.version}" for each in found)

    def digest(self) -> str:
        """Digest the names and contents of all files."""
        digest = hashlib.sha256()
        for path in self._files():
            digest.update(f"{path.relative_to(self.folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def zip_bytes(self) -> int:
        """Say how large the artifact is once zipped."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in self._files():
                archive.write(path, path.relative_to(self.folder))
        return buffer.tell()

    def import_alone(self, runtime: Path) -> None:
        """Import the handler with nothing but `runtime` beside the artifact.

        Raises:
            ArtifactError: something is missing; the text is the interpreter's.
        """
        module = HANDLERS[self.logical_id]
        result = subprocess.run(
            [sys.executable, "-ISBc", _IMPORT, str(self.folder), str(runtime), module],
            env={"AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            message = f"{module} of {self.logical_id} cannot be imported alone:\n{result.stderr}"
            raise ArtifactError(message)

    def missing(self, runtime: Path) -> set[str]:
        """List the modules that the handlers can reach, also lazily, and that are not there."""
        arguments = [str(self.folder), str(runtime), *HANDLERS.values()]
        result = subprocess.run(
            [sys.executable, "-ISB", str(_REACH), *arguments],
            env={},
            capture_output=True,
            text=True,
            check=True,
        )
        return set(result.stdout.splitlines()) - OPTIONAL.keys()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def built() -> list[Artifact]:
    """Give the artifacts of all functions as `sam build` left them."""
    return [Artifact(logical_id, BUILD / logical_id) for logical_id in HANDLERS]


def check(artifacts: list[Artifact]) -> None:
    """Check that the artifacts are small, the same, and complete.

    Raises:
        ArtifactError: one of them does not hold.
    """
    if len({artifact.digest() for artifact in artifacts}) != 1:
        message = "the functions' artifacts differ"
        raise ArtifactError(message)
    if (size := artifacts[0].zip_bytes()) > MAX_ZIP_BYTES:
        message = f"the zip has {size:,} bytes; at most {MAX_ZIP_BYTES:,} are allowed"
        raise ArtifactError(message)
    with tempfile.TemporaryDirectory() as folder:
        runtime = Path(folder)
        link_lambda_runtime(runtime)
        for artifact in artifacts:
            artifact.import_alone(runtime)
        if missing := artifacts[0].missing(runtime):
            message = f"the artifact lacks {', '.join(sorted(missing))}"
            raise ArtifactError(message)


def link_lambda_runtime(folder: Path, *packages: str) -> None:
    """Fill a folder with links to boto3 and its dependencies, as Lambda's runtime has them.

    Args:
        folder: an empty folder.
        packages: what else the runtime is to have, with its dependencies.
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
    """Build if need be, check, and list what the artifact holds."""
    sam.build()
    artifacts = built()
    check(artifacts)
    print(f"One artifact for {len(artifacts)} functions, {artifacts[0].zip_bytes():,} bytes zipped")
    print(f"(at most {MAX_ZIP_BYTES:,}), importable on its own. It holds:")
    for package in artifacts[0].packages():
        print(f"  {package}")


if __name__ == "__main__":
    main()
