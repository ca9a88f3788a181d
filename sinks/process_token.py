"""A process by a name that no later one bears: what a note of work in hand says of who has it in hand.

A pid alone is given again, so the token holds the machine's start, the pid and the process's start. A process in
another container is not seen from here, and counts as ended.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_ENDED_STATES: Final = "ZXx"
"""Of `/proc/PID/stat`: ended, though its parent has not looked yet."""


def this_process() -> str:
    """The token of the process that asks."""
    return _token(os.getpid()) or f"?:{os.getpid()}:?"


def is_alive(token: str) -> bool:
    """Whether the process that a token names still runs.

    >>> is_alive(this_process()), is_alive("another boot:1:1")
    (True, False)
    """
    with suppress(ValueError, IndexError):
        return token == this_process() or token == _token(pid_of(token))
    return False


def pid_of(token: str) -> int:
    """The process id in a token.

    >>> pid_of(this_process()) == os.getpid()
    True
    """
    return int(token.rsplit(":", 2)[1])


def _token(pid: int) -> str | None:
    """None where there is no such process any more."""
    if sys.platform == "linux":
        try:
            # The command's name, in brackets, may hold anything; the fields are counted from behind it.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = _BOOT_ID.read_text().strip()
        except OSError:
            return None
        return None if fields[0] in _ENDED_STATES else f"{boot}:{pid}:{fields[19]}"
    import psutil  # type: ignore[import-untyped]

    try:
        one = psutil.Process(pid)
        if one.status() == psutil.STATUS_ZOMBIE:
            return None
        # Its start is a moment since 1970 here, so that one boot's differs from another's by itself.
        return f"-:{pid}:{one.create_time():.2f}"
    except psutil.Error:
        return None
