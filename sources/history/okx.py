"""OKX: candles of years and trades of three months, without a key.

Source: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks-history. A candle is
`[start ms, open, high, low, close, vol, volCcy, volCcyQuote, confirm]`, newest first, at most 100 an answer; `after` is
older than, `before` newer than, both exclusive. `confirm` is 0 while it is open. Days, weeks and months begin at 00:00
UTC+8 unless their name ends in `utc`. A time without trades comes as a candle of the last close with volume 0. Prices
are as they traded. Spot: volume in base units is `vol`; contracts: `vol` counts contracts, and `volCcy` is base units.
"""

from collections.abc import Iterator
from math import nan
from typing import Any, Final

from market.intervals import Interval
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import (
    BadAnswer,
    BadRow,
    Means,
    NotOffered,
    Page,
    ProviderAway,
    ProviderError,
    Terms,
    TradePage,
)
from sources.history.request import BarRequest, Progress, bar_request, moment_text, venue_name
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.trade_rows import TradePages, TradeRow

URL: Final = "https://www.okx.com"

BARS: Final = {
    Interval.M1: "1m",
    Interval.M3: "3m",
    Interval.M5: "5m",
    Interval.M15: "15m",
    Interval.M30: "30m",
    Interval.H1: "1H",
    Interval.H2: "2H",
    Interval.H4: "4H",
    Interval.D1: "1Dutc",
    Interval.W1: "1Wutc",
    Interval.MO1: "1Mutc",
}
"""Its names. Hours to four begin at the same moments in UTC and in UTC+8."""

TERMS: Final = Terms(intervals=frozenset(BARS), page_bars=100, per_second=8.0, has_trades=True)
"""Source: as above: 20 requests in two seconds and address."""

_MS: Final = 1_000_000
_HOUR_NS: Final = 3600 * 10**9
_PAGE_TRADES: Final = 100
_TRADES_REACH_NS: Final = 90 * 24 * _HOUR_NS
"""Source: as above, "Get trades history": the last three months."""
_SLICE_PAGES: Final = 20
_SLICE_NS_MAX: Final = 7 * 24 * _HOUR_NS
_SLICE_NS_MIN: Final = 60 * 10**9
_BUSY: Final = frozenset({"50011", "50061"})
_AWAY: Final = frozenset({"50001", "50004", "50013", "50026"})
_ABSENT: Final = frozenset({"51000", "51001", "51014", "51015"})


class OkxHistory:
    """See `sources.history.provider.TradeProvider`."""

    name = "okx"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected. No key is wanted, and one that is given is not sent."""
        del key, secret
        self._means = means
        self._caller = HttpCaller(self.name, means, (url or URL,), judge=_judge)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: newest page first."""
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count, venue=self.name)
        return iter(()) if request.empty else self._candles(request)

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Each trade. The venue gives them newest first, so a slice of time at once is gathered and turned around.

        Raises:
            NotOffered: The span begins more than three months ago.
        """
        now = self._means.now_ns()
        if start < now - _TRADES_REACH_NS:
            msg = (
                f"okx has the trades of the last three months only, and {moment_text(start)} is before "
                f"{moment_text(now - _TRADES_REACH_NS)}; ask for its bars"
            )
            raise NotOffered(msg)
        return self._slices(symbol, start, min(end, now))

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _candles(self, request: BarRequest) -> Iterator[Page]:
        pages, progress, until = BarPages(request, quiet=True), Progress(self.name), request.end
        name = request.name
        read = _read_contract_candle if name.count("-") > 1 else _read_candle
        while not pages.done and until > request.start:
            params = {"instId": name, "bar": BARS[request.interval], "limit": str(TERMS.page_bars)}
            params |= {"after": str(-(-until // _MS))}
            if request.start:
                params |= {"before": str(-(-request.start // _MS) - 1)}
            answer = self._caller.get("/api/v5/market/history-candles", params)
            rows, bad = read_rows(self.name, answer.value["data"], read)
            yield pages.page(rows, answer.now_ns, bad)
            oldest = min((row.start for row in rows), default=until)
            if oldest < until:
                until = oldest
                progress.made()
            elif progress.ends(empty=not rows):
                return

    def _slices(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        name = venue_name(symbol, "okx")
        worth = self._contract(name) if name.count("-") > 1 else None
        pages, length = TradePages(start, end), _HOUR_NS
        while start < end:
            until = min(start + length, end)
            gathered = self._slice(name, start, until, worth)
            for rows, bad in reversed(gathered):
                yield pages.page(rows, bad)
            # Slices of some twenty pages: a crash loses little, and a quiet market is not asked hour by hour.
            if len(gathered) > _SLICE_PAGES:
                length = max(length // 2, _SLICE_NS_MIN)
            elif len(gathered) < _SLICE_PAGES // 4:
                length = min(length * 2, _SLICE_NS_MAX)
            start = until

    def _slice(
        self, name: str, start: int, end: int, worth: "_Worth | None"
    ) -> list[tuple[list[TradeRow], list[BadRow]]]:
        """Answers with the trades of a span of time, newest first."""
        gathered, progress = [], Progress(self.name)
        # First by time (type 2), then by id (type 1), so that trades of one millisecond may lie on two pages.
        cursor = {"type": "2", "after": str(-(-end // _MS))}
        oldest = -1
        while True:
            answer = self._caller.get(
                "/api/v5/market/history-trades", {"instId": name, "limit": str(_PAGE_TRADES), **cursor}
            )
            rows, bad = read_rows(self.name, answer.value["data"], worth.read if worth else _read_trade)
            gathered.append((rows, bad))
            lowest = min((row.trade_id for row in rows), default=-1)
            if rows and (oldest < 0 or lowest < oldest):
                oldest, cursor = lowest, {"type": "1", "after": str(lowest)}
                progress.made()
                if min(row.event_time for row in rows) < start:
                    return gathered
            elif progress.ends(empty=not rows):
                return gathered

    def _contract(self, name: str) -> "_Worth":
        """What one contract is worth, as the venue says."""
        kind = "SWAP" if name.endswith("-SWAP") else "FUTURES"
        answer = self._caller.get("/api/v5/public/instruments", {"instType": kind, "instId": name})
        try:
            (found,) = answer.value["data"]
            return _Worth(float(found["ctVal"]), inverse={"linear": False, "inverse": True}[found["ctType"]])
        except (ValueError, TypeError, LookupError) as error:
            msg = f"okx does not say what a contract of {name} is worth: {shown(answer.value)}; ask for its bars"
            raise BadAnswer(msg) from error


class _Worth:
    """Reads trades whose size counts contracts."""

    def __init__(self, value: float, *, inverse: bool) -> None:
        """`value` is in base units, or in quote currency where the contract is `inverse`."""
        self._value = value
        self._inverse = inverse

    def read(self, item: Any) -> TradeRow:
        row = _read_trade(item)
        size = float(row.size) * self._value
        if self._inverse:
            size /= float(row.price)
        return TradeRow(row.event_time, row.price, size, row.trade_id, row.aggressor)


def _judge(answer: Answer) -> ProviderError | Busy | None:
    """Its errors have a code other than 0 beside any status."""
    value = answer.value
    if value is None or (isinstance(value, dict) and value.get("code") == "0" and "data" in value):
        return None
    code = str(value.get("code", "")) if isinstance(value, dict) else ""
    told = f"{code} {answer.text}"
    if code in _BUSY:
        return Busy(f"okx says {told}")
    if code in _AWAY:
        return ProviderAway(f"it says {told}")
    if code in _ABSENT:
        return NotOffered(f"okx does not have that: {told}; check the symbol, or name another provider")
    return BadAnswer(f"okx refuses {answer.path}: {told}; try later, or name another provider") if answer.ok else None


def _stamp(text: Any) -> int:
    value = int(text)
    if not 0 <= value < 2**43:
        msg = f"{text!r} is no stamp"
        raise ValueError(msg)
    return value * _MS


def _read_candle(item: Any) -> Row:
    stamp, opened, high, low, close, volume, _, notional, confirm = item
    return Row(_stamp(stamp), opened, high, low, close, volume, notional, over={"0": False, "1": True}[confirm])


def _read_contract_candle(item: Any) -> Row:
    stamp, opened, high, low, close, _, volume, notional, confirm = item
    return Row(_stamp(stamp), opened, high, low, close, volume, notional or nan, over={"0": False, "1": True}[confirm])


def _read_trade(item: Any) -> TradeRow:
    side = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}[item["side"]]
    return TradeRow(_stamp(item["ts"]), item["px"], item["sz"], int(item["tradeId"]), int(side))
