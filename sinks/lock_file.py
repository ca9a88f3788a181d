"""A lock that one process at a time holds for a piece of work, and that its death frees."""

import fcntl
import os
from pathlib import Path
from typing import Self

from market.errors import DeskError


class BusyError(DeskError):
    """Another process does this work already."""


class LockFile:
    """Holds a file's lock until closed. The kernel frees it when its holder dies, however it dies."""

    def __init__(self, path: Path, work: str) -> None:
        """Take it.

        Args:
            path: Of the file; made if it is not there.
            work: What is done under it, as in "another process is ...".

        Raises:
            BusyError: Another process, or another part of this one, has it; it is named.
            DeskError: The file cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            msg = f"{path} cannot be made: {error.strerror}; free space, or choose another --data-dir"
            raise DeskError(msg) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip() or "of unknown id"
            os.close(self._fd)
            msg = f"process {holder} is {work} on this desk already; let it end, or try again in a moment"
            raise BusyError(msg) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let it go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
