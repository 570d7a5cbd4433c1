"""Starts the services of the local stack, deploys the template, and stops everything again."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import aws, emulator, sam
from infra.local.paths import LOCAL, OPERATOR_PATH
from infra.local.processes import Service, free_port, start_guarded, stop_guarded
from infra.local.stack import Stack
from infra.simulator import names

STACK_NAME = "arena-exports"
CREDENTIALS = {
    "email": names.MACHINE_EMAIL,
    "password": names.PASSWORD,
    "workspaceId": names.WORKSPACE_ID,
}
NEWEST_RUNTIME = (3, 14)
"""The newest Python runtime that the template allows. The code also runs on later versions."""
DEFAULTS = {
    # The emulator runs the functions on the current Python.
    "Runtime": "python{}.{}".format(*min(sys.version_info[:2], NEWEST_RUNTIME)),
    "DefaultExportGuid": names.DEFAULT_EXPORT_GUID,
    "BatchingWindowSeconds": "1",
    "DeliverFiles": "true",
}

Report = Callable[[str], None]
Parameters = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Template parameters, or a function that returns them at the time of the deployment."""


@dataclass(frozen=True, slots=True)
class Address:
    """The ports of the services of one local stack, and the folder for their files."""

    aws_port: int
    arena_port: int
    folder: Path

    def services(self) -> tuple[Service, Service]:
        """Return the services to start: the embedded AWS and the Arena simulator."""
        ministack = emulator.service(self.aws_port, self.folder)
        return ministack, arena_service(self.arena_port, self.folder)

    def stack(self) -> Stack:
        """Return the stack that is, or will be, deployed there."""
        return Stack(
            STACK_NAME,
            f"http://127.0.0.1:{self.aws_port}",
            f"http://127.0.0.1:{self.arena_port}/v1",
            self.folder,
        )


def arena_service(port: int, folder: Path) -> Service:
    """Return an Arena simulator on `port` of the loopback interface, with its log in `folder`."""
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "infra.simulator", *where]
    environment = {"HOME": str(folder), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    return Service("arena", command, environment, folder / "arena.log")


def page_service(port: int, stack: Stack) -> Service:
    """Return the status page of a stack on `port` of the loopback interface."""
    command = [sys.executable, "-m", "infra.local.page", stack.name, str(port)]
    variables = {"HOME": str(stack.folder), "LANG": "C.UTF-8", "PYTHONPATH": OPERATOR_PATH}
    environment = variables | aws.environment(stack.endpoint)
    return Service("page", command, environment, stack.folder / "page.log")


@contextmanager
def temporary_stack(parameters: Parameters, report: Report = print) -> Iterator[Stack]:
    """Yield a deployed stack and stop it after the block; the logs stay if the block fails."""
    LOCAL.mkdir(exist_ok=True)
    address = Address(free_port(), free_port(), Path(tempfile.mkdtemp(prefix="run-", dir=LOCAL)))
    to_remove = address.folder
    try:
        with ExitStack() as services:
            for service in address.services():
                services.callback(stop_guarded, start_guarded(service))
            stack = address.stack()
            deploy(stack, parameters, report)
            yield stack
    except Exception:
        to_remove /= "tmp"  # the logs stay
        raise
    finally:
        shutil.rmtree(to_remove, ignore_errors=True)


def deploy(stack: Stack, parameters: Parameters, report: Report) -> None:
    """Build and deploy the template when the services are ready."""
    report("Building the functions (sam build)")
    sam.build()
    emulator.wait_until_answers(f"{stack.endpoint}/_ministack/health", stack.folder / "aws.log")
    emulator.wait_until_answers(stack.arena.state_url, stack.folder / "arena.log")
    report("Deploying the template (sam deploy)")
    stack.clients.s3.create_bucket(Bucket=sam.BUCKET)
    needed = needed_parameters(stack)
    given = parameters() if callable(parameters) else parameters
    sam.deploy(stack.endpoint, stack.name, needed | dict(given))


def needed_parameters(stack: Stack) -> dict[str, str]:
    """Create the credentials secret, and return the parameters of a first deployment."""
    secret = stack.clients.secrets.create_secret(
        Name=f"{stack.name}-credentials", SecretString=json.dumps(CREDENTIALS)
    )
    where = {"ArenaBaseUrl": stack.arena_url, "ArenaCredentialsSecretArn": secret["ARN"]}
    return DEFAULTS | where
