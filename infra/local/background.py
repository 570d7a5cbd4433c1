"""The local stack that `make up` leaves running and `make down` stops."""

import json
import shutil
from dataclasses import asdict, dataclass, replace

from infra.local.launch import Address, Report, deploy, page_service
from infra.local.paths import LOCAL
from infra.local.processes import DetachedProcess, free_port, start_detached
from infra.local.stack import Stack

STATE_FILE = LOCAL / "stack.json"
FOLDER = LOCAL / "up"


@dataclass(frozen=True, slots=True)
class BackgroundStack:
    """A local stack that keeps running after the command that started it."""

    address: Address
    page_port: int
    processes: tuple[DetachedProcess, ...]
    deployed: bool

    @classmethod
    def find(cls) -> "BackgroundStack | None":
        """Return the stack that was left running, or None."""
        if not STATE_FILE.is_file():
            return None
        saved = json.loads(STATE_FILE.read_text())
        address = Address(saved["aws_port"], saved["arena_port"], FOLDER)
        processes = tuple(DetachedProcess(**process) for process in saved["processes"])
        return cls(address, saved["page_port"], processes, saved["deployed"])

    @property
    def stack(self) -> Stack:
        """The deployed stack."""
        return self.address.stack()

    @property
    def page_url(self) -> str:
        """The address of the status page."""
        return f"http://127.0.0.1:{self.page_port}/"

    def is_running(self) -> bool:
        """Return whether it is deployed and all of its processes are running."""
        return self.deployed and all(process.is_running() for process in self.processes)

    def save(self) -> None:
        """Write the state file, so that later commands can find and stop the stack."""
        state = {
            "aws_port": self.address.aws_port,
            "arena_port": self.address.arena_port,
            "page_port": self.page_port,
            "deployed": self.deployed,
            "processes": [asdict(process) for process in self.processes],
        }
        STATE_FILE.write_text(json.dumps(state, indent=2))

    def stop(self) -> None:
        """Stop its processes and delete the state file; the logs stay."""
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.address.folder / "tmp", ignore_errors=True)
        STATE_FILE.unlink(missing_ok=True)


def start(report: Report) -> BackgroundStack:
    """Start and deploy a stack; if that fails, stop everything."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    address, page_port = Address(free_port(), free_port(), FOLDER), free_port()
    started = BackgroundStack(address, page_port, (), deployed=False)
    try:
        for service in (*address.services(), page_service(page_port, address.stack())):
            started = replace(started, processes=(*started.processes, start_detached(service)))
            started.save()
        deploy(started.stack, {}, report)
    except BaseException:
        started.stop()
        raise
    deployed = replace(started, deployed=True)
    deployed.save()
    return deployed
