"""Who runs a data folder: a lock on the pid file, and what to do about a holder that was killed."""

import fcntl
import os
import signal
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

import psutil  # type: ignore[import-untyped]

from infra.folders import Folders
from infra.lifeline import SUPERVISOR_PID
from infra.logs import logger
from infra.status import read_status
from market.errors import DeskError

LEFTOVERS_S: Final = 25.0
"""What a killed supervisor left running gets this long to flush and end."""


What = Literal["desk", "replay"]


class Holder(NamedTuple):
    """Who holds a data folder."""

    pid: int
    what: What
    """What it does there: `pq up`, or a replay, which needs the folder for itself."""


class Hold:
    """The right to run one data folder, while the block lasts.

    The kernel ends it with the process, so it is never stale. The pid file stays, empty: were it removed, one could
    lock the removed file and another its successor.
    """

    def __init__(self, folders: Folders, what: What = "desk", *, leftovers_s: float = LEFTOVERS_S) -> None:
        self._folders = folders
        self._what = what
        self._leftovers_s = leftovers_s
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the folder, and end what a killed holder left running.

        Raises:
            DeskError: Another holds it; its pid is named.
        """
        folders = self._folders
        handle = os.open(folders.pid_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            found = _read(handle)
            os.close(handle)
            what, pid = (found.what, found.pid) if found is not None else ("desk", "unknown")
            msg = (
                f"a {what} already runs on {folders.data_dir} (pid {pid}): stop it with `pq down "
                f"--data-dir {folders.data_dir}`, or give this one another --data-dir"
            )
            raise DeskError(msg) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {self._what}\n".encode(), 0)
        self._handle = handle
        _end_leftovers(folders, self._leftovers_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def running_pid(folders: Folders) -> int | None:
    """Pid of whoever holds this folder now; None if nobody does."""
    found = holder(folders)
    return found.pid if found is not None else None


def holder(folders: Folders) -> Holder | None:
    """Who holds this folder now; None if nobody does."""
    try:
        handle = os.open(folders.pid_file, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(handle)
    else:
        return None
    finally:
        os.close(handle)


def _read(handle: int) -> Holder | None:
    """What the holder wrote of itself; None in the moment in which it has not yet."""
    pid, _, what = os.pread(handle, 64, 0).decode(errors="replace").strip().partition(" ")
    return Holder(int(pid), "replay" if what == "replay" else "desk") if pid.isdigit() else None


def stop(folders: Folders, wait_s: float) -> Holder | None:
    """Signal the holder of this folder and wait until it has ended.

    Returns:
        Who it was, or None if there was none.

    Raises:
        DeskError: It may not be signalled, or has not ended in time.
    """
    found = holder(folders)
    if found is None:
        return None
    pid, what = found
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return found
    except PermissionError as error:
        msg = f"the {what} on {folders.data_dir} (pid {pid}) belongs to another user: stop it as that user"
        raise DeskError(msg) from error
    deadline = time.monotonic() + wait_s
    while running_pid(folders) == pid:
        if time.monotonic() >= deadline:
            msg = f"the {what} on {folders.data_dir} (pid {pid}) has not ended in {wait_s:g} s: see {folders.logs}"
            raise DeskError(msg)
        time.sleep(0.05)
    return found


def _end_leftovers(folders: Folders, patience_s: float) -> None:
    """End the children of a supervisor that was killed; they are ending by themselves, but may be flushing."""
    path = folders.status_file("supervisor")
    left = read_status(path)
    if left is None:
        return
    orphans = [
        process for entry in left.get("processes", []) if (process := _child_of(left.get("pid"), entry.get("pid")))
    ]
    for process in orphans:
        logger().warning("ending a process of an earlier run", pid=process.pid)
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(orphans, timeout=patience_s)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    path.unlink(missing_ok=True)


def _child_of(supervisor: Any, pid: Any) -> psutil.Process | None:
    """The process if it still is the child that this supervisor started, by what its environment says.

    A pid alone may by now be someone else's.
    """
    if not isinstance(pid, int) or not isinstance(supervisor, int):
        return None
    try:
        process = psutil.Process(pid)
        ours = process.environ().get(SUPERVISOR_PID) == str(supervisor)
    except psutil.Error:
        return None
    return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
