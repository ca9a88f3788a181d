"""A Redis connection for a thread that must never wait for Redis.

What is sent goes into the socket as far as it takes it and stays in an outbox otherwise; replies are read when there is
time, and only counted. When Redis goes away the pipe says so at once and a thread of its own connects again, with
backoff; what was sent in between is dropped and counted, because a cache is written anew after that anyway.
"""

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis

OUTBOX_BYTES: Final = 64 << 20
"""More than this unsent means that Redis cannot keep up: the connection is given up."""
STALL_S: Final = 1.0
"""Without a reply or an accepted byte for this long while some are owed, Redis is taken to be away."""
BACKOFF_S: Final = (0.1, 5.0)
"""First and longest pause between two attempts to connect; a random share of it is waited."""
_OK: Final = b"+OK\r\n"
_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def command(*parts: bytes) -> bytes:
    r"""One command in Redis' protocol.

    >>> command(b"DEL", b"a")
    b'*2\r\n$3\r\nDEL\r\n$1\r\na\r\n'
    """
    return b"*%d\r\n%b" % (len(parts), b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))


class RedisPipe:
    """One-way traffic to Redis: bytes in, replies counted, never an exception, never a wait.

    All methods are called by one thread, the owner's; any may call `close` and read `socket_open` and the counters.
    """

    def __init__(
        self,
        url: str,
        *,
        seed: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_s: float = 1.0,
    ) -> None:
        """Make the first attempt at once, in a thread of its own.

        Args:
            url: `redis://`, `rediss://` or `unix://`, as redis-py reads it.
            seed: Of the jitter in the backoff.
            monotonic: Seconds; the clock of stalls.
            timeout_s: Of an attempt to connect, and of its first PING.
        """
        self._pool = redis.ConnectionPool.from_url(
            url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, health_check_interval=0
        )
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._fresh: socket.socket | None = None
        """A connected socket that the connecting thread leaves for the owner."""
        self._found = threading.Event()
        self._socket: socket.socket | None = None
        self._keep: object | None = None
        self._fresh_keep: object | None = None
        self._outbox = bytearray()
        self._inbox = b""
        self._progress = 0.0
        self.owed = 0
        """Replies not read yet."""
        self.generation = 0
        """Rises by one with each connection made; what depends on Redis' memory is written anew then."""
        self.sent = 0
        """Commands handed over."""
        self.skipped = 0
        """Commands dropped because Redis was away."""
        self.errors = 0
        """Commands that Redis refused."""
        self.losses = 0
        """Connections lost."""
        self.last_error = ""
        """Why the last connection was lost or the last command refused."""
        self._connect_in_background()

    @property
    def connected(self) -> bool:
        """Whether commands are accepted at the moment; picks up a new connection if there is one."""
        if self._socket is not None:
            return True
        if not self._found.is_set():
            return False
        self._found.clear()
        self._socket, self._fresh = self._fresh, None
        self._keep, self._fresh_keep = self._fresh_keep, None
        self._outbox.clear()
        self._inbox = b""
        self.owed = 0
        self.generation += 1
        return True

    @property
    def socket_open(self) -> bool:
        """Whether there is a connection, for any thread that wants to tell."""
        return self._socket is not None or self._found.is_set()

    @property
    def unsent(self) -> int:
        """Bytes that the socket has not taken yet."""
        return len(self._outbox)

    def send(self, payload: bytes, replies: int) -> bool:
        """Hand over whole commands.

        Args:
            payload: Commands in Redis' protocol, one after another.
            replies: How many commands it holds.

        Returns:
            Whether they were accepted; that Redis did them is known once `owed` is 0 in the same generation.
        """
        if not self.connected:
            self.skipped += replies
            return False
        if self.owed == 0:
            self._progress = self._monotonic()
        self.owed += replies
        self.sent += replies
        if self._outbox:
            self._outbox += payload
        else:
            self._outbox_from(payload)
        return self.pump()

    def _outbox_from(self, payload: bytes) -> None:
        assert self._socket is not None
        try:
            accepted = self._socket.send(payload)
        except _WOULD_BLOCK:
            accepted = 0
        except OSError as error:
            self._lose(f"{type(error).__name__}: {error}")
            return
        if accepted < len(payload):
            self._outbox += memoryview(payload)[accepted:]

    def pump(self) -> bool:
        """Move what can be moved without waiting, and notice that Redis is gone.

        Returns:
            Whether the connection still stands.
        """
        if not self.connected:
            return False
        self._read()
        if self._outbox and self._socket is not None:
            self._flush_outbox()
        if self._socket is None:
            return False
        if len(self._outbox) > OUTBOX_BYTES:
            self._lose(f"{len(self._outbox)} bytes wait for Redis, more than the {OUTBOX_BYTES} allowed")
        elif self.owed and self._monotonic() - self._progress > STALL_S:
            self._lose(f"no reply to {self.owed} commands for {STALL_S} s")
        return self._socket is not None

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was sent has been answered; for a thread that may wait.

        Returns:
            Whether it was; False after the timeout or if Redis went away.
        """
        deadline = self._monotonic() + timeout_s
        generation = self.generation
        while self.pump() and self.generation == generation:
            if not self.owed:
                return True
            if self._monotonic() >= deadline or self._stop.wait(0.0005):
                break
        return False

    def _flush_outbox(self) -> None:
        assert self._socket is not None
        sent = 0
        view = memoryview(self._outbox)
        try:
            while sent < len(view):
                sent += self._socket.send(view[sent : sent + (1 << 18)])
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            view.release()
            self._lose(f"{type(error).__name__}: {error}")
            return
        view.release()
        if sent:
            del self._outbox[:sent]
            self._progress = self._monotonic()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._lose(f"{type(error).__name__}: {error}")
            return
        if not data:
            self._lose("Redis closed the connection")
            return
        self._progress = self._monotonic()
        if not self._inbox and data.count(_OK) * len(_OK) == len(data):
            self.owed -= len(data) // len(_OK)
            return
        self._inbox = self._count(self._inbox + data)

    def _count(self, data: bytes) -> bytes:
        """Count the whole replies in `data` and return what is left: the beginning of one."""
        at = 0
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                return data[at:]
            after = end + 2
            if data[at] == 0x24:  # "$", a text of a stated length or, with -1, none
                length = int(data[at + 1 : end])
                after += length + 2 if length >= 0 else 0
                if after > len(data):
                    return data[at:]
            elif data[at] == 0x2D:  # "-", an error
                self.errors += 1
                self.last_error = data[at + 1 : end].decode(errors="replace")
            at = after
            self.owed -= 1

    def _lose(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._keep = None
        self._outbox.clear()
        self.owed = 0
        self.losses += 1
        self.last_error = why
        self._connect_in_background()

    def _connect_in_background(self) -> None:
        if not self._stop.is_set():
            threading.Thread(target=self._connect, name="redis-connect", daemon=True).start()

    def _connect(self) -> None:
        pause, longest = BACKOFF_S
        while not self._stop.is_set():
            connection: Any = self._pool.make_connection()
            try:
                connection.connect()
                connection.send_command("PING")
                connection.read_response()
            except (redis.RedisError, OSError) as error:
                self.last_error = f"{type(error).__name__}: {error}"
                connection.disconnect()
                self._stop.wait(pause * self._random.random())
                pause = min(pause * 2, longest)
                continue
            # redis-py has no name for "connect, log in and give me the socket"; its own reader costs 10 us a reply,
            # which at a write per tick is a tenth of a core.
            found = connection._sock  # noqa: SLF001
            found.setblocking(False)
            # As much as the system allows: a burst of values is then handed over at once.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OUTBOX_BYTES)
            # The connection closes its socket when it is collected, so it is kept beside it.
            self._fresh, self._fresh_keep = found, connection
            self._found.set()
            if self._stop.is_set():
                found.close()
            return

    def close(self) -> None:
        """Stop connecting and hang up; what waits in the outbox is dropped."""
        self._stop.set()
        for found in (self._socket, self._fresh):
            if found is not None:
                found.close()
        self._socket = None
