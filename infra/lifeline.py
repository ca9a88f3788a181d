"""A child's lifeline to its supervisor: when the supervisor is gone, however it went, the child ends too.

`hold()` at the start of a child of ours. Programs that are not ours are started through this module:
`python -m infra.lifeline PROGRAM ARGUMENT...`.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Final

SUPERVISOR_PID: Final = "POCKETQUANT_SUPERVISOR_PID"
"""Environment variable by which a child learns that it is supervised, and by whom."""

PATIENCE_S: Final = 20.0
"""An orphan gets SIGTERM first, so that it can flush; SIGKILL when it is still there after this long."""

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.5


def hold() -> None:
    """Tie this process to the supervisor named in the environment; does nothing where none is named.

    Linux signals at the supervisor's death by itself. A thread watches too: it is the means where the kernel has none,
    and it follows up with SIGKILL if SIGTERM changes nothing.
    """
    named = os.environ.get(SUPERVISOR_PID, "")
    if not named.isdigit():
        return
    supervisor = int(named)
    _ask_kernel()
    if os.getppid() != supervisor:
        # It died between our start and this line, so no signal will come.
        sys.exit(0)
    threading.Thread(target=_watch, args=(supervisor,), name="lifeline", daemon=True).start()


def _ask_kernel() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _await_end(supervisor: int) -> None:
    """Return when the supervisor has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(supervisor)
        except OSError:
            pass
        else:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll()
            os.close(handle)
            return
    while os.getppid() == supervisor:
        time.sleep(_POLL_S)


def _watch(supervisor: int) -> None:
    _await_end(supervisor)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _run(command: list[str]) -> int:
    """Become `command` where the kernel keeps the lifeline over exec; else stay, watch, and pass signals on."""
    named = os.environ.get(SUPERVISOR_PID, "")
    supervisor = int(named) if named.isdigit() else os.getppid()
    if sys.platform == "linux":
        _ask_kernel()
        if os.getppid() == supervisor:
            os.execvp(command[0], command)  # noqa: S606  # No shell: the supervisor's own list of arguments.
        return 0
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: child.send_signal(got))
    while child.poll() is None:
        if os.getppid() != supervisor:
            child.kill()
        time.sleep(_POLL_S)
    return child.returncode


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
