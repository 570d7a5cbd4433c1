"""Run a command for as long as standard input stays open: `python -m infra.local.guard COMMAND…`.

The parent holds the other end of the pipe. The kernel closes it when the parent ends, however it
ends, so that neither the command nor anything it started outlives the parent. The guard must lead
a process group of its own (`start_new_session`), because it ends that whole group.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3.0


def run(command: list[str]) -> None:
    """Run `command` until it ends or standard input is closed, then end the process group."""
    # SIGTERM is meant for the command, whose end ends the guard. SIG_IGN would be inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_stop_at_end_of_input, args=(child,), daemon=True).start()
    child.wait()
    os.killpg(0, signal.SIGKILL)


def _stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    """Ask the group to end once the parent has closed the pipe, and insist after a grace."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    run(sys.argv[1:])
