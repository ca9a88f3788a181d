"""What the oracle remembers of one symbol: ticks by minute, and the spans in which some may be missing."""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from market.bars import BarState
from market.intervals import Interval
from market.streams import Stream
from market.ticks import NEVER

SPANS: Final = 8
"""Spans remembered beyond the last closed minute; one more joins the two oldest."""


class HeldTick(NamedTuple):
    """One tick of a minute that may still change."""

    event_time: int
    arrival: int
    price: float
    size: float
    trades: int


class BarSum(NamedTuple):
    """What a bar says of its ticks."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    notional: float
    trades: int

    def then(self, later: "BarSum") -> "BarSum":
        """This one and a later one together."""
        return BarSum(
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
            self.notional + later.notional,
            self.trades + later.trades,
        )


Key = tuple[Interval, int]
"""Interval and start of a bar."""


@dataclass
class Doubts:
    """Spans in which one stream may lack ticks."""

    alive: list[list[int]] = field(default_factory=list)
    """In order of arrival, those that reach beyond the start of the last closed minute: at most 8."""

    past: list[tuple[int, int]] = field(default_factory=list)
    """The others, disjoint and sorted."""

    def overlap(self, start: int, end: int) -> bool:
        """Whether any overlaps `[start, end)`."""
        if any(span[0] < end and start < span[1] for span in self.alive):
            return True
        place = bisect_left(self.past, (end, end))
        return place > 0 and self.past[place - 1][1] > start

    def add(self, start: int, end: int, last: int | None) -> None:
        """Add a span, when the last closed minute is `last`."""
        if start >= end:
            return
        if last is not None:
            for span in self.alive:
                if span[1] <= last:
                    self._bury(span[0], span[1])
            self.alive = [span for span in self.alive if span[1] > last]
        if len(self.alive) == SPANS:
            first, second, *rest = self.alive
            self.alive = [[min(first[0], second[0]), max(first[1], second[1])], *rest]
        self.alive.append([start, end])

    def resume(self, end: int) -> bool:
        """End the spans that last; False if none does."""
        lasting = [span for span in self.alive if span[1] == NEVER]
        for span in lasting:
            span[1] = end
        self.alive = [span for span in self.alive if span[0] < span[1]]
        return bool(lasting)

    def _bury(self, start: int, end: int) -> None:
        apart = [span for span in self.past if span[1] < start or end < span[0]]
        met = [span for span in self.past if not (span[1] < start or end < span[0])]
        merged = (min([start, *(s for s, _ in met)]), max([end, *(e for _, e in met)]))
        insort(apart, merged)
        self.past = apart


@dataclass
class Book:
    """All bars of one symbol in one clock domain."""

    stream: Stream
    """Whose ticks they are made of."""
    doubts: Doubts
    ticks: dict[int, list[HeldTick]] = field(default_factory=dict)
    """By start of the minute, from the last closed minute on."""
    minutes: list[int] = field(default_factory=list)
    """Starts of all minutes that the current bars are made of, sorted."""
    sums: dict[int, BarSum] = field(default_factory=dict)
    """Of those minutes, worked out since their last tick."""
    homes: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Bounds of the 13 bars of each minute."""
    waiting: dict[Key, int] = field(default_factory=dict)
    """End of each bar that has ticks and has not closed."""
    closed: dict[Key, tuple[int, BarState]] = field(default_factory=dict)
    """Revision and state that each closed bar last went out with."""
    last: int | None = None
    """Start of the last closed minute."""
    clock: int = 0
    """Received time of the last tick that entered a bar."""
    seq: int = 0
    """Journal row of that tick."""

    def of(self, interval: Interval, minute: int) -> tuple[int, int]:
        """Bounds of the bar that holds a minute."""
        return self.homes[minute][interval]

    def minute_sum(self, minute: int) -> BarSum:
        """Work out a minute from its ticks: in order of time for open and close, of arrival for sums."""
        known = self.sums.get(minute)
        if known is None:
            arrived = self.ticks[minute]
            by_time = sorted(arrived, key=lambda tick: (tick.event_time, tick.arrival))
            volume = notional = 0.0
            for tick in arrived:
                volume += tick.size
                notional += tick.price * tick.size
            prices = [tick.price for tick in arrived]
            known = self.sums[minute] = BarSum(
                by_time[0].price,
                max(prices),
                min(prices),
                by_time[-1].price,
                volume,
                notional,
                sum(tick.trades for tick in arrived),
            )
        return known

    def bar_sum(self, start: int, end: int) -> BarSum:
        """Work out any bar: its minutes in order, added up from the left."""
        inside = self.minutes[bisect_left(self.minutes, start) : bisect_left(self.minutes, end)]
        total = self.minute_sum(inside[0])
        for minute in inside[1:]:
            total = total.then(self.minute_sum(minute))
        return total
