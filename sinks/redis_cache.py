"""Bars in Redis: what is forming now, and word of what has closed.

`forming:{EXCHANGE}:{TICKER}` is a string of `market.forming` that lives 300 s and is written at each change, and at
least once a minute of the journal's clock, so that a quiet month bar stays and everything vanishes once the journal
stands still. `bars:closed` is a capped stream of what the store has taken; it wakes consumers, and they read the
store's log.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BarState
from market.forming import TTL_S, key, prefix
from market.intervals import NAMES
from market.streams import Stream
from sinks.redis_pipe import RedisPipe, command

RENEW_NS: Final = 45_000_000_000
"""A value that was not written for this long by the journal's clock is written again; with `LOOK_NS` under a minute."""
LOOK_NS: Final = 5_000_000_000
"""How often, by the journal's clock, values are looked through for such."""
BUSY_OWED: Final = 512
"""With more commands than this unanswered, Redis is busy. It takes a few milliseconds for as many."""
CLOSED: Final = "bars:closed"
CLOSED_ENTRIES: Final = 100_000
"""About how many entries the stream keeps."""
PUBLISH_BARS: Final = 10_000
"""Of more bars than this at once (catching up) only the last are published: the store's log has them all."""

_TTL: Final = str(TTL_S).encode()
_STATES: Final = tuple(str(state).encode() for state in BarState)
_INTERVALS: Final = tuple(name.encode() for name in NAMES)
_TAIL: Final = b"\r\n$2\r\nEX\r\n$%d\r\n%b\r\n" % (len(_TTL), _TTL)


class FormingCache:
    """The forming bars of all live streams, in Redis whenever it is there.

    Remembers the last value of each stream, about 1.3 kB, so that all of them can be written again after Redis came
    back empty. Bounded by the number of streams. For one thread; never waits.
    """

    def __init__(self, url: str, *, clock_s: Callable[[], float] = monotonic, seed: int = 0) -> None:
        """Connect in the background.

        Args:
            url: As redis-py reads it.
            clock_s: Seconds, monotone: the clock of connections, not of bars.
            seed: Of the backoff's jitter.
        """
        self.pipe = RedisPipe(url, seed=seed, monotonic=clock_s)
        self._heads: dict[int, tuple[bytes, bytes, bytes]] = {}
        """By stream: its key, the command up to the value's length, and the value's prefix."""
        self._values: dict[bytes, bytes] = {}
        """By key: the whole command that writes its present value."""
        self._owners: dict[bytes, int] = {}
        """By key: the stream whose bars it holds; another of the same symbol takes it over by writing."""
        self._written: dict[bytes, int] = {}
        """By key: the journal's clock, ns, at its last write."""
        self._waiting: dict[bytes, bytes] = {}
        """By key: the command that is to be sent; a newer one takes its place."""
        self._generation = 0
        self._looked = 0

    def put(self, stream: Stream, rows: NDArray[np.void], clock: int) -> None:
        """Take what is forming of one stream now; written by `flush`.

        Args:
            stream: Of the bars.
            rows: `BAR` records; none if nothing is open any more, which removes the key.
            clock: The journal's, ns.
        """
        self.put_bytes(stream, rows.tobytes(), clock)

    def put_bytes(self, stream: Stream, rows: bytes, clock: int) -> None:
        """As `put`, with the records' bytes."""
        head = self._heads.get(stream.id)
        if head is None:
            name = key(stream.symbol).encode()
            head = name, b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$" % (len(name), name), prefix(stream.feed)
            self._heads[stream.id] = head
        name, begin, front = head
        if rows:
            value = b"%b%d\r\n%b%b%b" % (begin, len(front) + len(rows), front, rows, _TAIL)
            self._values[name] = value
            self._owners[name] = stream.id
            self._written[name] = clock
            self._waiting[name] = value
        elif self._owners.get(name, stream.id) == stream.id:
            # Also where nothing was put yet: a predecessor may have.
            self._waiting[name] = command(b"DEL", name)
            for known in (self._values, self._owners, self._written):
                known.pop(name, None)

    def flush(self, clock: int) -> bool:
        """Send what was put, what is due for renewal, and everything if Redis has come back.

        While Redis is still busy with what it was sent, nothing is added to that: what was put waits for the next call,
        and of each stream only the newest. So a burst never makes a queue of values that nobody will see.

        Args:
            clock: The journal's, ns.

        Returns:
            Whether it was handed to Redis; if not, it is written when Redis is back.
        """
        if clock - self._looked >= LOOK_NS:
            self._looked = clock
            due = [name for name, at in self._written.items() if clock - at >= RENEW_NS]
            for name in due:
                self._written[name] = clock
                self._waiting.setdefault(name, self._values[name])
        pipe = self.pipe
        waiting = self._waiting
        if pipe.connected and pipe.generation != self._generation:
            self._generation = pipe.generation
            waiting.update(self._values)
        elif _busy(pipe) or not waiting:
            stands = pipe.pump()
            if not waiting or (stands and _busy(pipe)):
                return stands
        if not waiting:
            return True
        self._waiting = {}
        return pipe.send(b"".join(waiting.values()), len(waiting))

    def close(self) -> None:
        """Send what waits and hang up; the values run out by themselves."""
        self.pipe.drain(0.5)
        if self._waiting and self.pipe.connected:
            self.pipe.send(b"".join(self._waiting.values()), len(self._waiting))
            self.pipe.drain(0.5)
        self.pipe.close()


def _busy(pipe: RedisPipe) -> bool:
    return pipe.unsent > 0 or pipe.owed > BUSY_OWED


class ClosedStream:
    """Word of each closed bar, after the store has it. For one thread, which may wait a little."""

    def __init__(self, url: str, *, clock_s: Callable[[], float] = monotonic, seed: int = 1) -> None:
        """Connect in the background; the arguments are those of `FormingCache`."""
        self.pipe = RedisPipe(url, seed=seed, monotonic=clock_s)
        self.published = 0
        """Entries handed to Redis."""

    def publish(self, rows: NDArray[np.void], streams: Sequence[Stream], log_seqs: NDArray[np.int64]) -> bool:
        """Append one entry a bar: symbol, interval, start (ns), revision, state, log_seq.

        Args:
            rows: `BAR` records that the store has logged.
            streams: By id.
            log_seqs: Where each stands in the store's log of its writer.

        Returns:
            Whether Redis was there; what it missed is in the store's log.
        """
        rows, log_seqs = rows[-PUBLISH_BARS:], log_seqs[-PUBLISH_BARS:]
        if not len(rows):
            return True
        if not self.pipe.connected:
            self.pipe.skipped += len(rows)
            return False
        entries = [
            command(
                b"XADD", CLOSED.encode(), b"MAXLEN", b"~", b"%d" % CLOSED_ENTRIES, b"*",
                b"symbol", str(streams[stream].symbol).encode(), b"interval", _INTERVALS[interval],
                b"start", b"%d" % start, b"revision", b"%d" % revision, b"state", _STATES[state],
                b"log_seq", b"%d" % log_seq,
            )
            for stream, interval, start, revision, state, log_seq in zip(
                rows["stream"].tolist(), rows["interval"].tolist(), rows["start"].tolist(),
                rows["revision"].tolist(), rows["state"].tolist(), log_seqs.tolist(), strict=True,
            )
        ]  # fmt: skip
        if not self.pipe.send(b"".join(entries), len(entries)):
            return False
        self.published += len(entries)
        return self.pipe.drain(1.0)

    def close(self) -> None:
        """Hang up."""
        self.pipe.close()
