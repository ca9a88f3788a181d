"""The doorbell: tells readers of the journal that a row has come, so that none of them has to poll."""

import os
import socket
import struct
from pathlib import Path
from typing import Self

_SEQ = struct.Struct("<q")


class Doorbell:
    """Rings by a Unix datagram that carries the sequence number. It may get lost: readers look now and then anyway."""

    def __init__(self, *paths: Path) -> None:
        """Make a doorbell.

        Args:
            paths: Sockets of the listeners, who need not be there.
        """
        self._paths = [os.fspath(path) for path in paths]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def ring(self, seq: int) -> int:
        """Say that the journal has come to `seq`; never waits.

        Returns:
            How many listeners took it. A full queue (of 10, so the listener is awake anyway) or an absent listener
            is not counted, and no trouble.
        """
        datagram = _SEQ.pack(seq)
        heard = 0
        for path in self._paths:
            try:
                self._socket.sendto(datagram, path)
            except OSError:
                continue
            heard += 1
        return heard

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
