"""Run a command for as long as standard input stays open: `python -m infra.local.guard COMMAND…`.

The parent holds the other end of the pipe. The kernel closes it when the parent ends for any
reason, so that neither the command nor its children outlive the parent. The guard must lead its
own process group (`start_new_session`), because it kills the whole group.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3.0


def run(command: list[str]) -> None:
    """Run `command` until it ends or standard input is closed, then end the process group."""
    # SIGTERM is for the command; the guard ends after it. The command would inherit SIG_IGN.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_stop_at_end_of_input, args=(child,), daemon=True).start()
    child.wait()
    os.killpg(0, signal.SIGKILL)


def _stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    """Terminate the group when the parent closes the pipe, and kill it after a grace period."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    run(sys.argv[1:])
