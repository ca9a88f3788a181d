"""Binance spot: klines and aggregate trades, without a key.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints. A kline is
`[open time ms, open, high, low, close, volume, close time ms, quote volume, trades, taker base, taker quote, unused]`,
oldest first. `startTime` and `endTime` are about open times and both inclusive; the last kline may still be open; days
begin at 00:00 UTC and weeks on Monday. A minute without trades comes as a kline of the last close with 0 trades.
Prices are as they traded; volume is in base units, the quote volume is the notional.
"""

from collections.abc import Iterator
from typing import Any, Final

from market.intervals import Interval
from market.sessions import bounds
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import Means, NotOffered, Page, ProviderAway, ProviderError, Terms, TradePage, Window
from sources.history.request import BarRequest, Progress, bar_request, venue_name
from sources.history.rows import BarPages, Row, read_rows
from sources.history.trade_rows import TradePages, TradeRow

URLS: Final = ("https://api.binance.com", "https://data-api.binance.vision")
"""The second has market data only, and answers where the first refuses a region."""

TERMS: Final = Terms(
    intervals=frozenset(Interval) - {Interval.M45, Interval.H3},
    page_bars=1000,
    windows=(Window(60, 6000),),
    call_weight=2,
    per_second=20.0,
    counts_trades=True,
    has_trades=True,
)
"""Source: as above, and `.../rest-api/limits`: 6,000 of weight a minute and address; the pace is ours."""

_KLINES_WEIGHT: Final = 2
_TRADES_WEIGHT: Final = 4
_PAGE_TRADES: Final = 1000
_HOUR_NS: Final = 3600 * 10**9
_MS: Final = 1_000_000
_LAST_MILLI: Final = 100_000_000_000_000
"""Stamps from here on are microseconds: as milliseconds they would be past the year 5138."""
_BUSY: Final = "-1003"
_AWAY: Final = frozenset({"-1000", "-1001", "-1007", "-1008", "-1016"})
"""Its own trouble, which passes: disconnected, timed out, overloaded."""
_ABSENT: Final = frozenset({"-1100", "-1121"})
"""No symbol, or none that could be one."""


class BinanceHistory:
    """See `sources.history.provider.TradeProvider`."""

    name = "binance"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected. No key is wanted, and one that is given is not sent."""
        del key, secret
        self._means = means
        self._caller = HttpCaller(self.name, means, (url,) if url else URLS, judge=self._judge)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: with a start oldest page first, with a count alone newest first."""
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count, venue=self.name)
        if request.empty:
            return iter(())
        return self._forward(request) if count is None else self._backward(request, count)

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Aggregates of one taker's trades at one price; `count` says how many, `trade_id` is the last one's."""
        name = venue_name(symbol, "binance").upper()
        pages = TradePages(start, end)
        end = min(end, self._means.now_ns())
        cursor: dict[str, int] | None = None
        progress = Progress(self.name)
        while start < end:
            # By time only an hour at once may be asked for; once there is an id, pages follow each other without a gap.
            until = min(start + _HOUR_NS, end)
            span = {"startTime": _ms_up(start), "endTime": _ms_up(until) - 1}
            answer = self._ask("/api/v3/aggTrades", _TRADES_WEIGHT, symbol=name, limit=_PAGE_TRADES, **(cursor or span))
            rows, bad = read_rows(self.name, answer.value, _read_trade)
            yield pages.page([row for _, row in rows], bad)
            if rows and (following := {"fromId": max(aggregate for aggregate, _ in rows) + 1}) != cursor:
                cursor, start = following, max(row.event_time for _, row in rows)
                progress.made()
            elif progress.ends(empty=not rows):
                if cursor is not None:
                    return
                start = self._hour_with_trades(name, until, end)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _forward(self, request: BarRequest) -> Iterator[Page]:
        pages, cursor, progress = BarPages(request, quiet=True), request.start, Progress(self.name)
        while cursor < request.end:
            span = {"startTime": _ms_up(cursor), "endTime": _ms_up(request.end) - 1, "limit": self.terms.page_bars}
            rows, page = self._klines(request, pages, span)
            yield page
            newest = max((row.start for row in rows), default=-1)
            if newest >= cursor:
                # The next bar starts where this one ends. A page that is not full is no sign of the end.
                held = bounds(request.symbol, request.interval, newest)
                cursor = held[1] if held else newest + 1
                progress.made()
            elif progress.ends(empty=not rows):
                return

    def _backward(self, request: BarRequest, count: int) -> Iterator[Page]:
        pages, until, progress = BarPages(request, quiet=True), request.end, Progress(self.name)
        # Some more than asked for, since klines without trades make no bars.
        limit = min(count + 100, self.terms.page_bars)
        while not pages.done and until > request.start:
            rows, page = self._klines(request, pages, {"endTime": _ms_up(until) - 1, "limit": limit})
            yield page
            oldest = min((row.start for row in rows), default=until)
            if oldest < until:
                until = oldest
                progress.made()
            elif progress.ends(empty=not rows):
                return

    def _klines(self, request: BarRequest, pages: BarPages, span: dict[str, int]) -> tuple[list[Row], Page]:
        name, interval = request.name.upper(), str(request.interval)
        answer = self._ask("/api/v3/klines", _KLINES_WEIGHT, symbol=name, interval=interval, **span)
        rows, bad = read_rows(self.name, answer.value, _read_kline)
        return rows, pages.page(rows, answer.now_ns, bad)

    def _hour_with_trades(self, name: str, start: int, end: int) -> int:
        """The first hour from `start` on in which anything traded, ns; `end` if there is none. A call is six weeks."""
        hour = start - start % _HOUR_NS
        while hour < end:
            span = {"startTime": _ms_up(hour), "endTime": _ms_up(end) - 1, "limit": self.terms.page_bars}
            answer = self._ask("/api/v3/klines", _KLINES_WEIGHT, symbol=name, interval="1h", **span)
            rows, _ = read_rows(self.name, answer.value, _read_kline)
            traded = [row.start for row in rows if row.start >= hour and row.trades != 0]
            if traded:
                return max(min(traded), start)
            hour = max((row.start for row in rows if row.start >= hour), default=end) + _HOUR_NS
        return end

    def _ask(self, path: str, weight: int, **params: str | int) -> Answer:
        return self._caller.get(path, params, weight=weight)

    def _judge(self, answer: Answer) -> ProviderError | Busy | None:
        used = answer.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal():
            self._means.spent(int(used))
        code = str(answer.value.get("code")) if isinstance(answer.value, dict) else ""
        if code == _BUSY:
            return Busy(f"binance says {answer.text}")
        if code in _AWAY:
            return ProviderAway(f"it says {answer.text}")
        if code in _ABSENT:
            return NotOffered(
                f"binance does not have that symbol: {answer.text}; check its spelling, as in BINANCE:BTCUSDT"
            )
        return None


def _ms_up(time_ns: int) -> int:
    """The first whole millisecond that is not before a moment."""
    return -(-time_ns // _MS)


def _stamp(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        msg = f"{value!r} is no stamp"
        raise ValueError(msg)
    return value * (_MS if value < _LAST_MILLI else 1000)


def _read_kline(item: Any) -> Row:
    stamp, opened, high, low, close, volume, _, notional, trades, *_ = item
    return Row(_stamp(stamp), opened, high, low, close, volume, notional, trades)


def _read_trade(item: Any) -> tuple[int, TradeRow]:
    first, last = int(item["f"]), int(item["l"])
    side = {True: Aggressor.SELL, False: Aggressor.BUY}[item["m"]]
    return int(item["a"]), TradeRow(_stamp(item["T"]), item["p"], item["q"], last, int(side), last - first + 1)
