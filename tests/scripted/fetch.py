"""Stands where `fetch_bars` stands: a truth of any length, served in pages, with failures where a test wants them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from history.fetching import Fetched
from market.bars import BAR, BarBatch, BarState
from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from market.streams import FeedKind, Stream
from market.symbols import Symbol

DAY_NS = 86_400 * 10**9
NOON = 1_767_355_200 * 10**9
"""2026-01-02T12:00:00Z, what the desk's clock shows."""


def truth(symbol: Symbol, interval: Interval, start: int, end: int, now: int = NOON) -> np.ndarray:
    """All bars of a span that traded: a function of symbol and start alone. One slot in seven is quiet."""
    seed = sum(str(symbol).encode()) + int(interval)
    bounds = slots(calendar_for(symbol), interval, start, end)
    bounds = bounds[bounds[:, 0] < now]
    number = bounds[:, 0] // 60_000_000_000 + seed
    bounds, number = bounds[number % 7 != 3], number[number % 7 != 3]
    rows = np.zeros(len(bounds), BAR)
    rows["start"], rows["end"] = bounds.T
    rows["open"] = 100 + number % 13
    rows["close"] = 100 + number % 11
    rows["high"] = np.maximum(rows["open"], rows["close"]) + 0.5
    rows["low"] = np.minimum(rows["open"], rows["close"]) - 0.25
    rows["volume"] = 1 + number % 5
    rows["notional"] = rows["volume"] * rows["close"]
    rows["trades"] = 1 + number % 3
    rows["updated_at"], rows["seq"], rows["interval"] = now, -1, interval
    rows["state"] = np.where(rows["end"] > now, BarState.FORMING, BarState.OFFICIAL)
    return rows


class ScriptedHistory:
    """Stands where `fetch_bars` stands, and serves `truth` in pages, newest first.

    May be called from several threads. `before_page`, where given, is called with (symbol, page's start) and may raise.
    """

    def __init__(
        self, *, page: int = 100, before_page: Callable[[Symbol, int], None] | None = None, name: str = "simulated"
    ) -> None:
        self.calls: list[tuple[Symbol, int | None, int | None, int | None, str | None]] = []
        self.served: Counter[tuple[Symbol, int]] = Counter()
        """How often the bar of a start was given out, for each symbol."""
        self.bad = ()
        self._page = page
        self._before_page = before_page
        self._name = name
        self._guard = threading.Lock()

    def __call__(
        self, desk, symbol, interval, *, start=None, end=None, count=None, provider=None, say=None
    ) -> Iterator[Fetched]:
        """See `history.fetching.fetch_bars`."""
        now = desk.now_ns()
        with self._guard:
            self.calls.append((symbol, start, end, count, provider))
        stop = now if end is None else end
        first = start
        if first is None:
            first = stop - (count * 3 + 10) * max(interval.minutes, 1440 * (not interval.intraday)) * 60 * 10**9
        rows = truth(symbol, interval, first, stop, now)
        if count is not None:
            rows = rows[-count:]
        name = provider or self._name
        stream = Stream(0, name, symbol, FeedKind.TRADES, 0)
        upto = stop
        for last in range(len(rows), 0, -self._page):
            part = rows[max(0, last - self._page) : last]
            oldest = last <= self._page
            since = start if oldest and start is not None else int(part["start"][0])
            if self._before_page is not None:
                self._before_page(symbol, since)
            with self._guard:
                self.served.update((symbol, at) for at in part["start"].tolist())
            yield Fetched(BarBatch(part, (stream,)), name, (since, upto), self.bad)
            upto = since
        if not len(rows) and start is not None:
            yield Fetched(BarBatch(rows, (stream,)), name, (start, stop), self.bad)
