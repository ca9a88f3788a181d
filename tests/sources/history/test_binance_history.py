"""Binance's klines and aggregate trades, against a model of its REST protocol and a body of its documentation.

Source of the model: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

from math import isnan

import pytest
from contract import NOW, Bar, Desk, HttpContract, Question, Trade, TradeContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval, parse_interval
from market.sessions import bounds
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.binance import URLS, BinanceHistory
from sources.history.provider import NotOffered, ProviderAway

MS = 1_000_000
BTCUSDT = Symbol("BINANCE", "BTCUSDT")


class TestBinance(HttpContract, TradeContract):
    """Open times in ms, both bounds inclusive, oldest first, texts; quiet minutes made up."""

    provider = BinanceHistory
    symbol = BTCUSDT

    def question(self, asked):
        assert asked.params["symbol"] == "BTCUSDT"
        limit = int(asked.params["limit"])
        assert limit <= 1000
        first = int(asked.params.get("startTime", 0)) * MS
        last = (int(asked.params["endTime"]) + 1) * MS if "endTime" in asked.params else 2**62
        if asked.path == "/api/v3/aggTrades":
            limit = min(limit, self.trade_page)
            if "fromId" in asked.params:
                assert "startTime" not in asked.params
                return Question(limit, first_id=int(asked.params["fromId"]) + 4_000)
            if last - first > 3600 * 1000 * MS:
                return Reply({"code": -1127, "msg": "More than 1 hours between startTime and endTime."}, status=400)
            return Question(limit, first, last)
        assert asked.path == "/api/v3/klines"
        # Without a start the newest are given; in either case the oldest of them comes first.
        interval = parse_interval(asked.params["interval"])
        return Question(min(limit, self.page), first, last, interval, newest="startTime" not in asked.params)

    def row(self, bar: Bar, interval):
        numbers = [_text(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
        return [bar.start // MS, *numbers, bar.end // MS - 1, _text(bar.notional), bar.trades, "0", "0", "0"]

    def body(self, rows, question, rest):
        return rows

    def about_trades(self, asked):
        return asked.path == "/api/v3/aggTrades"

    def trade_row(self, trade):
        maker = trade.aggressor == Aggressor.SELL
        return {
            "a": trade.id - 4_000, "p": _text(trade.price), "q": _text(trade.size), "f": trade.id, "l": trade.id,
            "T": trade.time // MS, "m": maker, "M": True,
        }  # fmt: skip

    def trade_body(self, rows, question, rest):
        return rows

    def bars_of(self, trades):
        """Hours, by which the provider finds its way over a quiet night."""
        hour = 3600 * 10**9
        first = (trades[0].time if trades else NOW) // hour
        held = []
        for start in range(first * hour, NOW, hour):
            count = sum(start <= one.time < start + hour for one in trades)
            held.append(Bar(start, start + hour, 1.0, 1.0, 1.0, 1.0, float(count), float(count), count))
        return {Interval.H1: held}

    def unknown_symbol(self):
        return Reply({"code": -1121, "msg": "Invalid symbol."}, status=400)

    def limited(self):
        return Reply({"code": -1003, "msg": "Too many requests."}, status=429)


def _text(value):
    return f"{value:.8f}" if type(value) is float and not isnan(value) else value


DOCUMENTED = [
    [1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815", 1499644799999,
     "2434.19055334", 308, "1756.87402397", "28.46694368", "0"],
]  # fmt: skip
"""The body of the documentation: the week of Monday 3 July 2017, open time 00:00 UTC."""


def fetched(server, desk=None, **options):
    provider = BinanceHistory((desk or Desk()).means, url=server.url)
    pages = list(provider.fetch(BTCUSDT, **options))
    provider.close()
    return [bar for page in pages for bar in page.bars]


def test_the_documented_kline_is_the_week_from_monday_midnight_utc():
    with HistoryServer(lambda _: DOCUMENTED) as server:
        (bar,) = fetched(server, interval=Interval.W1, start=1_499_040_000 * 10**9, end=1_499_040_001 * 10**9)

    assert bar["start"] == 1_499_040_000 * 10**9
    assert bar["end"] == 1_499_644_800 * 10**9
    assert [bar[name] for name in ("open", "high", "low", "close")] == [0.0163479, 0.8, 0.015758, 0.015771]
    assert (bar["volume"], bar["notional"], bar["trades"]) == (148976.11427815, 2434.19055334, 308)
    assert bar["state"] == BarState.OFFICIAL


@pytest.mark.parametrize("interval", sorted(BinanceHistory.terms.intervals), ids=str)
def test_every_interval_is_asked_for_by_its_own_name_and_bounds(interval):
    """`1m` and `1M` differ by case alone."""
    start = bounds(BTCUSDT, interval, NOW - 86_400 * 10**9 * 40)
    kline = [start[0] // MS, "1", "1", "1", "1", "1", start[1] // MS - 1, "1", 1, "0", "0", "0"]
    with HistoryServer(lambda _: [kline]) as server:
        (bar,) = fetched(server, interval=interval, start=start[0], end=start[0] + 1)
        assert server.calls[0].params == {
            "symbol": "BTCUSDT", "interval": str(interval), "startTime": str(start[0] // MS),
            "endTime": str(start[0] // MS), "limit": "1000",
        }  # fmt: skip
    assert (bar["start"], bar["end"]) == start


def test_the_weight_that_binance_counts_is_passed_on_also_with_a_refusal():
    """The ledger would else learn of other programs on this address only by a ban."""
    headers = {"X-MBX-USED-WEIGHT-1M": "1234"}
    answers = [
        Reply(DOCUMENTED, headers=headers),
        Reply({"code": -1121, "msg": "no"}, 400, {"x-mbx-used-weight-1m": "7"}),
    ]
    desk = Desk()
    with HistoryServer(lambda _: answers.pop(0)) as server:
        fetched(server, desk, interval=Interval.W1, start=1_499_040_000 * 10**9, end=1_499_040_001 * 10**9)
        with pytest.raises(NotOffered):
            fetched(server, desk, interval=Interval.W1, count=1)
    assert desk.used == [1234, 7]
    assert desk.weights == [2, 2]


def test_an_overloaded_engine_is_tried_again_and_then_away():
    desk = Desk()
    with HistoryServer(lambda _: Reply({"code": -1008, "msg": "Request throttled by system-level"}, 503)) as server:
        with pytest.raises(ProviderAway, match="Request throttled"):
            fetched(server, desk, interval=Interval.M1, count=1)
        assert len(server.calls) == 5


def test_an_aggregate_counts_the_trades_in_it_and_is_known_by_the_last():
    """As live does, so that both know a trade by the same id."""
    documented = {
        "a": 26129,
        "p": "0.01633102",
        "q": "4.70443515",
        "f": 27781,
        "l": 27783,
        "T": 1498793709153,
        "m": True,
    }
    time = 1_498_793_709_153 * MS
    with HistoryServer(lambda asked: [] if "fromId" in asked.params else [documented]) as server:
        provider = BinanceHistory(Desk().means, url=server.url)
        (tick,) = [tick for page in provider.trades(BTCUSDT, time, time + MS) for tick in page.ticks]
        provider.close()
    names = ("event_time", "price", "size", "trade_id", "count", "aggressor")
    assert [tick[name] for name in names] == [time, 0.01633102, 4.70443515, 27783, 3, Aggressor.SELL]


def test_its_addresses_are_the_venue_and_the_mirror_that_serves_every_region():
    assert URLS == ("https://api.binance.com", "https://data-api.binance.vision")


def test_the_first_trade_after_a_quiet_time_is_found_in_the_middle_of_an_hour():
    """By hours of klines, one of which begins before the moment from which on they are asked for."""
    contract = TestBinance()
    quiet = NOW - NOW % (3600 * 10**9) - 40 * 3600 * 10**9 + 1800 * 10**9
    trades = [
        Trade(quiet + minutes * 60 * 10**9, 1.0, 1.0, 5_000 + minutes, Aggressor.BUY) for minutes in (75, 76, 700)
    ]
    with contract.serving(contract.trade_venue(trades), Desk()) as (provider, server):
        contract.same_trades(list(provider.trades(BTCUSDT, quiet, NOW)), trades)
        assert len(server.calls) < 10
        earlier = quiet - 30 * 3600 * 10**9
        contract.same_trades(list(provider.trades(BTCUSDT, earlier, NOW)), trades)
        assert len(server.calls) < 20
