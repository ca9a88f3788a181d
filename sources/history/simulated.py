"""The simulated exchange: bars since 2005 and every trade, by its own clock, without a key.

Source: docs/simulated-exchange.md. A kline is `[start ms, open, high, low, close, volume, notional, trades, end ms,
closed]`, start inclusive and end exclusive, with `next` where the request goes on; a minute without a trade is not
there. Prices are as they traded, volume is in base units, days are UTC's. The exchange itself says which bar is over.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.http_caller import HttpCaller
from sources.history.provider import BadAnswer, BadRow, Means, NotOffered, Page, Terms, TradePage
from sources.history.request import BarRequest, bar_request
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.trade_rows import TradePages, TradeRow

EXCHANGE: Final = "SIM"

TERMS: Final = Terms(
    intervals=frozenset({Interval.M1, Interval.M5, Interval.H1, Interval.D1}),
    page_bars=1_000,
    per_second=500.0,
    counts_trades=True,
    has_trades=True,
)

_MS: Final = 1_000_000
_PAGE_TRADES: Final = 5_000
_READS: Final = 4
"""Times that an answer is asked for whose JSON is whole, but not of the form."""
_STALLS_MAX: Final = 5
"""Pages in a row that do not bring a request on, though there is more."""


class SimulatedHistory:
    """See `sources.history.provider.TradeProvider`."""

    name = "simulated"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected.

        Args:
            means: Its clock, its patience and its quota.
            key: Not wanted.
            secret: Not wanted.
            url: Of the exchange, as `pq up` and its own first line say it: `ws://127.0.0.1:40123`.

        Raises:
            DeskError: There is no address, or it is none.
        """
        del key, secret
        self._means = means
        self._caller = HttpCaller(self.name, means, (_http(url),))

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: a span oldest page first, a count newest first.

        Raises:
            NotOffered: It lists no such symbol, or it was not listed yet at the start.
        """
        request = bar_request(self.name, self.terms, self._means.now_ns(), symbol, interval, start, end, count)
        self._check(symbol)
        return iter(()) if request.empty else self._klines(request)

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Each trade, oldest first. Those from before the exchange was started have no ids.

        Raises:
            NotOffered: It lists no such symbol, was not listed yet, or has forgotten them by now.
        """
        self._check(symbol)
        return self._trades(symbol, start, min(end, self._means.now_ns()))

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _check(self, symbol: Symbol) -> None:
        if symbol.exchange != EXCHANGE:
            msg = f"simulated has the symbols of exchange {EXCHANGE} only, not {symbol}; name another provider"
            raise NotOffered(msg)

    def _klines(self, request: BarRequest) -> Iterator[Page]:
        pages, pace = BarPages(request), _Pace(self.name)
        backwards = request.count is not None
        # A bar starts at a whole minute, so a span may be cut to whole ms that hold the same starts.
        span: dict[str, str | int] = {"start": -(-request.start // _MS), "end": -(-request.end // _MS)}
        params: dict[str, str | int] = {
            "symbol": str(request.symbol),
            "interval": str(request.interval),
            "limit": TERMS.page_bars,
        }
        if backwards:
            params |= {"order": "desc"}
            del span["start"]
        while not pages.done:
            value, rows, bad = self._ask("/history/klines", params | span, "bars", _read_kline)
            yield pages.page(rows, _whole(value, "now"), bad)
            following = _whole(value, "next", absent=True)
            if following is None:
                return
            key = "end" if backwards else "start"
            pace.step(following, span[key])
            span[key] = following

    def _trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        pages, pace = TradePages(start, end), _Pace(self.name)
        params: dict[str, str | int] = {
            "symbol": str(symbol),
            "limit": _PAGE_TRADES,
            "start": max(start, 0),
            "end": max(end, 0),
        }
        newest = start - 1
        while start < end:
            value, rows, bad = self._ask("/history/trades", params, "trades", _read_trade)
            # Trades without ids are known by their time: until it began the exchange had no two in one moment.
            named = [row for row in rows if row.trade_id >= 0]
            nameless = {row.event_time: row for row in rows if row.trade_id < 0 and row.event_time > newest}
            yield pages.page([*nameless.values(), *named], bad)
            newest = max([newest, *nameless])
            following = value.get("next")
            if following is None:
                return
            if not isinstance(following, str):
                msg = f"simulated says {shown(following)} where its next page begins; name another provider"
                raise BadAnswer(msg)
            pace.step(following, params.get("cursor"))
            params = params | {"cursor": following}

    def _ask(self, path: str, params: dict[str, str | int], key: str, read: Any) -> tuple[Any, list[Any], list[BadRow]]:
        """One answer; asked for again where it is of another form, or holds rows that cannot be read."""
        for last in (*[False] * (_READS - 1), True):
            value = self._caller.get(path, params).value
            try:
                rows, bad = read_rows(self.name, value.get(key) if isinstance(value, dict) else value, read)
            except BadAnswer:
                if last:
                    raise
                continue
            if last or not bad:
                return value, rows, bad
        raise AssertionError  # The last answer is returned or raised.


class _Pace:
    """Sees to it that pages bring a request on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stalls = 0

    def step(self, following: object, before: object) -> None:
        """Note where the next page begins.

        Raises:
            BadAnswer: Where this one began, again and again.
        """
        self._stalls = self._stalls + 1 if following == before else 0
        if self._stalls > _STALLS_MAX:
            msg = f"{self._name} gives the same page again and again; try later, or name another provider"
            raise BadAnswer(msg)


def _http(url: str | None) -> str:
    """The address of the exchange's HTTP, from any that it is known by: `ws://127.0.0.1:40123/kraken`."""
    try:
        parts = urlsplit(url or "")
        scheme = {"ws": "http", "wss": "https", "http": "http", "https": "https"}[parts.scheme]
    except (KeyError, ValueError):
        msg = f"url {url!r} of provider simulated is no address of a simulated exchange, such as ws://127.0.0.1:40123"
        raise DeskError(msg) from None
    return f"{scheme}://{parts.netloc}"


def _whole(value: Any, key: str, *, absent: bool = False) -> Any:
    found = value.get(key)
    if type(found) is not int and not (absent and found is None):
        msg = f"simulated says {shown(found)} for {key}, which is no whole number; name another provider"
        raise BadAnswer(msg)
    return found


def _read_kline(item: Any) -> Row:
    start, opened, high, low, close, volume, notional, trades, _, closed = item
    if type(start) is not int or not 0 <= start < 2**43:
        msg = f"{start!r} is no stamp"
        raise ValueError(msg)
    for number in (opened, high, low, close, volume, notional):
        float(number)
    return Row(start * _MS, opened, high, low, close, volume, notional, trades, {0: False, 1: True}[closed])


def _read_trade(item: Any) -> TradeRow:
    trade_id, time, price, size, side = item
    if type(time) is not int or not 0 <= time < 2**63 or type(trade_id) not in {int, type(None)}:
        msg = f"{time!r} or {trade_id!r} is no stamp or no id"
        raise ValueError(msg)
    aggressor = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}[side]
    return TradeRow(time, price, size, -1 if trade_id is None else trade_id, int(aggressor))
