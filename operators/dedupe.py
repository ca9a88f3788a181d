"""Duplicates: a trade of a stream told again after a reconnect, by overlapping connections, or by error."""

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np

from operators.validate import TickRow

RUNS: Final = 64
"""Holes remembered per stream, less one."""
_VERSION: Final = b"dedupe1\n"
_STATE = np.dtype([("stream", "<i8"), ("low", "<i8"), ("high", "<i8"), ("newest_time", "<i8")])


class _Seen:
    """The trade ids seen on one stream, as runs `[lows[i], highs[i]]` that rise and do not touch."""

    __slots__ = ("highs", "lows", "newest_time")

    def __init__(self, low: int, high: int, newest_time: int) -> None:
        self.lows = [low]
        self.highs = [high]
        self.newest_time = newest_time


class Deduped(NamedTuple):
    """What is left of a burst."""

    rows: list[TickRow]
    """Those not seen before, in order; the list given if none had been."""

    dropped: int
    """How many had been."""

    restarted: tuple[int, ...]
    """Streams whose venue began to number its trades anew."""


class Dedupe:
    """Drops the ticks whose (stream, trade id) was seen before; those without an id pass.

    State per stream: at most `RUNS` runs of consecutive ids, some 100 bytes where a venue numbers without holes. When
    there would be more, the oldest hole is forgotten, and a trade that would fill it later counts as seen: so the
    window is `RUNS` holes long and unbounded in time. A tick of `count` trades covers the `count` ids that end with its
    own where `by_count`, else its own only.

    A known id with a stamp newer than every stamp of the stream cannot be the same trade told again: the venue numbers
    anew (a test exchange restarted), and the stream's memory begins anew too.
    """

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def update(self, rows: list[TickRow], *, by_count: bool = False) -> Deduped:
        """Take the ticks of one feed, in arrival order; `rows` is not changed.

        >>> day = 1_700_000_000_000_000_000
        >>> tick = (day, day, 10.0, 1.0, 7, 1, 0, 1, 0)
        >>> dedupe = Dedupe()
        >>> len(dedupe.update([tick]).rows), len(dedupe.update([tick]).rows)
        (1, 0)
        """
        known = self._seen
        dropped: list[int] = []
        restarted: tuple[int, ...] = ()
        for index, row in enumerate(rows):
            trade_id = row[4]
            if trade_id < 0:
                continue
            seen = known.get(row[6])
            if seen is None:
                known[row[6]] = _Seen(_first_id(row, by_count), trade_id, row[0])
                continue
            highs = seen.highs
            newest = highs[-1]
            if trade_id == newest + 1:
                highs[-1] = trade_id
            elif trade_id > newest:
                low = _first_id(row, by_count)
                if low <= newest + 1:
                    highs[-1] = trade_id
                else:
                    seen.lows.append(low)
                    highs.append(trade_id)
                    _forget(seen)
            elif _holds(seen, trade_id):
                if row[0] > seen.newest_time:
                    known[row[6]] = _Seen(_first_id(row, by_count), trade_id, row[0])
                    restarted += (row[6],)
                else:
                    dropped.append(index)
                continue
            else:
                _fill(seen, _first_id(row, by_count), trade_id)
            if row[0] > seen.newest_time:  # noqa: PLR1730  # max() costs 0.1 us, at each tick.
                seen.newest_time = row[0]
        if dropped:
            gone = set(dropped)
            rows = [row for index, row in enumerate(rows) if index not in gone]
        return Deduped(rows, len(dropped), restarted)

    def snapshot(self) -> bytes:
        """The state as bytes; `restore` makes an equal one of it."""
        records = [
            (stream, low, high, seen.newest_time)
            for stream, seen in sorted(self._seen.items())
            for low, high in zip(seen.lows, seen.highs, strict=True)
        ]
        return _VERSION + np.array(records, _STATE).tobytes()

    @classmethod
    def restore(cls, state: bytes) -> "Dedupe":
        """Continue from a snapshot.

        Raises:
            ValueError: The bytes are no snapshot of this version.
        """
        if not state.startswith(_VERSION) or (len(state) - len(_VERSION)) % _STATE.itemsize:
            msg = f"snapshot of dedupe begins with {state[: len(_VERSION)]!r}; this program reads {_VERSION!r}"
            raise ValueError(msg)
        made = cls()
        for stream, low, high, newest_time in np.frombuffer(state, _STATE, offset=len(_VERSION)).tolist():
            seen = made._seen.get(stream)
            if seen is None:
                made._seen[stream] = _Seen(low, high, newest_time)
            else:
                seen.lows.append(low)
                seen.highs.append(high)
        return made


def _first_id(row: TickRow, by_count: bool) -> int:
    return row[4] - row[5] + 1 if by_count and row[5] > 1 else row[4]


def _holds(seen: _Seen, trade_id: int) -> bool:
    place = bisect_right(seen.lows, trade_id) - 1
    return place >= 0 and trade_id <= seen.highs[place]


def _fill(seen: _Seen, low: int, high: int) -> None:
    """Add ids older than the newest, joining the runs that they touch."""
    lows, highs = seen.lows, seen.highs
    first = bisect_right(highs, low - 2)
    last = bisect_right(lows, high + 1)
    if first < last:
        low, high = min(low, lows[first]), max(high, highs[last - 1])
    lows[first:last] = [low]
    highs[first:last] = [high]
    _forget(seen)


def _forget(seen: _Seen) -> None:
    """Keep to the bound: the oldest hole closes."""
    if len(seen.lows) > RUNS:
        del seen.lows[1]
        del seen.highs[0]
