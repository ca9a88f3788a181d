"""Coinbase Exchange: candles and trades, without a key.

Source: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles. A candle is
`[start s, LOW, HIGH, open, close, volume]`, newest first, at most 300 an answer. `start` and `end` are both inclusive;
a bucket without trades is missing; the newest candle may still be open; days begin at 00:00 UTC. Prices are as they
traded, volume is in base units, and nothing is said of the notional or the count of trades.
"""

from collections.abc import Iterator
from typing import Any, Final

from market.intervals import Interval
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.http_caller import Answer, HttpCaller
from sources.history.provider import Means, NotOffered, Page, ProviderError, Terms, TradePage
from sources.history.request import BarRequest, Progress, bar_request, moment_text, venue_name
from sources.history.rows import BarPages, Row, read_rows
from sources.history.trade_rows import TradePages, TradeRow
from sources.stamps import StampReader

URL: Final = "https://api.exchange.coinbase.com"

GRANULARITY: Final = {
    Interval.M1: 60,
    Interval.M5: 300,
    Interval.M15: 900,
    Interval.H1: 3600,
    Interval.D1: 86_400,
}
"""Seconds of a candle by interval; the sixth that it has, six hours, is none of ours."""

TERMS: Final = Terms(intervals=frozenset(GRANULARITY), page_bars=300, per_second=8.0, has_trades=True)
"""Source: https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits: 10 requests a second and address."""

_SECOND_NS: Final = 10**9
_DAY_NS: Final = 86_400 * _SECOND_NS
_PROBE_NS: Final = 300 * _DAY_NS
"""What one answer of daily candles covers."""
_FIRST_DAY_NS: Final = 16_405 * _DAY_NS
"""2014-12-01, when its first trade was made: no candle is older."""


class CoinbaseHistory:
    """See `sources.history.provider.TradeProvider`."""

    name = "coinbase"
    terms = TERMS
    page_trades = 1000
    """Trades in one answer at most."""

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected. No key is wanted, and one that is given is not sent."""
        del key, secret
        self._means = means
        self._caller = HttpCaller(self.name, means, (url or URL,), judge=_judge)
        self._stamp = StampReader().read

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
        return self._forward(request) if count is None else self._backward(request)

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Each trade, by its id: ids of a product rise by one, so the first one of the span is searched for."""
        product = venue_name(symbol, "coinbase")
        pages = TradePages(start, end)
        newest = self._trades(product, {"limit": 1})[0]
        if not newest:
            return
        last = newest[0]
        cursor, progress = self._first_id(product, start, last), Progress(self.name)
        while cursor <= last.trade_id:
            # `after` is older in its words: ids below it, newest first.
            rows, bad = self._trades(product, {"after": cursor + self.page_trades, "limit": self.page_trades})
            here = [row for row in rows if cursor <= row.trade_id < cursor + self.page_trades]
            yield pages.page(here, bad)
            if any(row.event_time >= end for row in here):
                return
            if here:
                progress.made()
            elif not progress.ends(empty=not rows):
                continue
            cursor += self.page_trades

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _forward(self, request: BarRequest) -> Iterator[Page]:
        step = GRANULARITY[request.interval] * _SECOND_NS
        pages, progress = BarPages(request), Progress(self.name)
        cursor = max(request.start + -request.start % step, _FIRST_DAY_NS)
        while cursor < request.end:
            until = min(cursor + self.terms.page_bars * step, request.end)
            rows, page = self._candles(request, pages, cursor, until)
            yield page
            if any(cursor <= row.start < until for row in rows):
                cursor = until
                progress.made()
            elif progress.ends(empty=not rows):
                cursor = self._next_day(request, until) if until < request.end else until

    def _backward(self, request: BarRequest) -> Iterator[Page]:
        step = GRANULARITY[request.interval] * _SECOND_NS
        pages, progress = BarPages(request), Progress(self.name)
        until, floor = request.end + -request.end % step, max(request.start, _FIRST_DAY_NS)
        while not pages.done and until > floor:
            cursor = until - self.terms.page_bars * step
            rows, page = self._candles(request, pages, cursor, until)
            yield page
            if any(cursor <= row.start < until for row in rows):
                until = cursor
                progress.made()
            elif progress.ends(empty=not rows):
                until = self._day_before(request, cursor, floor)

    def _candles(self, request: BarRequest, pages: BarPages, start: int, end: int) -> tuple[list[Row], Page]:
        answer = self._span(request.name, GRANULARITY[request.interval], start, end)
        rows, bad = read_rows(self.name, answer.value, _read_candle)
        return rows, pages.page(rows, answer.now_ns, bad)

    def _next_day(self, request: BarRequest, start: int) -> int:
        """Where to go on after an empty page: the first day with trades. One call tells for 300 days."""
        day = start - start % _DAY_NS
        while day < request.end:
            until = day + _PROBE_NS
            found = self._days(request.name, day, until)
            if found:
                return max(min(found), start)
            day = until
        return request.end

    def _day_before(self, request: BarRequest, until: int, floor: int) -> int:
        """As `_next_day`, backwards: the end of the last day with trades."""
        day = until + -until % _DAY_NS
        while day > floor:
            found = self._days(request.name, day - _PROBE_NS, day)
            if found:
                return min(max(found) + _DAY_NS, until)
            day -= _PROBE_NS
        return floor

    def _days(self, product: str, start: int, end: int) -> list[int]:
        answer = self._span(product, GRANULARITY[Interval.D1], start, end)
        return [row.start for row in read_rows(self.name, answer.value, _read_candle)[0] if start <= row.start < end]

    def _span(self, product: str, granularity: int, start: int, end: int) -> Answer:
        """Candles that start in [start, end), at most 300. The venue's `end` is inclusive."""
        params: dict[str, str | int] = {"granularity": granularity}
        params |= {"start": moment_text(start), "end": moment_text(end - 1)}
        return self._caller.get(f"/products/{product}/candles", params)

    def _first_id(self, product: str, start: int, last: TradeRow) -> int:
        """The id of the first trade at `start` or later, to within a page; past the last one's if there is none.

        A search in the ids, from where a steady flow of trades would have it, else by halves: some ten calls for years.
        """
        low, high = 1, last.trade_id + 1
        low_time, high_time = _FIRST_DAY_NS, last.event_time
        steady = True
        while high - low > self.page_trades:
            share = (start - low_time) / max(high_time - low_time, 1) if steady else 0.5
            steady = not steady
            guess = low + int(min(max(share, 0.01), 0.99) * (high - low))
            rows, _ = self._trades(product, {"after": guess + 1, "limit": self.page_trades})
            before = [row for row in rows if row.event_time < start]
            if not rows or len(before) == len(rows):
                # Nothing below the guess, or all of it, is too early.
                newest = max(rows, key=_by_id, default=None)
                low, low_time = guess + 1, newest.event_time if newest else low_time
            elif before:
                return max(before, key=_by_id).trade_id + 1
            else:
                oldest = min(rows, key=_by_id)
                high, high_time = oldest.trade_id, oldest.event_time
        return low

    def _trades(self, product: str, params: dict[str, int]) -> tuple[list[TradeRow], list[Any]]:
        answer = self._caller.get(f"/products/{product}/trades", params)
        return read_rows(self.name, answer.value, self._read_trade)

    def _read_trade(self, item: Any) -> TradeRow:
        # The side is the maker's, so that the aggressor is the other one.
        side = {"buy": Aggressor.SELL, "sell": Aggressor.BUY}[item["side"]]
        return TradeRow(self._stamp(item["time"]), item["price"], item["size"], int(item["trade_id"]), int(side))


def _by_id(row: TradeRow) -> int:
    return row.trade_id


def _judge(answer: Answer) -> ProviderError | None:
    if answer.status == 404:
        return NotOffered(f"coinbase does not have that product: {answer.path}; check its spelling")
    return None


def _read_candle(item: Any) -> Row:
    stamp, low, high, opened, close, volume = item
    if type(stamp) is not int or not 0 <= stamp < 2**33:
        msg = f"{stamp!r} is no stamp"
        raise ValueError(msg)
    return Row(stamp * _SECOND_NS, opened, high, low, close, volume)
