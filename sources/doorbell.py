"""The listening end of the journal's doorbell."""

import os
import select
import socket
import struct
from pathlib import Path
from typing import Final, Self

from market.errors import DeskError

PATH_BYTES_MAX: Final = 100
"""The kernel takes 107; a little room is left for a suffix."""

_SEQ = struct.Struct("<q")


class DoorbellListener:
    """A Unix datagram socket at a path. One listener a path: a second one takes the path over from the first."""

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            DeskError: The path is too long for a socket, or its folder cannot be written.
        """
        self._path = path
        name = os.fspath(path)
        if len(os.fsencode(name)) > PATH_BYTES_MAX:
            msg = f"socket path {name} has over {PATH_BYTES_MAX} bytes; choose a shorter --data-dir"
            raise DeskError(msg)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What a killed predecessor left behind would keep the name taken.
            path.unlink(missing_ok=True)
            self._socket.bind(name)
            self._inode = path.stat().st_ino
        except OSError as error:
            self._socket.close()
            msg = f"socket {name} cannot be made: {error.strerror}; make its folder writable"
            raise DeskError(msg) from error
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def wait(self, timeout_ms: int) -> bool:
        """Wait until it rings or time is up; says which."""
        return bool(self._poll.poll(timeout_ms))

    def answer(self) -> int:
        """Take all that has rung; the highest sequence number heard, 0 for none."""
        heard = 0
        while True:
            try:
                datagram = self._socket.recv(16)
            except BlockingIOError:
                return heard
            if len(datagram) == _SEQ.size:
                heard = max(heard, _SEQ.unpack(datagram)[0])

    def close(self) -> None:
        """Stop listening and remove the socket, unless another has taken its path over."""
        self._socket.close()
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
