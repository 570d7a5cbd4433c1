"""The local stack that `make up` leaves running and `make down` stops, and the note of it."""

import json
import shutil
from dataclasses import asdict, dataclass

from infra.local.launch import Address, Report, deploy
from infra.local.paths import LOCAL
from infra.local.processes import DetachedProcess, free_port, start_detached
from infra.local.stack import Stack

NOTE = LOCAL / "stack.json"
FOLDER = LOCAL / "up"


@dataclass(frozen=True, slots=True)
class KeptStack:
    """A local stack that outlives the command that started it."""

    address: Address
    processes: tuple[DetachedProcess, ...]
    deployed: bool

    @classmethod
    def find(cls) -> "KeptStack | None":
        """Read the note of the stack that was left running; None where there is none."""
        if not NOTE.is_file():
            return None
        note = json.loads(NOTE.read_text())
        address = Address(note["aws_port"], note["arena_port"], FOLDER)
        processes = tuple(DetachedProcess(**process) for process in note["processes"])
        return cls(address, processes, note["deployed"])

    @property
    def stack(self) -> Stack:
        """The stack itself."""
        return self.address.stack()

    def is_running(self) -> bool:
        """Tell whether it is deployed and all of its processes are alive."""
        return self.deployed and all(process.is_running() for process in self.processes)

    def write_note(self) -> None:
        """Note what runs, so that any later command can find and stop it."""
        note = {
            "aws_port": self.address.aws_port,
            "arena_port": self.address.arena_port,
            "deployed": self.deployed,
            "processes": [asdict(process) for process in self.processes],
        }
        NOTE.write_text(json.dumps(note, indent=2))

    def stop(self) -> None:
        """End its processes and forget it; the logs stay."""
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.address.folder / "tmp", ignore_errors=True)
        NOTE.unlink(missing_ok=True)


def start(report: Report) -> KeptStack:
    """Start and deploy a stack that stays; whatever goes wrong, nothing is left half-started."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    kept = KeptStack(Address(free_port(), free_port(), FOLDER), (), deployed=False)
    try:
        for service in kept.address.services():
            kept = KeptStack(
                kept.address, (*kept.processes, start_detached(service)), deployed=False
            )
            kept.write_note()
        deploy(kept.stack, {}, report)
    except BaseException:
        kept.stop()
        raise
    kept = KeptStack(kept.address, kept.processes, deployed=True)
    kept.write_note()
    return kept
