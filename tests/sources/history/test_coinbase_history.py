"""Coinbase's candles and trades, against a model of its REST protocol and bodies of its documentation.

Source of the model: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles and
`.../get-product-trades`; the inclusive end is that of a recorded answer in the pull request ccxt/ccxt#5891.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from contract import NOW, Bar, Desk, HttpContract, Question, Trade, TradeContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval
from market.sessions import bounds
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.coinbase import CoinbaseHistory

S = 10**9
BTCUSD = Symbol("COINBASE", "BTCUSD")
GRANULARITIES = {60: Interval.M1, 300: Interval.M5, 900: Interval.M15, 3600: Interval.H1, 86_400: Interval.D1}


class SmallPages(CoinbaseHistory):
    """Asks for less at a time, so that a few rows are several pages."""

    terms = replace(CoinbaseHistory.terms, page_bars=60)
    page_trades = 50


class TestCoinbase(HttpContract, TradeContract):
    """Seconds, low before high, newest first, both bounds inclusive, empty buckets missing."""

    provider = SmallPages
    symbol = BTCUSD
    page = 60
    fills_quiet = False
    says_notional = False
    stamp_ns = 1000

    def question(self, asked):
        if self.about_trades(asked):
            assert asked.path == "/products/BTC-USD/trades"
            limit = int(asked.params["limit"])
            assert limit <= 1000
            return Question(limit, last_id=int(asked.params.get("after", 2**62)), newest=True, newest_first=True)
        assert asked.path == "/products/BTC-USD/candles"
        granularity = int(asked.params["granularity"])
        first, last = (_seconds(asked.params[name]) for name in ("start", "end"))
        if last // granularity - -(-first // granularity) + 1 > 300:
            text = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
            return Reply({"message": text}, status=400)
        interval = GRANULARITIES[granularity]
        return Question(300, first * S, last * S + 1, interval, newest=True, newest_first=True)

    def about_trades(self, asked):
        return asked.path.endswith("/trades")

    def row(self, bar: Bar, interval):
        return [bar.start // S, bar.low, bar.high, bar.open, bar.close, bar.volume]

    def body(self, rows, question, rest):
        return rows

    def trade_row(self, trade):
        return {
            "time": _stamp(trade.time), "trade_id": trade.id, "price": trade.price, "size": trade.size,
            "side": "buy" if trade.aggressor == Aggressor.SELL else "sell",
        }  # fmt: skip

    def trade_body(self, rows, question, rest):
        return rows

    def unknown_symbol(self):
        return Reply({"message": "NotFound"}, status=404)

    def limited(self):
        return Reply({"message": "Public rate limit exceeded"}, status=429)


def _seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def _stamp(time_ns):
    return f"{datetime.fromtimestamp(time_ns // S, UTC):%Y-%m-%dT%H:%M:%S}.{time_ns % S // 1000:06d}Z"


def fetched(server, desk=None, **options):
    provider = CoinbaseHistory((desk or Desk()).means, url=server.url)
    pages = list(provider.fetch(BTCUSD, **options))
    provider.close()
    return [bar for page in pages for bar in page.bars]


RECORDED = [
    [1546300860, 3686.62, 3691.61, 3691.61, 3686.63, 3.19590501],
    [1546300800, 3691.6, 3692.33, 3691.87, 3691.61, 7.82111211],
]
"""Recorded on 30 September 2019 for start=2019-01-01T00:00:00Z and end=2019-01-01T00:01:00Z: both are in it."""


def test_the_recorded_candles_are_low_high_open_close_and_begin_at_their_stamp():
    first = 1_546_300_800 * S
    with HistoryServer(lambda _: RECORDED) as server:
        one, two = fetched(server, interval=Interval.M1, start=first, end=first + 120 * S)

    assert (one["start"], one["end"], two["start"]) == (first, first + 60 * S, first + 60 * S)
    assert [one[name] for name in ("open", "high", "low", "close", "volume")] == [
        3691.87, 3692.33, 3691.6, 3691.61, 7.82111211,
    ]  # fmt: skip
    assert one["state"] == two["state"] == BarState.OFFICIAL


def test_an_end_is_asked_for_so_that_the_candle_there_is_left_out():
    """The venue's end is inclusive, ours is not."""
    first = 1_546_300_800 * S
    with HistoryServer(lambda _: RECORDED) as server:
        (bar,) = fetched(server, interval=Interval.M1, start=first, end=first + 60 * S)
        assert server.calls[0].params == {
            "granularity": "60", "start": "2019-01-01T00:00:00Z", "end": "2019-01-01T00:00:59Z",
        }  # fmt: skip
    assert bar["start"] == first


@pytest.mark.parametrize("interval", sorted(CoinbaseHistory.terms.intervals), ids=str)
def test_every_interval_is_asked_for_by_its_seconds_and_has_our_bounds(interval):
    start, end = bounds(BTCUSD, interval, NOW - 40 * 86_400 * S)
    with HistoryServer(lambda _: [[start // S, 1.0, 2.0, 1.5, 1.25, 3.0]]) as server:
        (bar,) = fetched(server, interval=interval, start=start, end=end)
        assert server.calls[0].params["granularity"] == str((end - start) // S)
    assert (bar["start"], bar["end"]) == (start, end)


def test_the_years_before_a_product_was_listed_cost_a_few_calls():
    """At 300 minutes a page they would be some 15,000."""
    contract = TestCoinbase()
    contract.provider = CoinbaseHistory
    venue = contract.venue({interval: contract.truth(interval) for interval in contract.intervals})
    minutes = venue.bars[Interval.M1]
    listed = minutes[0].start - minutes[0].start % (86_400 * S)
    venue.bars[Interval.D1] = [Bar(listed, listed + 86_400 * S, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1)]
    desk = Desk()
    with contract.serving(venue, desk) as (provider, server):
        pages = list(provider.fetch(BTCUSD, Interval.M1, start=NOW - 9 * 365 * 86_400 * S))
        contract.same(contract.told(pages, Interval.M1), contract.expected(minutes))
        assert len(server.calls) < 40
        pages = list(provider.fetch(BTCUSD, Interval.M1, count=10_000))
        contract.same(contract.told(pages, Interval.M1), contract.expected(minutes))
        assert len(server.calls) < 90


def test_the_first_trade_of_a_span_is_found_among_millions_in_a_few_calls():
    """Two million trades, of which most are of the last month: a guess by time alone would be far off each time."""
    contract, newest = TestCoinbase(), 2_000_000

    def time_of(number: int) -> int:
        return NOW - int((newest - number) ** 1.7 * 6_000) * 1000

    def respond(asked):
        last = min(int(asked.params.get("after", newest + 1)) - 1, newest)
        ids = range(last, max(last - int(asked.params["limit"]), 0), -1)
        return [contract.trade_row(Trade(time_of(one), 1.0, 1.0, one, Aggressor.BUY)) for one in ids]

    for wanted in (1, 7, 1_234_567, newest):
        with HistoryServer(respond) as server:
            provider = CoinbaseHistory(Desk().means, url=server.url)
            span = (time_of(wanted), min(time_of(wanted) + 1000, NOW + 1))
            ticks = [tick for page in provider.trades(BTCUSD, *span) for tick in page.ticks]
            provider.close()
            assert [tick["trade_id"] for tick in ticks] == [wanted]
            assert len(server.calls) < 30


def test_the_newest_bars_of_a_product_that_was_delisted_are_found():
    """From its last day of trades on, counted back from the end of that day."""
    contract, day = TestCoinbase(), 86_400 * S
    contract.provider = CoinbaseHistory
    midnight = NOW - NOW % day - 70 * day
    bars = [Bar(at, at + 60 * S, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for at in range(midnight, midnight + 600 * S, 60 * S)]
    venue = contract.venue(
        {Interval.M1: bars, Interval.D1: [Bar(midnight, midnight + day, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1)]}
    )
    with contract.serving(venue, Desk()) as (provider, server):
        pages = list(provider.fetch(BTCUSD, Interval.M1, count=4))
        contract.same(contract.told(pages, Interval.M1), contract.expected(bars[-4:]))
    assert len(server.calls) < 40
