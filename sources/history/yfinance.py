"""Yahoo's charts of US stocks by the yfinance library, which scrapes them. Opt-in, and an extra to install.

Source: https://ranaroussi.github.io/yfinance; https://github.com/ranaroussi/yfinance/issues/2611. A frame's index is
the start on the exchange's clock, of a day its midnight; `start` is inclusive, `end` is not; the newest row may still
be open. Bars of the regular session come; an hour is cut from 9:30 on, as ours is. Minutes are to be had for the last
thirty days, seven at a time, five and fifteen for sixty days, hours for two years.

Yahoo adjusts all its prices for splits, and cannot be asked not to. What traded is worked out again: prices times, and
volumes divided by, the splits since. Its prices are 32-bit floats: the shortest decimal that is the same float is what
was printed; after splits it is rounded to six digits, which is what such a float is good for.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from math import isnan
from typing import Any, Final

import numpy as np

from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from sources.history.patience import Patience
from sources.history.provider import BadRow, Means, Page, Terms, Window
from sources.history.reach import DAY_NS, last_days
from sources.history.request import BarRequest, bar_request
from sources.history.rows import BarPages, Row, shown
from sources.history.us_stocks import new_york, settled, start_of, us_ticker
from sources.history.yfinance_ticker import Split, YahooChart, factor_after

SPANS: Final = {Interval.M1: (29, 7), Interval.M5: (59, 59), Interval.M15: (59, 59), Interval.H1: (729, 700)}
"""Days that it reaches back, and days in a call, by intraday interval."""

_NAMES: Final = {Interval.M1: "1m", Interval.M5: "5m", Interval.M15: "15m", Interval.H1: "1h", Interval.D1: "1d"}

TERMS: Final = Terms(
    intervals=frozenset(_NAMES),
    page_bars=10_000,
    # Ours: Yahoo says no figures, and shuts out who asks too often.
    windows=(Window(60, 30), Window(86_400, 2_000)),
    per_second=1.0,
    reach_days={interval: days for interval, (days, _) in SPANS.items()},
)


class YFinanceHistory:
    """See `sources.history.provider.Provider`."""

    name = "yfinance"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet. No key is wanted.

        Raises:
            NoKey: The library is not installed.
        """
        del key, secret
        self._means = means
        self._patience = Patience(means)
        self._chart = YahooChart(means.now_ns, url)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """Newest page first, and but one of days; see `sources.history.provider.Provider`.

        Raises:
            NotOffered: What was asked for reaches further back than it does; after the pages that there are.
        """
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count)
        name = us_ticker(symbol, self.name, "yahoo")
        if request.empty:
            return iter(())
        return self._intraday(request, name, now) if interval.intraday else self._days(request, name, now)

    def close(self) -> None:
        """Let go of connections."""
        self._chart.close()

    def _days(self, request: BarRequest, name: str, now: int) -> Iterator[Page]:
        # Up to today, whatever the end: the splits since are in the same answer.
        first = new_york(max(self._since(request), DAY_NS)).date()
        frame = self._patience.call(lambda: self._chart.frame(name, "1d", first, _tomorrow(now)))
        splits = self._chart.splits(frame)
        rows, bad = self._rows(request, frame, splits)
        yield BarPages(request).page(settled(request, rows, self._means.now_ns()), self._means.now_ns(), bad)

    def _intraday(self, request: BarRequest, name: str, now: int) -> Iterator[Page]:
        days, page_days = SPANS[request.interval]
        since = new_york(max(request.start, now - days * DAY_NS, DAY_NS)).date()
        daily = self._patience.call(lambda: self._chart.frame(name, "1d", since, _tomorrow(now)))
        splits = self._chart.splits(daily)
        yield from last_days(self.name, request, now, days, page_days, partial(self._span, request, name, splits))

    def _span(
        self, request: BarRequest, name: str, splits: Sequence[Split], since: int, until: int
    ) -> tuple[Sequence[Row], Sequence[BadRow], int]:
        interval = _NAMES[request.interval]
        # It reckons in whole seconds.
        first, last = new_york(since), new_york(until + 10**9 - 1)
        frame = self._patience.call(lambda: self._chart.frame(name, interval, first, last))
        rows, bad = self._rows(request, frame, splits)
        now = self._means.now_ns()
        return settled(request, rows, now), bad, now

    @staticmethod
    def _since(request: BarRequest) -> int:
        """Where the first of the days wanted may be; twice as many back as there is room for, of a count."""
        if request.count is None:
            return request.start
        calendar = calendar_for(request.symbol)
        held = slots(calendar, request.interval, 0, request.end)
        return max(int(held[-min(2 * request.count, len(held)), 0]), request.start) if len(held) else request.start

    @staticmethod
    def _rows(request: BarRequest, frame: Any, splits: Sequence[Split]) -> tuple[list[Row], list[BadRow]]:
        """Rows as they traded. One without any price is where nothing did."""
        columns = [frame[name].tolist() for name in ("Open", "High", "Low", "Close", "Volume")]
        rows, bad = [], []
        for moment, *numbers in zip(frame.index, *columns, strict=True):
            day = moment.date()
            if request.interval.intraday:
                start = int(moment.timestamp()) * 10**9
            else:
                start = start_of(request.symbol, request.interval, day)
            factor = factor_after(splits, day)
            opened, high, low, close = (as_traded(price, factor) for price in numbers[:4])
            if not isnan(opened + high + low + close):
                volume = numbers[4] if factor == 1.0 else float(np.rint(numbers[4] / factor))
                rows.append(Row(start, opened, high, low, close, volume))
            elif not all(map(isnan, numbers[:4])):
                bad.append(BadRow("not a number", shown([str(moment), *numbers])))
        return rows, bad


def as_traded(price: float, factor: float) -> float:
    """A price before adjustment by `factor` (shares of today for one of then), as it was printed.

    >>> as_traded(182.1300048828125, 1.0), as_traded(124.80750274658203, 4.0), as_traded(182.13, 1.0)
    (182.13, 499.23, 182.13)
    """
    if factor != 1.0:
        return float(f"{price * factor:.6g}")
    short = np.float32(price)
    return float(str(short)) if float(short) == price else price


def _tomorrow(now: int) -> date:
    return new_york(now).date() + timedelta(days=1)
