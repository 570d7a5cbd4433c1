"""Builds and deploys the real template with the SAM CLI."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local import aws
from infra.local.paths import BUILD, LOCAL, ROOT, executable

BUCKET = "artifacts"


class SamError(Exception):
    """The SAM CLI failed; the message is its output."""


def build(sources: Path = ROOT, into: Path = BUILD) -> bool:
    """Run `sam build` unless the sources are unchanged; return whether it ran.

    `into` is next to the default build folder, with which it shares the downloaded packages.
    """
    digest_file = into.with_suffix(".sha256")
    with _one_at_a_time():
        digest = _digest_of_sources(sources)
        if into.is_dir() and digest_file.is_file() and digest_file.read_text() == digest:
            return False
        template = str(sources / "template.yaml")
        _run(["build", "--template", template, "--build-dir", str(into)], environment={})
        digest_file.write_text(digest)
        return True


def deploy(
    endpoint: str, stack_name: str, parameters: Mapping[str, str], built: Path = BUILD
) -> None:
    """Deploy the output of `sam build` to the embedded AWS, with these parameters.

    In an existing stack, parameters that are left out keep their values.

    Raises:
        SamError: the template or a parameter is invalid, or a resource cannot be created.
    """
    values = [f'{name}="{value}"' for name, value in parameters.items()]
    overrides = ["--parameter-overrides", *values] if values else []
    command = ["deploy", "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"]
    what = ["--stack-name", stack_name, "--template-file", str(built / "template.yaml")]
    where = ["--s3-bucket", BUCKET, "--s3-prefix", stack_name]
    _run([*command, *what, *where, "--no-progressbar", *overrides], _at(endpoint))


def delete(endpoint: str, stack_name: str) -> None:
    """Delete a stack, as `sam delete` does."""
    _run(["delete", "--stack-name", stack_name, "--no-prompts"], _at(endpoint))


def _at(endpoint: str) -> dict[str, str]:
    """Return the variables that point the SAM CLI at the embedded AWS, polled without delay."""
    return {**aws.environment(endpoint), "SAM_CLI_POLL_DELAY": "0.2"}


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest_of_sources(sources: Path) -> str:
    """Return a digest of the input files of `sam build`, and of their paths, which it records."""
    folders = (sources / "functions", sources / "infra" / "operator")
    inputs = [path for folder in folders for path in folder.rglob("*") if _is_input(path)]
    digest = hashlib.sha256(sys.version.encode())  # bytecode depends on the Python version
    for path in [sources / "template.yaml", *sorted(inputs)]:
        digest.update(f"{path}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _is_input(path: Path) -> bool:
    return path.suffix == ".py" or path.name in {"Makefile", "requirements.txt"}


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    # The SAM CLI leaves folders in TMPDIR.
    with tempfile.TemporaryDirectory(prefix="sam-", dir=LOCAL) as scratch:
        result = subprocess.run(
            [executable("sam", "sam"), *arguments],
            cwd=ROOT,
            env=_environment() | dict(environment) | {"TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if result.returncode:
        message = f"sam {arguments[0]} failed:\n{result.stdout}"
        raise SamError(message)


def _environment() -> dict[str, str]:
    """Return the user's environment, without any AWS and SAM settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAM_"))}
    tools = str(Path(executable("tools", "python")).parent)
    nothing = os.devnull
    return kept | {
        "PATH": f"{tools}:{kept.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),  # not in the user's home directory
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
    }
