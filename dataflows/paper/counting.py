"""Which ticks count for paper runs: those of the streams that make the bars, in their sessions, of open minutes.

A tick of a minute that has closed fills nothing: whoever was told of that bar and sent an order then could not have had
it. Nor does one that is stamped so far ahead that it enters no bar.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS
from market.sessions import ROUND_THE_CLOCK, Calendar, calendar_for
from market.streams import Stream
from market.ticks import Batch
from operators.layout import AHEAD_NS

LIVE: Final = 0
DAY_NS: Final = 1440 * MINUTE_NS


class Counted(NamedTuple):
    """Ticks that count, arrays of equal length."""

    ticks: Batch
    rows: NDArray[np.int64]
    slots: NDArray[np.int32]
    """Index of each one's symbol in `Counting.symbols`."""
    sessions: NDArray[np.int64]
    """End of the session that each one's event is in, ns."""


class Counting:
    """Knows the streams that make bars, and the symbols that runs hold."""

    def __init__(self, designated: Mapping[str, int], calendars: Callable[[Stream], Calendar] | None = None) -> None:
        """Begin.

        Args:
            designated: By symbol the stream that makes its bars.
            calendars: The calendar of a stream; that of its symbol unless given.
        """
        self.designated = dict(designated)
        self.symbols: list[str] = []
        """Those that runs hold or held."""
        self._calendars = calendars or _calendar
        self._streams: tuple[Stream, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._slot_of: NDArray[np.int32] = np.empty(0, np.int32)
        self._sessions: dict[int, Calendar] = {}
        """By slot the calendar of a symbol that does not trade round the clock."""

    def learn(self, streams: tuple[Stream, ...]) -> None:
        """Take note of the journal's streams."""
        if streams is not self._streams:
            self._streams = streams
            self._build()

    def watch(self, symbols: Iterable[str]) -> None:
        """Count ticks of these symbols from now on, and of no others."""
        wanted = frozenset(symbols)
        if wanted != self._watched:
            self._watched = wanted
            self.symbols += sorted(wanted.difference(self.symbols))
            self._build()

    def designate(self, streams: Iterable[int]) -> None:
        """Let these streams make the bars of their symbols."""
        for stream in streams:
            self.designated[str(self._streams[stream].symbol)] = stream
        self._build()

    def counted(self, ticks: Batch, rows: NDArray[np.int64], closed_until: int) -> Counted | None:
        """Those that count; None if there are none.

        Args:
            ticks: n `TICK` records.
            rows: n: the journal row of each.
            closed_until: End of the newest minute that has closed, ns.
        """
        slots = self._slot_of[ticks["stream"]]
        events = ticks["event_time"]
        kept = (slots >= 0) & (events >= closed_until) & (events - ticks["received_time"] <= AHEAD_NS)
        if not kept.all():
            if not kept.any():
                return None
            ticks, rows, slots, events = ticks[kept], rows[kept], slots[kept], events[kept]
        sessions = (events // DAY_NS + 1) * DAY_NS
        if not self._sessions:
            return Counted(ticks, rows, slots, sessions)
        inside = np.ones(len(ticks), np.bool_)
        for slot, calendar in self._sessions.items():
            mine = slots == slot
            if mine.any():
                sessions[mine], inside[mine] = _sessions(calendar, events[mine])
        if not inside.any():
            return None
        return Counted(ticks[inside], rows[inside], slots[inside], sessions[inside])

    def _build(self) -> None:
        self._slot_of = np.full(len(self._streams), -1, np.int32)
        self._sessions = {}
        for slot, symbol in enumerate(self.symbols):
            place = self.designated.get(symbol, -1) if symbol in self._watched else -1
            if not 0 <= place < len(self._streams):
                continue
            stream = self._streams[place]
            self._slot_of[place] = slot
            calendar = self._calendars(stream)
            if calendar.name != ROUND_THE_CLOCK:
                self._sessions[slot] = calendar


def _sessions(calendar: Calendar, events: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """End of the day of trading that each event is in, and whether it is in a session at all."""
    minutes = events // MINUTE_NS
    places = np.searchsorted(calendar.open, minutes, side="right") - 1
    known = np.maximum(places, 0)
    return calendar.day_end[known] * MINUTE_NS, (places >= 0) & (minutes < calendar.close[known])


def _calendar(stream: Stream) -> Calendar:
    return calendar_for(stream.symbol, extended=stream.extended)
