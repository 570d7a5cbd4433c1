"""Build and deploy the real template with the SAM CLI, as an account would get it."""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local import aws
from infra.local.paths import BUILD, LOCAL, ROOT, executable

BUCKET = "artifacts"
_DIGEST = BUILD.parent / "sources.sha256"


class SamError(Exception):
    """The SAM CLI ended with an error; the text is what it printed."""


def build() -> bool:
    """Run `sam build` unless the sources are those of the last build; tell whether it ran."""
    with _one_at_a_time():
        digest = _digest_of_sources()
        if BUILD.is_dir() and _DIGEST.is_file() and _DIGEST.read_text() == digest:
            return False
        _run(["build"], environment={})
        _DIGEST.write_text(digest)
        return True


def deploy(endpoint: str, stack_name: str, parameters: Mapping[str, str]) -> None:
    """Ship what `sam build` made to the embedded AWS, as a stack with these parameters.

    Raises:
        SamError: the template or a parameter is refused, or a resource cannot be made.
    """
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    where = ["--stack-name", stack_name, "--s3-bucket", BUCKET]
    command = ["deploy", "--config-env", "local", *where, "--no-progressbar"]
    # The emulator is done at once: no need to ask as seldom as in an account.
    environment = {**aws.environment(endpoint), "SAM_CLI_POLL_DELAY": "0.2"}
    _run([*command, "--parameter-overrides", *overrides], environment)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest_of_sources() -> str:
    """Digest everything that `sam build` reads."""
    functions = sorted((ROOT / "functions").rglob("*.py"))
    fixed = ("template.yaml", "functions/Makefile", "functions/requirements.txt")
    digest = hashlib.sha256()
    for path in [*(ROOT / name for name in fixed), *functions]:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    result = subprocess.run(
        [executable("sam", "sam"), *arguments],
        cwd=ROOT,
        env=_environment() | dict(environment),
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
    """Keep package index settings, but nothing of the user's AWS or SAM settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAM_"))}
    tools = str(Path(executable("tools", "python")).parent)
    nothing = os.devnull
    return kept | {
        "PATH": f"{tools}:{kept.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),  # nothing in the user's home
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
    }
