"""The lock that lets one process at a time write the journal."""

import fcntl
import os
from pathlib import Path
from typing import Self

from market.errors import DeskError


class JournalLock:
    """Holds `folder/lock` until closed. The kernel frees it when its holder dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            DeskError: Another process has it, which is named; or the folder cannot be written.
        """
        path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            msg = f"journal folder {folder} cannot be written: {error.strerror}; choose another --data-dir"
            raise DeskError(msg) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip() or "of unknown id"
            os.close(self._fd)
            msg = (
                f"journal folder {folder} is being written by process {holder}; "
                "stop that one (`pq down`) or choose another --data-dir"
            )
            raise DeskError(msg) from error
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # The text is a courtesy to whoever finds the lock taken; on a full disk it is empty and the lock still
            # holds.
            pass

    def close(self) -> None:
        """Let it go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
